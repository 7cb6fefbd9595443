-- instance_acknowledge.sql - what this instance has applied of the routes, and which paused tenants' writers are gone.
-- Nothing is said for a process that another one has replaced: it has no row under its own start.
-- $1 text: instance; $2 timestamptz: our start; $3 text[]: tenants; $4 bigint[]: the route's generation;
-- $5 bool[]: its gates have drained; $6 int[]: transactions that were in flight; $7 text[]: whose
INSERT INTO instance_acks AS a (instance_id, tenant_id, generation, drained_at, blocked_writers, blockers)
SELECT i.instance_id, t.tenant, t.generation, CASE WHEN t.drained THEN clock_timestamp() END, t.in_flight,
       nullif(t.blockers, '')
  FROM proxy_instances i,
       unnest($3::text[], $4::bigint[], $5::bool[], $6::int[], $7::text[])
           AS t (tenant, generation, drained, in_flight, blockers)
 WHERE i.instance_id = $1 AND i.started_at = $2
ON CONFLICT (instance_id, tenant_id) DO UPDATE
   SET generation = excluded.generation, drained_at = excluded.drained_at,
       blocked_writers = excluded.blocked_writers, blockers = excluded.blockers
 WHERE a.generation <= excluded.generation
