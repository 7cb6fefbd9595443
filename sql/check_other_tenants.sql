-- check_other_tenants.sql - {table}, {tenant_column}: a tenant with rows here that does not live here.
-- $1 text[]: who lives here, or is on the way. tenant (no row: none)
SELECT e.{tenant_column}::text FROM {table} e
 WHERE e.{tenant_column} IS NULL OR e.{tenant_column}::text <> ALL ($1::text[])
 LIMIT 1
