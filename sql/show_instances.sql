-- show_instances.sql - SHOW INSTANCES.
SELECT instance_id, host, pid, version, started_at, heartbeat_at,
       heartbeat_at > clock_timestamp() - lease_ms * interval '1 millisecond' AS alive, generation
  FROM proxy_instances
 ORDER BY instance_id
