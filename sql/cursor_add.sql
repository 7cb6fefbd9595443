-- cursor_add.sql - a further worker's part of the positions, in a transaction that holds the first one's row.
-- $1 text: migration, $2 text: tenant, $3 bigint: epoch, $4 integer: worker, $5 bigint: the position before its first,
-- $6 bigint: its last, $7 text: source_identity
INSERT INTO pgshunt.copy_cursor (migration_id, tenant, owner_epoch, worker, position, high, source_identity)
VALUES ($1, $2, $3::bigint, $4::integer, $5::bigint, $6::bigint, $7)
