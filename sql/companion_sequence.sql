-- companion_sequence.sql - the highest value that a sequence of the source has given, or may have given already.
-- {table}, {column}, {sequence}
SELECT greatest((SELECT max(e.{column}) FROM {table} e), (SELECT s.last_value FROM {sequence} s WHERE s.is_called))
