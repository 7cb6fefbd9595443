-- copy_count.sql - {table}, {tenant_column}
-- $1: tenant. events
SELECT count(*) FROM {table} e WHERE e.{tenant_column} = $1
