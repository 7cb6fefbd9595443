-- check_index.sql - the index by which a tenant's rows are read in the order of their positions.
-- $1 oid: the table. $2 text: the tenant column. $3 text: the position column.
-- name, exact (its first two columns are these, tenant first); no row: none begins with the tenant.
SELECT i.indexrelid::regclass::text,
       coalesce(i.indkey[1] = (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attname = $3), false)
         AND i.indnkeyatts > 1
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
 WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indisready AND i.indpred IS NULL
   AND i.indkey[0] = (SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attname = $2)
 ORDER BY 2 DESC, 1
 LIMIT 1
