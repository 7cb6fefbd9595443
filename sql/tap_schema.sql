-- tap_schema.sql - what every tap of a store shares: made once, in one transaction, by whoever comes first.
-- "pgshunt." is replaced by the configured schema. No parameters, no result.
DO $$
BEGIN
  IF to_regnamespace(rtrim('pgshunt.', '.')) IS NULL THEN
    EXECUTE 'CREATE SCHEMA ' || rtrim('pgshunt.', '.');
  END IF;
END $$;

-- What the taps have recorded and the mirror has not moved yet. A queue: many rows come and go, few are there.
-- tap: the tenant's lock key (tap_key()); key: the row's key as text, one element per column; old_key: where an UPDATE
-- has changed it; op: I, U, D, or T for a TRUNCATE (key is NULL then).
-- CACHE 1: ids are handed out in the order of the inserts, which the mirror's floor builds on.
CREATE TABLE IF NOT EXISTS pgshunt.captured (
  id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
  tap bigint NOT NULL,
  relation oid NOT NULL,
  op "char" NOT NULL,
  key text[],
  old_key text[],
  pid integer NOT NULL,
  application_name text NOT NULL,
  captured_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tap, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);
-- By key alone: statements that look for a key say "(tap = …) IS TRUE", so that no plan walks all entries of a tap
-- instead (a queue that was empty when it was last vacuumed counts as empty).
CREATE INDEX IF NOT EXISTS captured_key ON pgshunt.captured (key);
CREATE INDEX IF NOT EXISTS captured_old_key ON pgshunt.captured (old_key) WHERE old_key IS NOT NULL;

-- The taps that stand. A row is written by the transaction that makes the triggers: it is there if and only if they are.
CREATE TABLE IF NOT EXISTS pgshunt.tap (
  tap bigint PRIMARY KEY,
  tenant text NOT NULL,
  relation oid NOT NULL,
  migration_id text NOT NULL,
  definition text NOT NULL,
  fingerprint text NOT NULL
);

-- Sessions that may hold a tap's exclusive lock: a successor ends them before it takes over.
CREATE TABLE IF NOT EXISTS pgshunt.tap_lock_holder (
  tap bigint NOT NULL,
  pid integer NOT NULL,
  backend_start timestamptz NOT NULL,
  epoch bigint NOT NULL,
  PRIMARY KEY (tap, pid)
);

-- State and epoch of a tap are one number in a sequence, epoch * 4 + state, because a sequence is read outside
-- snapshots. A setval has no WHERE: what may change the state is checked here, under the tap's row lock.
CREATE OR REPLACE FUNCTION pgshunt.tap_set(tap_key bigint, new_epoch bigint, new_state integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  suffix text := lpad(to_hex(tap_key), 16, '0');
  stored bigint;
BEGIN
  IF new_state NOT IN (0, 1) THEN
    RAISE EXCEPTION 'a tap is open (0) or shut (1), not %', new_state USING ERRCODE = '22023';
  END IF;
  PERFORM FROM pgshunt.tap t WHERE t.tap = tap_key FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no tap %', suffix USING ERRCODE = '55000';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_locks l
                  WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock'
                    AND l.pid = pg_backend_pid() AND l.objsubid = 1
                    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                    AND l.classid = ((tap_key >> 32) & 4294967295)::oid AND l.objid = (tap_key & 4294967295)::oid) THEN
    RAISE EXCEPTION 'tap %: this session does not hold the exclusive lock', suffix USING ERRCODE = '55000';
  END IF;
  stored := pg_sequence_last_value(('pgshunt.tap_state_' || suffix)::regclass);
  IF stored >> 2 > new_epoch THEN
    RAISE EXCEPTION 'tap %: epoch % has been overtaken by %', suffix, new_epoch, stored >> 2 USING ERRCODE = '55000';
  END IF;
  IF new_state = 1 THEN -- the time first: whoever reads "shut" must find it
    PERFORM setval(('pgshunt.tap_time_' || suffix)::regclass, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
  END IF;
  PERFORM setval(('pgshunt.tap_state_' || suffix)::regclass, new_epoch * 4 + new_state);
END $$;

-- A new owner makes itself known without the exclusive lock: an open tap stays open, under the new epoch, and an
-- earlier owner that wakes up can shut it no more. A shut one is left as it is: tap_set decides.
CREATE OR REPLACE FUNCTION pgshunt.tap_claim(tap_key bigint, new_epoch bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  suffix text := lpad(to_hex(tap_key), 16, '0');
  stored bigint;
BEGIN
  PERFORM FROM pgshunt.tap t WHERE t.tap = tap_key FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no tap %', suffix USING ERRCODE = '55000';
  END IF;
  stored := pg_sequence_last_value(('pgshunt.tap_state_' || suffix)::regclass);
  IF stored >> 2 > new_epoch THEN
    RAISE EXCEPTION 'tap %: epoch % has been overtaken by %', suffix, new_epoch, stored >> 2 USING ERRCODE = '55000';
  END IF;
  IF stored & 3 = 0 AND stored >> 2 < new_epoch THEN
    PERFORM setval(('pgshunt.tap_state_' || suffix)::regclass, new_epoch * 4);
  END IF;
END $$;

-- Step 5 of a cutover, in one round trip: nothing may be left to mirror.
CREATE OR REPLACE FUNCTION pgshunt.tap_shut(tap_key bigint, new_epoch bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  left_over bigint;
BEGIN
  SELECT count(*) INTO left_over FROM pgshunt.captured c WHERE c.tap = tap_key;
  IF left_over > 0 THEN
    RAISE EXCEPTION '% captured changes are not mirrored yet', left_over USING ERRCODE = '55000';
  END IF;
  PERFORM pgshunt.tap_set(tap_key, new_epoch, 1);
END $$;

REVOKE ALL ON FUNCTION pgshunt.tap_set(bigint, bigint, integer), pgshunt.tap_claim(bigint, bigint),
                       pgshunt.tap_shut(bigint, bigint) FROM PUBLIC;
