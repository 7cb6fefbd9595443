-- copy_low.sql - where a copy begins that is done by several workers: {table}, {tenant_column}, {position_column}
-- $1: tenant. the lowest position, NULL: no rows
SELECT min(e.{position_column}) FROM {table} e WHERE e.{tenant_column} = $1
