-- guard_check.sql - does the guard stand on a table and all its partitions, enabled in every session_replication_role?
-- $1 text: the table, quoted and qualified, $2 text: the guard's function, qualified
-- bool
SELECT NOT EXISTS (
  SELECT FROM (SELECT to_regclass($1)::oid AS oid UNION SELECT p.relid FROM pg_partition_tree(to_regclass($1)) p) r
   WHERE NOT EXISTS (SELECT FROM pg_trigger t
                      WHERE t.tgrelid = r.oid AND t.tgname = 'pgshunt_tenancy_guard' AND t.tgfoid = to_regproc($2)
                        AND t.tgenabled = 'A' AND t.tgtype = 29 AND t.tgqual IS NULL AND t.tgattr::text = ''))
