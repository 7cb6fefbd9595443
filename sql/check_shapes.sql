-- check_shapes.sql - what CHECK CUTOVER must know: every feed, whenever it was seen, and what this migration's rehearsal
-- has found; those that are not accepted first.
-- $1 text: the migration's id.
SELECT s.n, s.what, s.shape, sum(g.count)::bigint, to_char(max(g.last_seen_at), 'YYYY-MM-DD HH24:MI:SS TZ'),
       shape_is_accepted(s)
  FROM shapes s
  JOIN shape_sightings g ON g.n = s.n
 WHERE (s.what = 'feed' AND g.migration_id = '') OR g.migration_id = $1
 GROUP BY s.n
 ORDER BY shape_is_accepted(s), s.n
