-- read_routes.sql - the whole routing table.
-- Result: tenant_id, store_id, migration_state, target_store_id, active_migration_id, generation, owner_epoch,
-- owner_instance (NULL: nobody migrates it), write_hold_timeout_ms of its migration (0: not known).
SELECT r.tenant_id, r.store_id, r.migration_state, r.target_store_id, r.active_migration_id, r.generation,
       coalesce(m.owner_epoch, 0), m.owner_instance,
       CASE WHEN m.config->>'write_hold_timeout_ms' ~ '^[0-9]{1,9}$' THEN (m.config->>'write_hold_timeout_ms')::bigint
            ELSE 0 END
  FROM tenant_routing r
  LEFT JOIN tenant_migrations m ON m.id = r.active_migration_id
