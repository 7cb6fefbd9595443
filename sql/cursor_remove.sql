-- cursor_remove.sql - when its migration is over.
-- $1 text: migration, $2 bigint: epoch
DELETE FROM pgshunt.copy_cursor c WHERE c.migration_id = $1 AND c.owner_epoch <= $2::bigint
