-- mirror_rows.sql - the rows of one table that the same entries name, as they are now.
-- $1, $2 as in mirror_entries.sql, $3: tenant. {keys}: a query of k1, k2, … as text (mirror_sql.c); {columns}: of e; {from}:
-- the table as it is read; {tenant_column}; {match}: e.key = k.k1::type AND …;
-- {order}: by the position, where the target gives new ones
-- OFFSET 0: one look-up by the key's index per key, whatever the statistics say.
SELECT r.*
  FROM ({keys}) k
 CROSS JOIN LATERAL (SELECT {columns} FROM {from} e WHERE (e.{tenant_column} = $3) IS TRUE AND {match} OFFSET 0) r{order}
