-- show_failures.sql - SHOW FAILURES: the spells of target failures of a migration, and what they come to.
-- $1 uuid: the migration.
SELECT f.n AS spell, f.failures, f.entries AS events, f.sqlstate, f.error_message AS error, f.first_failed_at AS first,
       f.last_failed_at AS last, f.recovered_at AS recovered
  FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM migration_failed_writes WHERE migration_id = $1) AS f
UNION ALL
SELECT NULL, coalesce(sum(failures), 0)::bigint, coalesce(sum(entries), 0)::bigint, NULL,
       count(*) || ' spells of target failures, ' || count(recovered_at) || ' of them over', min(first_failed_at),
       max(last_failed_at), CASE WHEN count(*) = count(recovered_at) THEN max(recovered_at) END
  FROM migration_failed_writes
 WHERE migration_id = $1
 ORDER BY 1 NULLS LAST
