-- check_sequence.sql - how much room a column's sequence has left.
-- $1 oid: the table. $2 text: the column. $3 text: its sequence, quoted and qualified (NULL: none).
-- type of the column, its highest value, the sequence's max_value, last_value (NULL: none given), increment, cache, cycle
SELECT format_type(a.atttypid, NULL),
       CASE a.atttypid WHEN 'smallint'::regtype THEN 32767 WHEN 'integer'::regtype THEN 2147483647
                       ELSE 9223372036854775807 END,
       s.seqmax,
       pg_sequence_last_value(s.seqrelid),
       s.seqincrement,
       s.seqcache,
       s.seqcycle
  FROM pg_attribute a
  LEFT JOIN pg_sequence s ON s.seqrelid = to_regclass($3)
 WHERE a.attrelid = $1::oid AND a.attname = $2
