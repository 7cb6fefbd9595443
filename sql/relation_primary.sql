-- relation_primary.sql - the columns of a table's primary key, in its order.
-- $1 oid: the table.
-- column name; no row: it has none
SELECT a.attname
  FROM pg_index i
 CROSS JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, n)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = $1::oid AND i.indisprimary
 ORDER BY k.n
