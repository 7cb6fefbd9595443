-- tap_forget.sql - what is left of a tap when its triggers are gone. {function}: its first; {state}, {time}, {key}
DO $$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
            WHERE p.pronamespace = to_regnamespace(rtrim('pgshunt.', '.'))
              AND p.proname BETWEEN name '{function}' AND name '{function}_~' LOOP
    EXECUTE format('DROP FUNCTION %s', f.signature);
  END LOOP;
END $$;
DROP SEQUENCE IF EXISTS pgshunt.{state}, pgshunt.{time};
DO $$
BEGIN
  IF to_regclass('pgshunt.captured') IS NOT NULL THEN
    DELETE FROM pgshunt.captured WHERE tap = {key};
    DELETE FROM pgshunt.tap_lock_holder WHERE tap = {key};
    DELETE FROM pgshunt.tap WHERE tap = {key};
  END IF;
END $$;
