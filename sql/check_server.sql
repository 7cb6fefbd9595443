-- check_server.sql - what a server is like, as a migration and the tenant's application will meet it.
-- No parameters.
-- version, in_recovery, read_only, may_replicate (session_replication_role may be set), synchronous_commit, encoding,
-- collation, fsync, full_page_writes, isolation, prepared (max_prepared_transactions), max_connections, reserved, used
-- (client backends), here (of the application, in this database), database_limit (-1: none), allows, checksums
SELECT current_setting('server_version_num')::int,
       pg_is_in_recovery(),
       -- reset_val: what sessions of this login and database begin with; pgshunt's own say otherwise
       (SELECT bool_or(s.reset_val = 'on') FROM pg_settings s WHERE s.name = 'default_transaction_read_only'),
       CASE WHEN current_setting('server_version_num')::int >= 150000
            THEN has_parameter_privilege('session_replication_role', 'SET')
            ELSE (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) END,
       (SELECT coalesce(s.reset_val, '') FROM pg_settings s WHERE s.name = 'synchronous_commit'),
       pg_encoding_to_char(d.encoding),
       d.datcollate || '/' || d.datctype,
       current_setting('fsync'),
       current_setting('full_page_writes'),
       (SELECT s.reset_val FROM pg_settings s WHERE s.name = 'default_transaction_isolation'),
       current_setting('max_prepared_transactions')::int,
       current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int
         + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0),
       (SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'client backend'),
       (SELECT count(*) FROM pg_stat_activity a
         WHERE a.backend_type = 'client backend' AND a.datid = d.oid AND a.usename IS DISTINCT FROM session_user),
       d.datconnlimit,
       d.datallowconn,
       current_setting('data_checksums')
  FROM pg_database d
 WHERE d.datname = current_database()
