-- show_migrations.sql - SHOW MIGRATIONS.
-- $1 text: 'active' or 'all'; $2 text: only this tenant, NULL for every one.
SELECT id, tenant_id, source_store_id AS source, target_store_id AS target, state,
       round(progress_percentage::numeric, 2) AS progress_percentage, events_copied, total_events, sync_lag_events,
       error_message, created_at
  FROM tenant_migrations
 WHERE ($1 = 'all' OR state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused'))
   AND ($2::text IS NULL OR tenant_id = $2)
 ORDER BY created_at, id
