-- mirror_cursor.sql - is the scan done, and of which source?
-- $1 text: migration. done bool, source_identity
SELECT c.done, c.source_identity FROM pgshunt.copy_cursor c WHERE c.migration_id = $1 AND c.worker = 0
