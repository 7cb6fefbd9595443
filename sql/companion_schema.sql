-- companion_schema.sql - how far the copy of each companion table has come, in the target. Made once, by whoever comes
-- first. "pgshunt." is replaced by the configured schema. No parameters, no result.
DO $$
BEGIN
  IF to_regnamespace(rtrim('pgshunt.', '.')) IS NULL THEN
    EXECUTE 'CREATE SCHEMA ' || rtrim('pgshunt.', '.');
  END IF;
END $$;

-- last_key: everything up to it has been copied, in the source's order. Written in the transactions that write the rows,
-- behind cursor_hold(), which refuses an earlier owner.
CREATE TABLE IF NOT EXISTS pgshunt.copy_companion (
  migration_id text NOT NULL,
  relation text NOT NULL, -- quoted and qualified
  last_key text[],
  rows bigint NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (migration_id, relation)
) WITH (fillfactor = 50);
