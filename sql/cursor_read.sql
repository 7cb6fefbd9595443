-- cursor_read.sql - how far each worker has come.
-- $1 text: migration
-- worker, position, high, events, bytes, done, source_identity, target_identity; by worker
SELECT c.worker, c.position, c.high, c.events, c.bytes, c.done, c.source_identity, c.target_identity
  FROM pgshunt.copy_cursor c WHERE c.migration_id = $1 ORDER BY c.worker
