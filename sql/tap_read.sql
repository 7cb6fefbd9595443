-- tap_read.sql - the tap as registered.
-- $1 bigint: key
-- tenant, migration_id, definition, fingerprint; no row: no tap
SELECT t.tenant, t.migration_id, t.definition, t.fingerprint FROM pgshunt.tap t WHERE t.tap = $1::bigint
