-- instance_heartbeat.sql - keeps the lease. No row: another process of this name has replaced us, or the row is gone.
-- $1 text: instance; $2 timestamptz: our start; $3 bigint: generation of the last publication.
-- Result: how many other instances are alive.
WITH mine AS (
    UPDATE proxy_instances SET heartbeat_at = clock_timestamp(), generation = $3
     WHERE instance_id = $1 AND started_at = $2
    RETURNING instance_id
)
SELECT instances_alive(instance_id) FROM mine
