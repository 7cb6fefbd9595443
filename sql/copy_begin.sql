-- copy_begin.sql - the first statement in a scan's snapshot.
-- pg_current_wal_insert_lsn
SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END
