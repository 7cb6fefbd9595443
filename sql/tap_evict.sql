-- tap_evict.sql - ends the recorded sessions that may hold a tap's exclusive lock, except our own. A pid that another
-- backend has now is left alone.
-- $1 bigint: key, $2 bigint: epoch; a later owner's session is left alone, too
-- one row per session that was still there
SELECT pg_terminate_backend(a.pid)
  FROM pgshunt.tap_lock_holder h
  JOIN pg_stat_activity a ON a.pid = h.pid AND a.backend_start = h.backend_start
 WHERE h.tap = $1::bigint AND h.pid <> pg_backend_pid() AND h.epoch <= $2::bigint
