-- instances_behind.sql - other instances that are alive and have not done what a migration waits for.
-- $1 text: this instance; $2 text: tenant; $3 bigint: the route's generation; $4 bool: and its writers are gone
-- Result: instance_id, applied, blocked_writers, blockers, silent_ms (since its last heartbeat).
SELECT i.instance_id, coalesce(a.generation >= $3::bigint, false) AS applied, coalesce(a.blocked_writers, 0),
       coalesce(a.blockers, ''),
       (extract(epoch FROM clock_timestamp() - i.heartbeat_at) * 1000)::bigint AS silent_ms
  FROM proxy_instances i
  LEFT JOIN instance_acks a ON a.instance_id = i.instance_id AND a.tenant_id = $2
 WHERE i.instance_id <> $1
   AND i.heartbeat_at > clock_timestamp() - i.lease_ms * interval '1 millisecond'
   AND NOT coalesce(CASE WHEN a.generation > $3::bigint THEN true
                         ELSE a.generation = $3::bigint AND (NOT $4::bool OR a.drained_at IS NOT NULL) END, false)
 ORDER BY i.instance_id
