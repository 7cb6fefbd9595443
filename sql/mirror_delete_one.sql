-- mirror_delete_one.sql - all keys of a batch, in the target; the key is one column.
-- $1: tenant, $2: keys. {table}, {tenant_column}, {key_column}, {key_type}
-- IS TRUE: no index on the tenant may be used, whose statistics know nothing of rows that were just copied.
DELETE FROM {table} e WHERE (e.{tenant_column} = $1) IS TRUE AND e.{key_column} = ANY ($2::{key_type}[])
