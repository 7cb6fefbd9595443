-- companion_cursor.sql - how far the copy of one companion table has come.
-- $1 text: migration, $2 text: table
-- rows, done bool, the key's elements as rows of their own (NULL: nothing was copied yet); no row: not begun
SELECT c.rows, c.done, k.element
  FROM pgshunt.copy_companion c LEFT JOIN LATERAL unnest(c.last_key) WITH ORDINALITY AS k (element, n) ON true
 WHERE c.migration_id = $1 AND c.relation = $2
 ORDER BY k.n
