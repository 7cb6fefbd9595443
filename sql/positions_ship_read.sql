-- positions_ship_read.sql - the next pairs for the control database, in the order in which they were given.
-- $1 uuid: migration, $2 bigint: the last target position that is there, $3 int: at most, $4: tenant. {table},
-- {tenant_column}, {position_column}; {event_id}: text of e
-- arrays: source positions, target positions, event ids; how many; the last target position
SELECT array_agg(b.source_position), array_agg(b.target_position), array_agg(b.event_id), count(*), max(b.target_position)
  FROM (SELECT p.source_position, p.target_position, {event_id} AS event_id
          FROM (SELECT q.source_position, q.target_position FROM pgshunt.positions q
                 WHERE q.migration = $1::uuid AND q.target_position > $2::bigint AND NOT q.reserved
                 ORDER BY q.target_position LIMIT $3::int) p
          LEFT JOIN LATERAL (SELECT * FROM {table} r WHERE (r.{tenant_column} = $4) IS TRUE
                                AND r.{position_column} = p.target_position LIMIT 1) e ON true
         ORDER BY p.target_position) b
