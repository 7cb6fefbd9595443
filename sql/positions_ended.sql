-- positions_ended.sql - all pairs of a migration are in the control database. $1 uuid: the migration, $2 bigint: epoch
UPDATE tenant_migrations SET positions_at = clock_timestamp()
 WHERE id = $1::uuid AND owner_epoch = $2::bigint AND positions_at IS NULL
