-- show_report.sql - SHOW REPORT: what was found and done, one row each, the oldest first.
-- $1 uuid: the migration.
SELECT r.n, r.kind, r.created_at, r.operator, r.report->>'result' AS result, r.report->>'level' AS level,
       (r.report->>'sample')::float8 AS sample, (r.report->>'streams')::bigint AS streams,
       (r.report->>'events')::bigint AS events, (r.report->>'violations')::bigint AS violations,
       (r.report->>'repaired')::bigint AS repaired, (r.report->>'pause_ms')::float8 AS pause_ms,
       (r.report->>'duration_ms')::float8 AS duration_ms, r.report->>'first_violation' AS first_violation
  FROM migration_reports r
 WHERE r.migration_id = $1
 ORDER BY r.n
