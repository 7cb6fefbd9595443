-- tap_blockers.sql - who keeps SHARE ROW EXCLUSIVE from a table or one of its partitions.
-- $1 oid: the table.
-- pid (NULL: a prepared transaction), usename, application_name, age_ms, vacuum bool (an ordinary autovacuum worker),
-- wraparound bool (one that must not be cancelled)
SELECT l.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
       coalesce((extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint, 0),
       coalesce(a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%(to prevent wraparound)%', false),
       coalesce(a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)%', false)
  FROM (SELECT DISTINCT l.pid FROM pg_locks l
         WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
           AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
           AND l.relation IN (SELECT $1::oid UNION SELECT p.relid FROM pg_partition_tree($1::oid::regclass) p)
           AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')) l
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
 ORDER BY a.xact_start
