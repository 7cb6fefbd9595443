-- coverage_recorded.sql - CHECK COVERAGE: what any instance has recorded of statements without a tenant.
SELECT s.what, s.shape, s.why, s.n, shape_is_accepted(s), sum(g.count)::bigint,
       extract(epoch FROM min(g.first_seen_at))::bigint, extract(epoch FROM max(g.last_seen_at))::bigint
  FROM shapes s
  JOIN shape_sightings g ON g.n = s.n
 WHERE s.what IN ('feed', 'unattributed_write') AND g.migration_id = ''
 GROUP BY s.n
