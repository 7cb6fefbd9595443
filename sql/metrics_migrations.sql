-- metrics_migrations.sql - what /metrics and /health say of migrations: those under way, and those that ended in the last hour.
-- No parameters. pauses_ms: of every cutover that was tried, comma-separated; idle_seconds: since its row changed last.
SELECT m.id, m.tenant_id, m.source_store_id AS source, m.target_store_id AS target, m.state,
       array_position(ARRAY['pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'migrated', 'failed', 'rolled_back',
                            'paused'], m.state) - 1 AS state_number,
       m.progress_percentage, m.events_copied, m.total_events, m.sync_lag_events, m.error_message,
       extract(epoch FROM clock_timestamp() - m.updated_at)::float8 AS idle_seconds,
       extract(epoch FROM coalesce(m.bulk_copy_completed_at, m.completed_at, clock_timestamp())
                          - m.bulk_copy_started_at)::float8 AS bulk_copy_seconds,
       extract(epoch FROM coalesce(m.completed_at, clock_timestamp()) - m.dual_write_started_at)::float8 AS dual_write_seconds,
       extract(epoch FROM CASE WHEN m.state = 'cutover_paused' THEN clock_timestamp()
                               WHEN m.state = 'migrated' THEN m.completed_at END - m.cutover_started_at)::float8 AS cutover_seconds,
       f.failures AS target_failures, f.failing AS target_failing, f.recent AS recent_target_failures,
       CASE WHEN m.cutover_report->>'held_writes' ~ '^[0-9]{1,9}$' THEN (m.cutover_report->>'held_writes')::bigint END AS held_writes,
       CASE WHEN m.verification->>'events' ~ '^[0-9]{1,18}$' THEN (m.verification->>'events')::bigint END AS verified_events,
       a.completed AS cutovers_completed, a.rolled_back AS cutovers_rolled_back, a.timeouts AS cutover_timeouts, a.pauses_ms
  FROM tenant_migrations m,
       LATERAL (SELECT coalesce(sum(w.failures), 0)::bigint AS failures, coalesce(bool_or(w.recovered_at IS NULL), false) AS failing,
                       coalesce(sum(w.failures) FILTER (WHERE w.last_failed_at > clock_timestamp() - interval '1 minute'), 0)::bigint AS recent
                  FROM migration_failed_writes w WHERE w.migration_id = m.id) AS f,
       LATERAL (SELECT count(*) FILTER (WHERE l.event_type = 'cutover_completed') AS completed,
                       count(*) FILTER (WHERE l.event_type = 'cutover_rolled_back') AS rolled_back,
                       count(*) FILTER (WHERE l.event_type = 'cutover_rolled_back'
                                              AND l.details->'error'->>'sqlstate' = '57014') AS timeouts,
                       string_agg(l.details->>'pause_ms', ',' ORDER BY l.id)
                           FILTER (WHERE l.details->>'pause_ms' ~ '^[0-9.]{1,12}$') AS pauses_ms
                  FROM migration_audit_log l WHERE l.migration_id = m.id) AS a
 WHERE m.state NOT IN ('migrated', 'failed', 'rolled_back') OR m.completed_at > clock_timestamp() - interval '1 hour'
 ORDER BY m.created_at, m.id
