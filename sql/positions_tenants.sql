-- positions_tenants.sql - whose rows a table holds, by steps along an index: at most 21, so that 20 can be told from more.
-- {table}, {tenant_column}. Result: array of tenants (as text), is there a row without one?
WITH RECURSIVE t (tenant, n) AS (
  (SELECT e.{tenant_column}, 1 FROM {table} e WHERE e.{tenant_column} IS NOT NULL ORDER BY e.{tenant_column} LIMIT 1)
  UNION ALL
  SELECT (SELECT e.{tenant_column} FROM {table} e WHERE e.{tenant_column} > t.tenant ORDER BY e.{tenant_column} LIMIT 1), t.n + 1
    FROM t WHERE t.tenant IS NOT NULL AND t.n <= 20)
SELECT coalesce(array_agg(t.tenant::text) FILTER (WHERE t.tenant IS NOT NULL), '{}'),
       EXISTS (SELECT FROM {table} e WHERE e.{tenant_column} IS NULL)
  FROM t
