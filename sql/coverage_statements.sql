-- coverage_statements.sql - CHECK COVERAGE: statements of a store's pg_stat_statements that may touch declared tables,
-- most frequent first. Not those of pgshunt itself. SCHEMA is replaced by the extension's.
-- $1 text[]: names of the declared tables.
SELECT s.query, sum(s.calls)::bigint
  FROM SCHEMA.pg_stat_statements s
 WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
   AND s.userid <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user)
   AND pg_catalog.length(s.query) < 65536
   AND EXISTS (SELECT FROM pg_catalog.unnest($1::text[]) AS t (name)
                WHERE pg_catalog.strpos(pg_catalog.lower(s.query), t.name) > 0)
 GROUP BY s.query
 ORDER BY 2 DESC
 LIMIT 1000
