-- tap_drop.sql - ACCESS EXCLUSIVE on the tap's tables, for an instant. {function}
DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT g.tgrelid::regclass AS relation, g.tgname FROM pg_trigger g
            WHERE g.tgfoid = to_regproc('pgshunt.{function}') AND g.tgparentid = 0 LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.relation);
  END LOOP;
END $$;
