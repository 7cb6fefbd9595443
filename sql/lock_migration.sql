-- lock_migration.sql - the advisory lock that makes this connection a migration's owner.
-- $1 text: the migration's id; $2 text: this instance.
-- Result: got; holder: the backend that has it and may be ended, because it belonged to an earlier life of this
-- instance, or to one whose lease has run out (NULL: none).
WITH key AS (SELECT hashtextextended('pgshunt.migration ' || $1, 0) AS id)
SELECT pg_try_advisory_lock(key.id) AS got,
       (SELECT l.pid
          FROM pg_locks l, tenant_migrations m
          LEFT JOIN proxy_instances i ON i.instance_id = m.owner_instance
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND (l.classid::bigint << 32 | l.objid::bigint) = key.id AND l.pid <> pg_backend_pid()
           AND m.id = $1::uuid
           AND (m.owner_instance = $2 OR i.instance_id IS NULL
                OR i.heartbeat_at < clock_timestamp() - i.lease_ms * interval '1 millisecond')
         LIMIT 1) AS holder
  FROM key
