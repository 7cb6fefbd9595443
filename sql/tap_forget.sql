-- tap_forget.sql - what is left of a tap when its triggers are gone. {function}, {state}, {time}, {key}
DROP FUNCTION IF EXISTS pgshunt.{function}();
DROP SEQUENCE IF EXISTS pgshunt.{state}, pgshunt.{time};
DO $$
BEGIN
  IF to_regclass('pgshunt.captured') IS NOT NULL THEN
    DELETE FROM pgshunt.captured WHERE tap = {key};
    DELETE FROM pgshunt.tap_lock_holder WHERE tap = {key};
    DELETE FROM pgshunt.tap WHERE tap = {key};
  END IF;
END $$;
