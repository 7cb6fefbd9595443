-- mirror_delete_child.sql - all keys of a batch, in the target, of a companion table without a tenant column: rows of the
-- tenant, and rows whose parent is not there.
-- $1: tenant, $2 …: text arrays, one per column. {table}, {k_arrays}, {k_names}, {match}; {parent}: the parent's rows with
-- e's values, alias parent; {parent_tenant}: its column
DELETE FROM {table} e USING (SELECT DISTINCT {k_names} FROM unnest({k_arrays}) AS u ({k_names})) k
 WHERE {match} AND NOT EXISTS (SELECT FROM {parent} AND parent.{parent_tenant} <> $1)
