-- aftermath_row.sql - what is recorded of a migration and of its tenant's route.
-- $1 uuid: the migration. tenant, source, target, state, settled bool, copied, source_position, verified events (NULL: none),
-- violations, config, route's store (NULL: no route), its state, its generation, a later migration of the tenant (NULL: none)
SELECT m.tenant_id, m.source_store_id, m.target_store_id, m.state, m.settled_at IS NOT NULL, m.events_copied,
       m.source_position, m.verification ->> 'events', m.verification ->> 'violations', m.config, r.store_id, r.migration_state, coalesce(r.generation, 0),
       (SELECT l.id FROM tenant_migrations l WHERE l.tenant_id = m.tenant_id AND l.created_at > m.created_at
         ORDER BY l.created_at DESC LIMIT 1)
  FROM tenant_migrations m LEFT JOIN tenant_routing r ON r.tenant_id = m.tenant_id
 WHERE m.id = $1
