-- write_rehearsal.sql - what rehearsals of a cutover have come to, on the migration's row and in the audit.
-- $1 uuid: migration, $2 bigint: our epoch, $3 jsonb, $4 text: operator. No row: it is not ours any more.
WITH m AS (
    UPDATE tenant_migrations SET rehearsal = $3::jsonb, updated_at = clock_timestamp()
     WHERE id = $1 AND owner_epoch = $2::bigint
    RETURNING id)
SELECT migration_audit(id, 'cutover_rehearsed', $4, $3::jsonb) FROM m
