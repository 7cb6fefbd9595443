-- copy_estimate.sql - {table}, {tenant_column}
-- $1: tenant. events, bytes (by the size of a thousand of them)
SELECT count(*),
       (count(*) * coalesce((SELECT avg(pg_column_size(s.*))
                               FROM (SELECT * FROM {table} e WHERE e.{tenant_column} = $1 LIMIT 1000) s), 0))::bigint
  FROM {table} e WHERE e.{tenant_column} = $1
