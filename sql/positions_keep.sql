-- positions_keep.sql - the pairs of a block, in the transaction that writes their rows.
-- $1 uuid: migration, $2 bigint[]: source positions, $3 bigint[]: target positions, $4 bool[]: reserved
INSERT INTO pgshunt.positions (migration, source_position, target_position, reserved)
SELECT $1::uuid, s, t, r FROM unnest($2::bigint[], $3::bigint[], $4::bool[]) AS u (s, t, r)
