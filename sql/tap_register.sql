-- tap_register.sql - in the transaction that has made the triggers on the event table, the last of the tap's tables.
-- $1 bigint: key, $2 text: tenant, $3 oid: table, $4 text: migration, $5 text: definition, $6 text: fingerprint,
-- $7 text: the tap's first function, qualified
-- the number of triggers that are not ENABLE ALWAYS: must be 0
WITH made AS (INSERT INTO pgshunt.tap (tap, tenant, relation, migration_id, definition, fingerprint)
              VALUES ($1::bigint, $2, $3::oid, $4, $5, $6))
SELECT count(*)
  FROM pg_proc f
  JOIN pg_proc p ON p.pronamespace = f.pronamespace AND p.proname BETWEEN f.proname AND (f.proname || '_~')::name
  JOIN pg_trigger t ON t.tgfoid = p.oid
 WHERE f.oid = to_regproc($7) AND t.tgenabled <> 'A'
