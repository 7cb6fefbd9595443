-- copy_finish_only.sql - copy_finish.sql for a table whose positions come from no sequence; $1 is not used.
-- $1 bigint, $2 text: migration, $3 bigint: epoch, $4 bigint: generation, $5 text: tenant, $6 bool: let it in
-- whether the copy is this owner's, $1, whether the tenant is let in
WITH own AS (
  UPDATE pgshunt.copy_cursor c SET owner_epoch = $3::bigint, generation = $4::bigint
   WHERE c.migration_id = $2 AND c.worker = 0 AND c.owner_epoch <= $3::bigint
  RETURNING true)
SELECT EXISTS (SELECT FROM own), $1::bigint,
       (SELECT pgshunt.tenancy_set($5, true, $4::bigint, false) FROM own WHERE $6::bool)
