-- mirror_flushed.sql - pg_current_wal_flush_lsn
SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END
