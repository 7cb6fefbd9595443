-- translate_position.sql - what is known of a source position of a migration.
-- $1 uuid: the migration, $2 bigint: the position.
-- state, position_mode, position_mapping_enabled, min, max (NULL: no pairs), source, target, event (of the last pair at or
-- before it), checkpoint: what a subscription that has read up to it has read in the target, are all pairs here?
SELECT m.state, m.config->>'position_mode', m.config->>'position_mapping_enabled',
       (SELECT min(p.source_position) FROM migration_position_mappings p WHERE p.migration_id = m.id),
       (SELECT max(p.source_position) FROM migration_position_mappings p WHERE p.migration_id = m.id),
       n.source_position, n.target_position, n.event_id, position_checkpoint(m.id, $2::bigint), m.positions_at IS NOT NULL
  FROM tenant_migrations m
  LEFT JOIN LATERAL (SELECT * FROM migration_position_mappings p
                      WHERE p.migration_id = m.id AND p.source_position <= $2::bigint
                      ORDER BY p.source_position DESC LIMIT 1) n ON true
 WHERE m.id = $1::uuid
