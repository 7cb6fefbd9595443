-- tap_disable.sql - SHARE ROW EXCLUSIVE on one of the tap's tables; from here on it records and refuses nothing there.
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
              AND g.tgparentid = 0 AND g.tgenabled <> 'D' LOOP
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.relation, t.tgname);
  END LOOP;
END $$;
