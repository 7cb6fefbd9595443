-- companion_advance.sql - in the transaction that has written the rows, behind cursor_hold().
-- $1 text: migration, $2 text: table, $3 text[]: the last key (NULL: as it was), $4 bigint: rows, $5 bool: done
INSERT INTO pgshunt.copy_companion AS c (migration_id, relation, last_key, rows, done)
VALUES ($1, $2, $3::text[], $4::bigint, $5::bool)
ON CONFLICT (migration_id, relation) DO UPDATE
   SET last_key = coalesce(excluded.last_key, c.last_key), rows = excluded.rows, done = excluded.done, updated_at = now()
