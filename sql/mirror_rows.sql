-- mirror_rows.sql - the rows that the same entries name, as they are now.
-- $1, $2 as in mirror_entries.sql, $3: tenant. {tap}; {columns}: of e; {k_elements}: v.k[1] AS k1, …; {table};
-- {tenant_column}; {match}: e.key = k.k1::type AND …
-- OFFSET 0: one look-up by the key's index per key, whatever the statistics say.
SELECT r.*
  FROM (SELECT DISTINCT {k_elements}
          FROM (SELECT c.key, c.old_key FROM pgshunt.captured c
                 WHERE c.tap = bigint '{tap}' AND c.id > $1::bigint ORDER BY c.id LIMIT $2::bigint) b
         CROSS JOIN LATERAL (VALUES (b.key), (b.old_key)) AS v (k)
         WHERE v.k IS NOT NULL) k
 CROSS JOIN LATERAL (SELECT {columns} FROM {table} e WHERE (e.{tenant_column} = $3) IS TRUE AND {match} OFFSET 0) r
