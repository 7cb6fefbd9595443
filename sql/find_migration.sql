-- find_migration.sql - migrations whose id begins with a text; two rows mean that it is not unique.
-- $1 text: the beginning of the id, in lower case.
SELECT id, tenant_id, state, round(progress_percentage::numeric, 2) AS progress_percentage, events_copied,
       total_events, sync_lag_events, error_message, round(copy_rate::numeric, 1) AS rate,
       round(migration_eta_seconds(m)::numeric, 1) AS eta_seconds
  FROM tenant_migrations m
 WHERE starts_with(id::text, $1)
 ORDER BY created_at DESC
 LIMIT 2
