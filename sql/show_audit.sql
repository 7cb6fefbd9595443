-- show_audit.sql - SHOW AUDIT.
-- $1 uuid: the migration.
SELECT created_at, event_type, old_state, new_state, operator, details
  FROM migration_audit_log
 WHERE migration_id = $1
 ORDER BY id
