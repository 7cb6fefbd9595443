-- check_rights.sql - may this session's role do in this store what a migration needs?
-- $1 text: the event table, quoted; $2 text: the schema of pgshunt's own objects.
-- Result: role; member of the table's owner; that owner; may create in the schema; who else uses the login (NULL: nobody).
SELECT session_user,
       pg_has_role(session_user, c.relowner, 'MEMBER'),
       pg_get_userbyid(c.relowner),
       CASE WHEN n.oid IS NULL THEN has_database_privilege(session_user, current_database(), 'CREATE')
            ELSE has_schema_privilege(session_user, n.oid, 'CREATE') END,
       (SELECT format('pid %s, application_name "%s"', a.pid, a.application_name) FROM pg_stat_activity a
         WHERE a.usename = session_user AND a.datname = current_database() AND a.backend_type = 'client backend'
           AND a.application_name NOT LIKE 'pgshunt%' LIMIT 1)
  FROM pg_class c
  LEFT JOIN pg_namespace n ON n.nspname = $2
 WHERE c.oid = to_regclass($1)
