-- copy_high.sql - where a scan ends: {table}, {tenant_column}, {position_column}. Run after the tap was committed.
-- $1: tenant. the highest position, NULL: no rows
SELECT max(e.{position_column}) FROM {table} e WHERE e.{tenant_column} = $1
