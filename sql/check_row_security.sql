-- check_row_security.sql - do policies apply to the event table, and to this session?
-- $1 oid: the table. enabled, applies (to this session)
SELECT c.relrowsecurity,
       c.relrowsecurity AND NOT (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.rolname = current_user)
         AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))
  FROM pg_class c
 WHERE c.oid = $1::oid
