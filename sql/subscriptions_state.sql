-- subscriptions_state.sql - what a translation of checkpoints stands on. $1 uuid: the migration.
-- state, position_mode, position_mapping_enabled, are all pairs here?, the lowest target position of them (NULL: none)
SELECT m.state, m.config->>'position_mode', m.config->>'position_mapping_enabled', m.positions_at IS NOT NULL,
       (SELECT min(p.target_position) FROM migration_position_mappings p WHERE p.migration_id = m.id)
  FROM tenant_migrations m WHERE m.id = $1::uuid
