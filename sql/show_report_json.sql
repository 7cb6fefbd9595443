-- show_report_json.sql - SHOW REPORT … JSON: the migration and all of its reports as one value.
-- $1 uuid: the migration.
SELECT jsonb_pretty(jsonb_build_object(
         'migration', jsonb_build_object('id', m.id, 'tenant_id', m.tenant_id, 'source', m.source_store_id,
           'target', m.target_store_id, 'state', m.state, 'created_by', m.created_by, 'created_at', m.created_at,
           'started_at', m.started_at, 'dual_write_started_at', m.dual_write_started_at, 'completed_at', m.completed_at,
           'total_events', m.total_events, 'events_copied', m.events_copied, 'config', m.config),
         'reports', coalesce((SELECT jsonb_agg(jsonb_build_object('n', r.n, 'kind', r.kind, 'operator', r.operator,
                                                 'created_at', r.created_at, 'report', r.report) ORDER BY r.n)
                                FROM migration_reports r WHERE r.migration_id = m.id), '[]'))) AS report
  FROM tenant_migrations m
 WHERE m.id = $1
