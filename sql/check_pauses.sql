-- check_pauses.sql - how long the cutovers took that this installation has done.
-- No parameters. count, median and longest pause in milliseconds (NULL: none yet)
SELECT count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY (m.cutover_report ->> 'pause_ms')::float8),
       max((m.cutover_report ->> 'pause_ms')::float8)
  FROM tenant_migrations m
 WHERE m.state = 'migrated' AND m.cutover_report ->> 'pause_ms' ~ '^[0-9.]+$'
