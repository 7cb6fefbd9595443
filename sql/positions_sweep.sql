-- positions_sweep.sql - what was captured during the scan has been mirrored: a place that is still reserved is nobody's.
-- $1 uuid: migration
DELETE FROM pgshunt.positions p WHERE p.migration = $1::uuid AND p.reserved
