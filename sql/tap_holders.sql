-- tap_holders.sql - transactions that hold a tap's lock, shared: they have written the tenant.
-- $1 bigint: key
-- pid (0: prepared), age_ms, prepared bool, query, usename, application_name; the oldest first
SELECT coalesce(l.pid, 0),
       coalesce((extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000)::bigint, 0),
       l.pid IS NULL,
       coalesce(a.query, p.gid, ''), coalesce(a.usename, p.owner, ''), coalesce(a.application_name, '')
  FROM pg_locks l
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  -- A prepared transaction keeps the virtual id of the session that began it: its xid leads to its gid.
  LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
   AND x.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
 WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock' AND l.objsubid = 1
   AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   AND l.classid = (($1::bigint >> 32) & 4294967295)::oid AND l.objid = ($1::bigint & 4294967295)::oid
   AND l.pid IS DISTINCT FROM pg_backend_pid()
 ORDER BY 2 DESC
