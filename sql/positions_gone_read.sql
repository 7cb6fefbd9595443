-- positions_gone_read.sql - pairs whose row has gone.
-- $1 uuid: migration, $2 int: at most
-- arrays: source positions, target positions; how many
SELECT array_agg(g.source_position), array_agg(g.target_position), count(*)
  FROM (SELECT * FROM pgshunt.positions_gone g WHERE g.migration = $1::uuid ORDER BY g.target_position LIMIT $2::int) g
