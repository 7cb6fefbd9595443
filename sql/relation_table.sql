-- relation_table.sql - what a store's event table is, and which cluster it stands in.
-- $1 text: the table, quoted and qualified ("public"."events").
-- oid, relkind, inheritance_children bool (children that are not partitions), foreign_partition bool (the name of one,
-- NULL: none), system_identifier, timeline, started_at, database_oid, server_version. No row: no such table.
SELECT c.oid,
       c.relkind,
       c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AS inheritance_children,
       (SELECT p.relid::regclass::text
          FROM pg_partition_tree(c.oid) p JOIN pg_class f ON f.oid = p.relid
         WHERE f.relkind = 'f' LIMIT 1) AS foreign_partition,
       (SELECT s.system_identifier FROM pg_control_system() s) AS system_identifier,
       CASE WHEN pg_is_in_recovery() THEN 'recovery'
            ELSE substring(pg_walfile_name(pg_current_wal_insert_lsn()) FOR 8) END AS timeline,
       (extract(epoch FROM pg_postmaster_start_time()) * 1000)::bigint AS started_at,
       (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database_oid,
       current_setting('server_version_num')::int AS server_version
  FROM pg_class c
 WHERE c.oid = to_regclass($1)
