-- check_database.sql - what ALTER DATABASE … SET gives every session of this database (pg_db_role_setting).
-- One row: settings.
SELECT coalesce(string_agg(setting, ', ' ORDER BY setting), '')
  FROM pg_db_role_setting s, unnest(s.setconfig) setting
 WHERE s.setrole = 0 AND s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
