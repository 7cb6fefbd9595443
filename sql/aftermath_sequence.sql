-- aftermath_sequence.sql - {table}, {position_column}, {sequence} (a literal): does the sequence stand behind all positions?
-- $1: not used. highest position, the sequence's last value
SELECT coalesce(max(e.{position_column}), 0), coalesce(pg_sequence_last_value({sequence}::regclass), 0), $1::text
  FROM {table} e
