-- describe_backends.sql - who is behind these backends of a store.
-- $1 int[]: pids. pid, age_ms of the transaction, query, usename, application_name; the oldest first
SELECT pid, coalesce((extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint, 0), query,
       coalesce(usename, ''), coalesce(application_name, '')
  FROM pg_stat_activity
 WHERE pid = ANY ($1::int[]) AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY 2 DESC
