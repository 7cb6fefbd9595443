-- deferred_schema.sql - what a target still has to get when the rows have been copied: indexes that CREATE TARGET SCHEMA …
-- WITH (defer_indexes = on) has left out. A row goes by the commit that makes its index.
-- "pgshunt." is replaced by the configured schema. No parameters, no result.
DO $$
BEGIN
  IF to_regnamespace(rtrim('pgshunt.', '.')) IS NULL THEN
    EXECUTE 'CREATE SCHEMA ' || rtrim('pgshunt.', '.');
  END IF;
END $$;
CREATE TABLE IF NOT EXISTS pgshunt.deferred_index (
  id bigserial PRIMARY KEY,
  name text NOT NULL UNIQUE, -- quoted and qualified
  statement text NOT NULL,
  made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
