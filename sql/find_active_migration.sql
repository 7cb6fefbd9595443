-- find_active_migration.sql - the migration of a tenant that is under way.
-- $1 text: the tenant. Result: id, state (no row: none).
SELECT id, state
  FROM tenant_migrations
 WHERE tenant_id = $1 AND state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused')
