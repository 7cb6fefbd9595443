-- guard_schema.sql - what a store knows about who lives in it. Made at START in source and target, also where
-- guard = off: a guard that is put in later must find it complete.
-- "pgshunt." is replaced by the configured schema. No parameters, no result.
DO $$
BEGIN
  IF to_regnamespace(rtrim('pgshunt.', '.')) IS NULL THEN
    EXECUTE 'CREATE SCHEMA ' || rtrim('pgshunt.', '.');
  END IF;
END $$;

-- Exceptions and what was one. A tenant without a row lives here if this is the default store, and nowhere near here if
-- it is another. A row stays when its tenant comes back (lives_here = true): its generation, of the route that says so,
-- keeps a process that has slept through the move from writing down what was true before.
-- By hand: UPDATE pgshunt.tenancy SET lives_here = … WHERE tenant = '…' is obeyed at once.
CREATE TABLE IF NOT EXISTS pgshunt.tenancy (
  tenant text COLLATE "C" PRIMARY KEY, -- in canonical form: a uuid in lower case, a number without leading zeros
  lives_here boolean NOT NULL,
  generation bigint NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_by text NOT NULL DEFAULT session_user
);

-- Writes down where a tenant lives by a route's generation; an older one changes nothing. What goes without saying
-- (no row, and the store's default says the same) gets no row. Returns what the store says afterwards.
CREATE OR REPLACE FUNCTION pgshunt.tenancy_set(tenant_id text, here boolean, route_generation bigint,
                                               default_here boolean) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF here IS DISTINCT FROM default_here THEN
    INSERT INTO pgshunt.tenancy (tenant, lives_here, generation) VALUES (tenant_id, here, route_generation)
    ON CONFLICT (tenant) DO NOTHING;
  END IF;
  UPDATE pgshunt.tenancy t
     SET lives_here = here, generation = route_generation, changed_by = session_user,
         changed_at = CASE WHEN t.lives_here = here THEN t.changed_at ELSE clock_timestamp() END
   WHERE t.tenant = tenant_id AND t.generation <= route_generation
     AND (t.lives_here, t.generation) IS DISTINCT FROM (here, route_generation);
  RETURN coalesce((SELECT t.lives_here FROM pgshunt.tenancy t WHERE t.tenant = tenant_id), default_here);
END $$;
REVOKE ALL ON FUNCTION pgshunt.tenancy_set(text, boolean, bigint, boolean) FROM PUBLIC;
