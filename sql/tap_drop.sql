-- tap_drop.sql - ACCESS EXCLUSIVE on one of the tap's tables, for an instant.
-- {function}: the tap's first; {relation}: the table's oid
DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT g.tgrelid::regclass AS relation, g.tgname
             FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
            WHERE p.pronamespace = to_regnamespace(rtrim('pgshunt.', '.'))
              AND p.proname BETWEEN name '{function}' AND name '{function}_~'
              AND coalesce(pg_partition_root(g.tgrelid)::oid, g.tgrelid) = {relation}
              AND g.tgparentid = 0 LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.relation);
  END LOOP;
END $$;
