-- deferred_next.sql - the next index to make, held until our transaction ends: of two who build, one waits and finds it done.
-- "pgshunt." is replaced by the configured schema. No parameters.
-- id, name, statement, taken (something of that name is there), made (it is that index), left (how many there are)
SELECT d.id, d.name, d.statement, to_regclass(d.name) IS NOT NULL,
       coalesce(regexp_replace(pg_get_indexdef(to_regclass(d.name)), ' ON ONLY ', ' ON ') = d.statement, false),
       (SELECT count(*) FROM pgshunt.deferred_index)
  FROM pgshunt.deferred_index d
 ORDER BY d.id
 LIMIT 1
   FOR UPDATE
