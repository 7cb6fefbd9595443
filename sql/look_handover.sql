-- look_handover.sql - a migration whose switch was committed: which generation of the route took the tenant away from
-- its source, and is there anything left to do there?
-- $1 uuid: the migration.
-- settled bool; generation: NULL if the tenant lives at the source for all that is known (the state was set by hand)
SELECT m.settled_at IS NOT NULL,
       coalesce(m.switched_generation, CASE WHEN r.store_id <> m.source_store_id THEN r.generation END)
  FROM tenant_migrations m
  LEFT JOIN tenant_routing r ON r.tenant_id = m.tenant_id
 WHERE m.id = $1
