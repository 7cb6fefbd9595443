-- positions_gone_told.sql - the control database does not have them any more.
-- $1 uuid: migration, $2 bigint[]: target positions
DELETE FROM pgshunt.positions_gone g WHERE g.migration = $1::uuid AND g.target_position = ANY ($2::bigint[])
