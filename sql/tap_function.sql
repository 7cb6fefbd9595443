-- tap_function.sql - the function behind one tap's triggers: runs in every transaction that changes a row of the tenant.
-- Made for one tenant and one table, so that it has no CASE and no dynamic SQL. "pgshunt." is replaced by the configured
-- schema, {…} as follows: function: its name; key: the lock key; state, time: the sequences; tenant, login: quoted text;
-- relation: the table's oid; new_key, old_key: ARRAY[…] of the key's columns as text; key_changed: a condition;
-- settings: SET clauses that make the key's text the same in every session.
CREATE OR REPLACE FUNCTION pgshunt.{function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp {settings}AS $tap$
DECLARE
  state bigint;
BEGIN
  -- The copier passes unrecorded. It is known by its login, which no application may use; the setting only keeps an
  -- application that does use it from being overlooked (a setting alone would prove nothing).
  IF session_user = {login} AND current_setting('pgshunt.copier', true) = 'on' THEN
    RETURN NULL;
  END IF;
  PERFORM pg_advisory_xact_lock_shared({key});
  -- Read outside snapshots: a REPEATABLE READ transaction that is older than the move sees it, too.
  state := pg_sequence_last_value('pgshunt.{state}'::regclass);
  IF (state & 3) IS DISTINCT FROM 0 THEN
    IF state IS NULL THEN
      RAISE EXCEPTION 'the tap of tenant % has no state', {tenant} USING ERRCODE = '55000';
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
