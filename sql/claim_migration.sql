-- claim_migration.sql - takes a migration over and reads it; see look_migration.sql for the columns.
-- $1 uuid: the migration; $2 text: this instance.
SELECT m.id, m.tenant_id, m.source_store_id, m.target_store_id, m.state, coalesce(m.paused_from, ''), m.owner_epoch,
       m.total_events, m.events_copied,
       coalesce((extract(epoch FROM clock_timestamp() - m.dual_write_started_at) * 1000)::bigint, 0),
       m.abort_requested_at IS NOT NULL, m.resume_requested_at IS NOT NULL, m.settled_at IS NOT NULL, m.created_by, m.config
  FROM migration_claim($1, $2) m
