-- cursor_advance.sql - in the transaction that has written the rows.
-- $1 text: migration, $2 bigint: epoch, $3 bigint: position, $4 bigint: high (NULL: not fixed), $5 bigint: events,
-- $6 bigint: bytes, $7 bool: done, $8 text: source_identity, $9 integer: worker
-- one row, or none: another owner has it
UPDATE pgshunt.copy_cursor c
   SET position = $3::bigint, high = $4::bigint, events = $5::bigint, bytes = $6::bigint, done = $7::boolean,
       source_identity = $8, updated_at = now()
 WHERE c.migration_id = $1 AND c.worker = $9::integer AND c.owner_epoch = $2::bigint
RETURNING 1
