-- cursor_schema.sql - how far copies have come, in the target. Made once, by whoever comes first.
-- "pgshunt." is replaced by the configured schema. No parameters, no result.
SELECT pg_advisory_xact_lock(31636337386087028);
DO $$
BEGIN
  IF to_regnamespace(rtrim('pgshunt.', '.')) IS NULL THEN
    EXECUTE 'CREATE SCHEMA ' || rtrim('pgshunt.', '.');
  END IF;
END $$;

-- One row per copy worker. position: everything of its part at or below has been copied; high: where its part ends. done, and
-- then events and bytes of all, stand in the row of worker 0.
CREATE TABLE IF NOT EXISTS pgshunt.copy_cursor (
  migration_id text NOT NULL,
  worker integer NOT NULL DEFAULT 0,
  tenant text NOT NULL,
  owner_epoch bigint NOT NULL,
  position bigint NOT NULL,
  high bigint,
  events bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false,
  source_identity text NOT NULL DEFAULT '',
  generation bigint, -- of the route that let the tenant live here: written in the cutover, before its switch
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration_id, worker)
) WITH (fillfactor = 50);
-- System identifier and timeline of the target that has been written: a standby that was promoted may lack the last of it.
DO $$
BEGIN -- looked at first: ALTER TABLE would wait for every copy that is writing
  IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'pgshunt.copy_cursor'::regclass
                    AND a.attname = 'target_identity') THEN
    ALTER TABLE pgshunt.copy_cursor ADD COLUMN target_identity text NOT NULL DEFAULT '';
  END IF;
END $$;

-- In every transaction that writes rows: fails it, and what is queued behind it, if a later owner has come. An epoch
-- that was raised without a change of owner (a cutover begins) is taken over on the way.
CREATE OR REPLACE FUNCTION pgshunt.cursor_hold(migration text, epoch bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stored bigint;
BEGIN
  SELECT c.owner_epoch INTO stored FROM pgshunt.copy_cursor c
   WHERE c.migration_id = migration AND c.worker = 0 FOR NO KEY UPDATE;
  IF stored < epoch THEN
    UPDATE pgshunt.copy_cursor c SET owner_epoch = epoch WHERE c.migration_id = migration AND c.worker = 0;
  ELSIF stored IS DISTINCT FROM epoch THEN
    RAISE EXCEPTION 'the copy belongs to another owner: epoch % has been overtaken by %', epoch,
      coalesce(stored::text, 'nobody') USING ERRCODE = '55000';
  END IF;
END $$;
REVOKE ALL ON FUNCTION pgshunt.cursor_hold(text, bigint) FROM PUBLIC;

-- The same for a copy worker, which holds its own row only: workers must not wait for each other.
CREATE OR REPLACE FUNCTION pgshunt.cursor_hold_worker(migration text, epoch bigint, of_worker integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stored bigint;
BEGIN
  SELECT c.owner_epoch INTO stored FROM pgshunt.copy_cursor c
   WHERE c.migration_id = migration AND c.worker = of_worker FOR NO KEY UPDATE;
  IF stored IS DISTINCT FROM epoch THEN
    RAISE EXCEPTION 'the copy belongs to another owner: epoch % has been overtaken by %', epoch,
      coalesce(stored::text, 'nobody') USING ERRCODE = '55000';
  END IF;
END $$;
REVOKE ALL ON FUNCTION pgshunt.cursor_hold_worker(text, bigint, integer) FROM PUBLIC;
