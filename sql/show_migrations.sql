-- show_migrations.sql - SHOW MIGRATIONS.
-- $1 text: 'active' or 'all'; $2 text: only this tenant, NULL for every one.
SELECT id, tenant_id, source_store_id AS source, target_store_id AS target, state,
       round(progress_percentage::numeric, 2) AS progress_percentage, events_copied, total_events, sync_lag_events,
       error_message, created_at, round(copy_rate::numeric, 1) AS rate,
       round(migration_eta_seconds(m)::numeric, 1) AS eta_seconds,
       CASE WHEN state = 'pending' THEN (SELECT count(*) FROM tenant_migrations o WHERE o.state = 'pending'
           AND o.owner_instance IS NOT DISTINCT FROM m.owner_instance AND o.created_at <= m.created_at) END AS queue_place
  FROM tenant_migrations m
 WHERE ($1 = 'all' OR state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused'))
   AND ($2::text IS NULL OR tenant_id = $2)
 ORDER BY created_at, id
