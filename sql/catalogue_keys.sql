-- catalogue_keys.sql - the columns of every unique index of a table that covers all of its rows.
-- $1 text: schema, $2 text: table.
-- index oid, column name; ordered by index
SELECT i.indexrelid, a.attname
  FROM pg_namespace s
  JOIN pg_class c ON c.relnamespace = s.oid
  JOIN pg_index i ON i.indrelid = c.oid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
 WHERE s.nspname = $1 AND c.relname = $2
   AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY i.indexrelid
