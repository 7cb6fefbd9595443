-- cursor_identify.sql - of which source and which target a cursor speaks.
-- $1 text: migration, $2 bigint: epoch, $3 text: source_identity, $4 text: target_identity
-- one row is changed, or none: another owner has it
UPDATE pgshunt.copy_cursor c SET source_identity = $3, target_identity = $4
 WHERE c.migration_id = $1 AND c.worker = 0 AND c.owner_epoch <= $2::bigint
