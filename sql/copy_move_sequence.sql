-- copy_move_sequence.sql - moves the target's sequence up, never down. {sequence}: in the target, {sequence_text}: the same, quoted
-- $1 bigint: at least this
SELECT setval({sequence_text}, $1::bigint) FROM {sequence} s
 WHERE s.last_value < $1::bigint OR (s.last_value = $1::bigint AND NOT s.is_called)
