-- show_migration.sql - SHOW MIGRATION: everything about one, as name and value.
-- $1 uuid: the migration.
SELECT line.name, line.value
  FROM tenant_migrations m
  LEFT JOIN tenant_routing r ON r.tenant_id = m.tenant_id,
  LATERAL (
    SELECT 1 AS part, at, name, value FROM ROWS FROM (
        unnest(ARRAY['id', 'tenant_id', 'source', 'target', 'state', 'paused_from', 'owner_instance', 'owner_epoch',
            'total_events', 'events_copied', 'progress_percentage', 'sync_lag_events', 'source_position',
            'target_position', 'error_message', 'error_severity', 'error_recoverability', 'route_store',
            'route_state', 'route_generation', 'created_by', 'created_at', 'started_at', 'bulk_copy_started_at',
            'bulk_copy_completed_at', 'dual_write_started_at', 'cutover_started_at', 'completed_at', 'settled_at', 'updated_at',
            'abort_requested_at', 'abort_reason']),
        unnest(ARRAY[m.id::text, m.tenant_id, m.source_store_id, m.target_store_id, m.state, m.paused_from,
            m.owner_instance, m.owner_epoch::text, m.total_events::text, m.events_copied::text,
            round(m.progress_percentage::numeric, 2)::text, m.sync_lag_events::text, m.source_position::text,
            m.target_position::text, m.error_message, m.error_severity, m.error_recoverability, r.store_id,
            r.migration_state, r.generation::text, m.created_by, m.created_at::text, m.started_at::text,
            m.bulk_copy_started_at::text, m.bulk_copy_completed_at::text, m.dual_write_started_at::text,
            m.cutover_started_at::text, m.completed_at::text, m.settled_at::text, m.updated_at::text, m.abort_requested_at::text,
            m.abort_reason])
    ) WITH ORDINALITY AS basic (name, value, at)
    UNION ALL
    SELECT 1, 1000 + n, name, value FROM (VALUES
        (1, 'rate', round(m.copy_rate::numeric, 1)::text),
        (2, 'average_rate', round(migration_average_rate(m)::numeric, 1)::text),
        (3, 'eta_seconds', round(migration_eta_seconds(m)::numeric, 1)::text),
        (4, 'pause_reason', CASE WHEN m.state = 'paused' THEN (SELECT a.details->>'reason' FROM migration_audit_log a
            WHERE a.migration_id = m.id AND a.event_type = 'migration_paused' ORDER BY a.id DESC LIMIT 1) END),
        (5, 'queue_place', CASE WHEN m.state = 'pending' THEN (SELECT count(*)::text FROM tenant_migrations o
            WHERE o.state = 'pending' AND o.owner_instance IS NOT DISTINCT FROM m.owner_instance
              AND o.created_at <= m.created_at) END)) AS also (n, name, value)
    UNION ALL
    SELECT 1, 2000 + row_number() OVER (), 'phase_' || p.state || '_seconds', round(p.seconds::numeric, 3)::text
      FROM migration_phases(m.id) p
    UNION ALL
    SELECT 2, row_number() OVER (), key, value FROM jsonb_each_text(coalesce(m.cutover_report, '{}'))
    UNION ALL
    SELECT 3, row_number() OVER (), 'rehearsal_' || key, value FROM jsonb_each_text(coalesce(m.rehearsal, '{}'))
    UNION ALL
    SELECT 3, row_number() OVER (), 'verification_' || key, value
      FROM jsonb_each_text(coalesce(m.verification, '{}'))
    UNION ALL
    SELECT 4, row_number() OVER (), key, value FROM jsonb_each_text(m.config)
    UNION ALL
    SELECT 5, 1, 'target_write_failures', sum(failures)::text
      FROM migration_failed_writes f WHERE f.migration_id = m.id
    UNION ALL
    SELECT 6, v.at, v.name, v.value
      FROM (SELECT min(p.source_position) AS lowest, max(p.source_position) AS highest, count(*) AS events
              FROM migration_position_mappings p WHERE p.migration_id = m.id) c,
           LATERAL (VALUES (1, 'mapped_positions', c.events::text), (2, 'mapped_source_min', c.lowest::text),
                           (3, 'mapped_source_max', c.highest::text),
                           (4, 'mapping_complete', (m.positions_at IS NOT NULL)::text)) v (at, name, value)
     WHERE m.config->>'position_mode' = 'assign'
  ) AS line (part, at, name, value)
 WHERE m.id = $1
 ORDER BY line.part, line.at
