-- find_orphans.sql - migrations that this instance has to carry on: its own, and those of instances that are gone.
-- A failed one is included while its tap is not known to be gone; a migrated one until
-- the source's guard has taken over from the shut tap (some at a time: each costs a thread).
-- $1 text: this instance, $2 text[]: the stores that it knows. Result: id, state.
SELECT m.id, m.state
  FROM tenant_migrations m
  LEFT JOIN proxy_instances i ON i.instance_id = m.owner_instance
 WHERE (m.state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused')
        OR m.state = 'failed' AND m.abort_requested_at IS NOT NULL
        OR m.state = 'failed' AND m.settled_at IS NULL
           AND m.source_store_id = ANY ($2::text[]) AND m.target_store_id = ANY ($2::text[])
        OR m.state = 'migrated' AND m.settled_at IS NULL
           AND m.source_store_id = ANY ($2::text[]) AND m.target_store_id = ANY ($2::text[]))
   AND (m.owner_instance = $1 OR i.instance_id IS NULL
        OR i.heartbeat_at < clock_timestamp() - i.lease_ms * interval '1 millisecond')
 ORDER BY m.state IN ('migrated', 'failed'), m.created_at
 LIMIT 200
