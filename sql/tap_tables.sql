-- tap_tables.sql - the tables that one tap's triggers stand on. (Its functions are called as the first, with something
-- behind it for each companion table.)
-- $1 text: schema of the functions, $2 text: the first function's name.
-- oid, table (quoted and qualified)
SELECT DISTINCT r.oid, quote_ident(n.nspname) || '.' || quote_ident(r.relname)
  FROM pg_proc p
  JOIN pg_trigger t ON t.tgfoid = p.oid AND t.tgparentid = 0
  JOIN pg_class r ON r.oid = coalesce(pg_partition_root(t.tgrelid)::oid, t.tgrelid)
  JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE p.pronamespace = to_regnamespace($1) AND p.proname BETWEEN $2::name AND ($2 || '_~')::name
 ORDER BY 1 DESC
