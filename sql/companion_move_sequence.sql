-- companion_move_sequence.sql - moves a sequence of the target up, never down. {sequence}, {sequence_text}: quoted
-- $1 bigint: at least this
SELECT setval({sequence_text}, $1::bigint) FROM {sequence} s
 WHERE s.last_value < $1::bigint OR (s.last_value = $1::bigint AND NOT s.is_called)
