-- tap_disable.sql - SHARE ROW EXCLUSIVE on the tap's tables; from here on it records and refuses nothing. {function}
DO $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT g.tgrelid::regclass AS relation, g.tgname FROM pg_trigger g
            WHERE g.tgfoid = to_regproc('pgshunt.{function}') AND g.tgparentid = 0 AND g.tgenabled <> 'D' LOOP
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.relation, t.tgname);
  END LOOP;
END $$;
