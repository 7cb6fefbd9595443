-- find_neighbour.sql - another tenant that lives in a store, or is on its way there.
-- $1 text: the store. $2 text: the tenant that does not count. Result: tenant_id (no row: none).
SELECT tenant_id
  FROM tenant_routing
 WHERE (store_id = $1 OR target_store_id = $1) AND tenant_id <> $2
UNION ALL
SELECT tenant_id
  FROM tenant_migrations
 WHERE target_store_id = $1 AND tenant_id <> $2
   AND state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused')
 LIMIT 1
