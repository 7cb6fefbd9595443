-- cursor_claim_workers.sql - the other workers' rows, behind cursor_claim.sql; waits for their transactions.
-- $1 text: migration, $2 bigint: epoch
UPDATE pgshunt.copy_cursor c SET owner_epoch = $2::bigint, updated_at = now()
 WHERE c.migration_id = $1 AND c.worker > 0 AND c.owner_epoch <= $2::bigint
