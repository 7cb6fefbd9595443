-- mirror_delete_many.sql - all keys of a batch, in the target; the key is several columns.
-- $1: tenant, $2 …: text arrays, one per column. {table}, {tenant_column}, {k_arrays}: $2::text[], …; {k_names}: k1, …;
-- {match}: e.key = k.k1::type AND …
DELETE FROM {table} e USING (SELECT DISTINCT {k_names} FROM unnest({k_arrays}) AS u ({k_names})) k
 WHERE (e.{tenant_column} = $1) IS TRUE AND {match}
