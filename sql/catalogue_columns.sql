-- catalogue_columns.sql - the columns of the declared tables of one store, in order.
-- $1 text[]: schemas, $2 text[]: tables.
-- n (1 …), attname, atttypid; a table that is not there, or is no table or view, has one row with NULLs
SELECT t.n, a.attname, a.atttypid
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t (nspname, relname, n)
  LEFT JOIN pg_namespace s ON s.nspname = t.nspname
  LEFT JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = t.relname AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY t.n, a.attnum
