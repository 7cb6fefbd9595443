-- check_space.sql - how large the event table is, and where it stands.
-- $1 oid: the table. bytes (with its indexes), rows (as the statistics have them), tablespace, inserts a second (of all
-- tenants, since statistics were reset)
SELECT (SELECT coalesce(sum(pg_total_relation_size(p.relid)), 0) FROM pg_partition_tree($1::oid::regclass) p)
         + CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_total_relation_size(c.oid)
                * (NOT EXISTS (SELECT FROM pg_partition_tree($1::oid::regclass) p))::int END,
       (SELECT coalesce(sum(greatest(x.reltuples, 0)), 0)::bigint FROM pg_class x
         WHERE x.oid = c.oid OR x.oid IN (SELECT p.relid FROM pg_partition_tree($1::oid::regclass) p WHERE p.isleaf)),
       coalesce((SELECT t.spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace),
                (SELECT t.spcname FROM pg_tablespace t JOIN pg_database d ON d.dattablespace = t.oid
                  WHERE d.datname = current_database())),
       (SELECT coalesce(sum(s.n_tup_ins), 0) / greatest(extract(epoch FROM now()
                 - coalesce(max(b.stats_reset), pg_postmaster_start_time())), 1)
          FROM pg_stat_user_tables s, pg_stat_database b
         WHERE b.datname = current_database()
           AND (s.relid = c.oid OR s.relid IN (SELECT p.relid FROM pg_partition_tree($1::oid::regclass) p)))::bigint
  FROM pg_class c
 WHERE c.oid = $1::oid
