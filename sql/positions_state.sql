-- positions_state.sql - how far a migration's pairs have come. $1 uuid: the migration.
-- positions_shipped (0: none), are they all there?
SELECT coalesce(m.positions_shipped, 0), m.positions_at IS NOT NULL FROM tenant_migrations m WHERE m.id = $1::uuid
