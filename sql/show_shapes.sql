-- show_shapes.sql - SHOW SHAPES.
SELECT s.n, s.what, s.shape, s.why, sum(g.count)::bigint AS count, min(g.first_seen_at) AS first_seen,
       max(g.last_seen_at) AS last_seen, count(DISTINCT g.instance_id) AS instances,
       string_agg(DISTINCT m.tenant_id, ', ') AS tenants, shape_is_accepted(s) AS accepted, s.accepted_by,
       s.accepted_at, s.accepted_reason AS reason
  FROM shapes s
  JOIN shape_sightings g ON g.n = s.n
  LEFT JOIN tenant_migrations m ON m.id::text = g.migration_id
 GROUP BY s.n
 ORDER BY s.n
