-- positions_ship.sql - pairs into the control database, and those that have gone out of it.
-- $1 uuid: migration, $2 bigint: epoch, $3 bigint[], $4 bigint[], $5 text[]: source, target, event (NULL: none), $6 bigint:
-- the last target position of them, $7 bigint[], $8 bigint[]: source, target of those gone (NULL: none)
SELECT positions_ship($1::uuid, $2::bigint, $3::bigint[], $4::bigint[], $5::text[], $6::bigint, $7::bigint[], $8::bigint[])
