-- aftermath_rows.sql - {table}, {tenant_column}, {position_column}: the tenant's rows in a store.
-- $1: tenant. count, highest position (NULL: none)
SELECT count(*), max(e.{position_column}) FROM {table} e WHERE e.{tenant_column} = $1
