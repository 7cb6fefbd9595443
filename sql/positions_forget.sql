-- positions_forget.sql - some of a migration's pairs, when it is over and they have been shipped, or nobody wants them.
-- $1 uuid: migration, $2 int: at most so many
WITH gone AS (
  DELETE FROM pgshunt.positions_gone g WHERE g.migration = $1::uuid)
DELETE FROM pgshunt.positions p
 WHERE p.migration = $1::uuid
   AND p.target_position <= (SELECT max(t) FROM (SELECT q.target_position AS t FROM pgshunt.positions q
                              WHERE q.migration = $1::uuid ORDER BY q.target_position LIMIT $2::int) b)
