-- check_roles.sql - the roles that use the event table in a store, and what each of them may and is given there.
-- $1 text: the event table, quoted. $2 text[]: users of the auth_file. $3 text[]: only these (NULL: whoever may log in
-- and read or write the table, and the users of $2).
-- role, can_login, connection_limit (-1: none), expired, connect bool, rights (of the table and its schema), sequence
-- (rights on the sequences of the table's columns), settings (pg_db_role_setting for the role, here or everywhere),
-- attributes
SELECT r.rolname,
       r.rolcanlogin,
       r.rolconnlimit,
       coalesce(r.rolvaliduntil < now(), false),
       has_database_privilege(r.oid, current_database(), 'CONNECT'),
       concat_ws(' ',
         CASE WHEN has_schema_privilege(r.oid, c.relnamespace, 'USAGE') THEN 'USAGE' END,
         (SELECT string_agg(p, ' ' ORDER BY p) FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p
           WHERE has_table_privilege(r.oid, c.oid, p))),
       (SELECT coalesce(string_agg(p, ' ' ORDER BY p), '') FROM unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) p
         WHERE (SELECT bool_and(has_sequence_privilege(r.oid, s.oid, p))
                  FROM pg_depend x JOIN pg_class s ON s.oid = x.objid AND s.relkind = 'S'
                 WHERE x.classid = 'pg_class'::regclass AND x.refclassid = 'pg_class'::regclass
                   AND x.refobjid = c.oid AND x.deptype = 'a')),
       (SELECT coalesce(string_agg(CASE WHEN s.setdatabase = 0 THEN '' ELSE 'here: ' END || setting, ', '
                                   ORDER BY s.setdatabase = 0 DESC, setting), '')
          FROM pg_db_role_setting s, unnest(s.setconfig) setting
         WHERE s.setrole = r.oid AND s.setdatabase IN (0, d.oid)),
       concat_ws(' ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
                 CASE WHEN NOT r.rolinherit THEN 'NOINHERIT' END)
  FROM pg_class c, pg_database d, pg_roles r
 WHERE c.oid = to_regclass($1) AND d.datname = current_database()
   AND r.rolname <> session_user
   AND CASE WHEN $3::text[] IS NOT NULL THEN r.rolname = ANY ($3::text[])
            ELSE r.rolcanlogin
                 AND (r.rolname = ANY ($2::text[])
                      OR (NOT r.rolsuper AND (has_table_privilege(r.oid, c.oid, 'SELECT')
                                              OR has_table_privilege(r.oid, c.oid, 'INSERT')))) END
 ORDER BY r.rolname
 LIMIT 200
