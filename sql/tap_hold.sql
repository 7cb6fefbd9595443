-- tap_hold.sql - records this session as one that may hold a tap's exclusive lock, and forgets those that are gone.
-- $1 bigint: key, $2 bigint: epoch
WITH gone AS (
  DELETE FROM pgshunt.tap_lock_holder h
   WHERE h.tap = $1::bigint AND h.pid <> pg_backend_pid()
     AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = h.pid AND a.backend_start = h.backend_start))
INSERT INTO pgshunt.tap_lock_holder (tap, pid, backend_start, epoch)
SELECT $1::bigint, a.pid, a.backend_start, $2::bigint FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
ON CONFLICT (tap, pid) DO UPDATE SET backend_start = excluded.backend_start, epoch = excluded.epoch
