-- tap_register.sql - in the transaction that has made the triggers.
-- $1 bigint: key, $2 text: tenant, $3 oid: table, $4 text: migration, $5 text: definition, $6 text: fingerprint, $7 text: function
-- the number of triggers that are not ENABLE ALWAYS: must be 0
WITH gone AS (DELETE FROM pgshunt.captured WHERE tap = $1::bigint),
     made AS (INSERT INTO pgshunt.tap (tap, tenant, relation, migration_id, definition, fingerprint)
              VALUES ($1::bigint, $2, $3::oid, $4, $5, $6))
SELECT count(*) FROM pg_trigger t WHERE t.tgfoid = to_regproc($7) AND t.tgenabled <> 'A'
