-- relation_uniques.sql - the columns of every unique index that covers all rows (not partial, no expressions, valid).
-- $1 oid: the table.
-- index oid, column name; ordered by index.
SELECT i.indexrelid, a.attname
  FROM pg_index i
  JOIN pg_attribute a ON a.attrelid = i.indrelid
   AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
 WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY i.indexrelid
