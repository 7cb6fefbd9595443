-- mirror_begin.sql - the first statement in a pass's snapshot of the source.
-- pg_current_wal_insert_lsn, xmin (of the snapshot), last_id (the last id that captured has handed out, read after
-- the snapshot was taken); and no statement of a pass is planned twice
SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END,
       pg_snapshot_xmin(s),
       coalesce(pg_sequence_last_value(pg_get_serial_sequence('pgshunt.captured', 'id')::regclass), 0),
       set_config('plan_cache_mode', 'force_generic_plan', true)
  FROM pg_current_snapshot() s
