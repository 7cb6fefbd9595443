-- handover_old.sql - who in this database may still read by a snapshot that is older than $1, or has prepared a
-- transaction before it: to them an entry of tenancy made shortly before $1 may be invisible.
-- $1 xid8: the snapshot's xmax
-- pid (NULL: prepared), usename, application_name or gid, age_ms; the oldest first
SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
       coalesce((extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint, 0) AS age_ms
  FROM pg_stat_activity a
 WHERE a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   AND a.pid <> pg_backend_pid() AND age(a.backend_xmin) > age(($1::xid8)::xid)
UNION ALL
SELECT NULL, p.owner, p.gid, (extract(epoch FROM clock_timestamp() - p.prepared) * 1000)::bigint
  FROM pg_prepared_xacts p
 WHERE p.database = current_database() AND age(p.transaction) > age(($1::xid8)::xid)
 ORDER BY age_ms DESC
