-- positions_preserving.sql - another tenant that is on its way to a store with the positions that it had.
-- $1 text: the store. $2 text: the tenant that does not count. Result: tenant_id (no row: none).
SELECT tenant_id
  FROM tenant_migrations
 WHERE target_store_id = $1 AND tenant_id <> $2 AND config->>'position_mode' = 'preserve'
   AND state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused')
 LIMIT 1
