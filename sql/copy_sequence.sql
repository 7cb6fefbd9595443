-- copy_sequence.sql - the highest position that the source has given, or may have given already.
-- {table}, {position_column}, {sequence}: in the source
SELECT greatest((SELECT max(e.{position_column}) FROM {table} e), (SELECT s.last_value FROM {sequence} s))
