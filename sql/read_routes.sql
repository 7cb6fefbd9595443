-- read_routes.sql - the whole routing table.
-- Result: tenant_id, store_id, migration_state, target_store_id, active_migration_id, generation, owner_epoch.
SELECT r.tenant_id, r.store_id, r.migration_state, r.target_store_id, r.active_migration_id, r.generation,
       coalesce(m.owner_epoch, 0)
  FROM tenant_routing r
  LEFT JOIN tenant_migrations m ON m.id = r.active_migration_id
