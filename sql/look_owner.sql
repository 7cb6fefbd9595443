-- look_owner.sql - does another instance own the migration by now, under a later epoch than ours?
-- $1 uuid: migration; $2 text: this instance; $3 bigint: our epoch. Result: owner_instance; no row: it is still ours.
SELECT owner_instance FROM tenant_migrations
 WHERE id = $1 AND owner_epoch > $3::bigint AND owner_instance IS DISTINCT FROM $2
