-- cursor_claim.sql - makes the cursor or takes it over; waits for a transaction of the earlier owner.
-- $1 text: migration, $2 text: tenant, $3 bigint: epoch, $4 bigint: the position before the first
-- one row, or none: a later owner has it
INSERT INTO pgshunt.copy_cursor AS c (migration_id, tenant, owner_epoch, position)
VALUES ($1, $2, $3::bigint, $4::bigint)
ON CONFLICT (migration_id, worker) DO UPDATE SET owner_epoch = excluded.owner_epoch, updated_at = now()
   WHERE c.owner_epoch <= excluded.owner_epoch
RETURNING 1
