-- tap_function_child.sql - tap_function.sql for a companion table without a tenant column: its rows belong to whom the
-- parent's rows with the same values belong. {…} as there, and new_mine, old_mine: is there a row of the parent that is the
-- tenant's?; new_known, old_known: is there any?
-- A row whose parent is not to be seen may be the tenant's all the same: a cascade has removed the parent, or it comes
-- later. Such a key is recorded, and the mirror sorts it out; but it is refused to nobody.
CREATE OR REPLACE FUNCTION pgshunt.{function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp {settings}AS $tap$
DECLARE
  state bigint;
  mine boolean := TG_OP = 'TRUNCATE';
  strange boolean := false;
BEGIN
  IF session_user = {login} AND current_setting('pgshunt.copier', true) = 'on' THEN
    RETURN NULL;
  END IF;
  IF TG_OP IN ('INSERT', 'UPDATE') THEN
    mine := {new_mine};
    strange := NOT mine AND {new_known};
  END IF;
  IF NOT mine AND TG_OP IN ('UPDATE', 'DELETE') THEN
    mine := {old_mine};
    strange := NOT mine AND (strange OR TG_OP = 'DELETE') AND {old_known};
  END IF;
  IF strange THEN
    RETURN NULL;
  END IF;
  PERFORM pg_advisory_xact_lock_shared({key});
  state := pg_sequence_last_value('pgshunt.{state}'::regclass);
  IF (state & 3) IS DISTINCT FROM 0 THEN
    IF state IS NULL THEN
      RAISE EXCEPTION 'the tap of tenant % has no state', {tenant} USING ERRCODE = '55000';
    ELSIF NOT mine OR TG_OP = 'TRUNCATE' THEN
      RETURN NULL;
    ELSIF transaction_timestamp() <= to_timestamp(0) +
          pg_sequence_last_value('pgshunt.{time}'::regclass) * interval '1 microsecond' THEN
      RAISE EXCEPTION 'tenant_moved: tenant % has moved to another store since this transaction began', {tenant}
        USING ERRCODE = '40001', HINT = 'Run the transaction again: through pgshunt it will reach the tenant''s store.';
    ELSE
      RAISE EXCEPTION 'tenant_lives_elsewhere: rows of tenant % cannot be written here: it has moved to another store',
        {tenant} USING ERRCODE = '0A000', HINT = 'Connect through pgshunt, which knows where the tenant lives.';
    END IF;
  END IF;
  IF TG_OP = 'INSERT' THEN
    INSERT INTO pgshunt.captured (tap, relation, op, key, pid, application_name)
    VALUES ({key}, {relation}, 'I', {new_key}, pg_backend_pid(), current_setting('application_name'));
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO pgshunt.captured (tap, relation, op, key, old_key, pid, application_name)
    VALUES ({key}, {relation}, 'U', {new_key}, CASE WHEN {key_changed} THEN {old_key} END, pg_backend_pid(),
            current_setting('application_name'));
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO pgshunt.captured (tap, relation, op, key, pid, application_name)
    VALUES ({key}, {relation}, 'D', {old_key}, pg_backend_pid(), current_setting('application_name'));
  ELSE
    INSERT INTO pgshunt.captured (tap, relation, op, pid, application_name)
    VALUES ({key}, {relation}, 'T', pg_backend_pid(), current_setting('application_name'));
  END IF;
  RETURN NULL;
END $tap$;
REVOKE ALL ON FUNCTION pgshunt.{function}() FROM PUBLIC;
