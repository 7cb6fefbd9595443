-- guard_function.sql - the function behind one table's guard: runs for every row that anybody inserts, updates or deletes,
-- and refuses rows of tenants that do not live in this store. "pgshunt." is replaced by the configured schema, {…} as
-- follows: function: its name; login: quoted text; default: does a tenant without a row in tenancy live here? (true in
-- the default store); new_tenant, old_tenant: the tenant as canonical text, collation "C"; column: the tenant column.
-- No table's oid is in it, so that pg_dump and a restore take it along.
CREATE OR REPLACE FUNCTION pgshunt.{function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $guard$
DECLARE
  stranger text;
BEGIN
  -- The copier brings rows before their tenant lives here. It is known as the tap knows it: by its login.
  IF session_user = {login} AND current_setting('pgshunt.copier', true) = 'on' THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'DELETE' OR
     coalesce((SELECT t.lives_here FROM pgshunt.tenancy t WHERE t.tenant = {new_tenant}), {default}) THEN
    IF TG_OP = 'INSERT' THEN
      RETURN NULL;
    END IF;
    -- What a tenant that has moved has left behind is nobody else's to take, either, and deleting it deletes nothing where
    -- it lives.
    IF (TG_OP = 'UPDATE' AND NEW.{column} IS NOT DISTINCT FROM OLD.{column}) OR
       coalesce((SELECT t.lives_here FROM pgshunt.tenancy t WHERE t.tenant = {old_tenant}), {default}) THEN
      RETURN NULL;
    END IF;
    stranger := {old_tenant};
  ELSE
    stranger := {new_tenant};
  END IF;
  IF stranger IS NULL THEN
    RAISE EXCEPTION 'tenant_lives_elsewhere: rows without a tenant cannot be written here: they live in the default store'
      USING ERRCODE = '0A000', DETAIL = 'Said by the guard of table ' || TG_TABLE_NAME || ', see table pgshunt.tenancy.',
            HINT = 'Connect through pgshunt, which knows where such rows live.';
  ELSIF EXISTS (SELECT FROM pgshunt.tenancy t
                 WHERE t.tenant = stranger AND t.changed_at >= transaction_timestamp()) THEN
    RAISE EXCEPTION 'tenant_moved: tenant % has moved to another store since this transaction began', stranger
      USING ERRCODE = '40001', DETAIL = 'Said by the guard of table ' || TG_TABLE_NAME || ', see table pgshunt.tenancy.',
            HINT = 'Run the transaction again: through pgshunt it will reach the tenant''s store.';
  ELSE
    RAISE EXCEPTION 'tenant_lives_elsewhere: rows of tenant % cannot be written here: it lives in another store', stranger
      USING ERRCODE = '0A000', DETAIL = 'Said by the guard of table ' || TG_TABLE_NAME || ', see table pgshunt.tenancy.',
            HINT = 'Connect through pgshunt, which knows where the tenant lives.';
  END IF;
END $guard$;
REVOKE ALL ON FUNCTION pgshunt.{function}() FROM PUBLIC;
