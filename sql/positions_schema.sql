-- positions_schema.sql - where the target's own positions stand beside the source's (position_mode = assign), in the target.
-- Made by whoever comes first, in the transaction that makes the cursor's table. "pgshunt." is replaced by the configured
-- schema. No parameters, no result.

-- One row per source position that the target has a row of: written in the transaction that writes the row. reserved: the
-- scan has met a row that is captured, and keeps its place in the order; the mirror brings the row, or finds it gone.
CREATE TABLE IF NOT EXISTS pgshunt.positions (
  migration uuid NOT NULL,
  source_position bigint NOT NULL,
  target_position bigint NOT NULL,
  reserved boolean NOT NULL DEFAULT false,
  PRIMARY KEY (migration, source_position),
  UNIQUE (migration, target_position)
);
CREATE INDEX IF NOT EXISTS positions_reserved ON pgshunt.positions (migration) WHERE reserved;

-- Pairs whose row has gone, until the control database has been told.
CREATE TABLE IF NOT EXISTS pgshunt.positions_gone (
  migration uuid NOT NULL,
  source_position bigint NOT NULL,
  target_position bigint NOT NULL,
  PRIMARY KEY (migration, target_position)
);

-- The target's position for a source position: the one that it has, or the sequence's next. PS001: the sequence is behind
-- the source (nobody may get a lower position than he had): sequence_raise() first.
CREATE OR REPLACE FUNCTION pgshunt.position_take(its uuid, source bigint, giver regclass) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  given bigint;
  kept boolean;
BEGIN
  SELECT p.target_position, p.reserved INTO given, kept
    FROM pgshunt.positions p WHERE p.migration OPERATOR(pg_catalog.=) its AND p.source_position OPERATOR(pg_catalog.=) source;
  IF FOUND THEN
    IF kept THEN
      UPDATE pgshunt.positions p SET reserved = false
       WHERE p.migration OPERATOR(pg_catalog.=) its AND p.source_position OPERATOR(pg_catalog.=) source;
    END IF;
    RETURN given;
  END IF;
  given := pg_catalog.nextval(giver);
  IF given OPERATOR(pg_catalog.<) source THEN
    RAISE EXCEPTION 'the target''s sequence gives %, the source has given % already', given, source
      USING ERRCODE = 'PS001';
  END IF;
  INSERT INTO pgshunt.positions (migration, source_position, target_position) VALUES (its, source, given);
  RETURN given;
END $$;
REVOKE ALL ON FUNCTION pgshunt.position_take(uuid, bigint, regclass) FROM PUBLIC;

-- Moves a sequence up, never down, while others draw from it: ALTER SEQUENCE waits for every transaction that has drawn and
-- keeps the next from drawing. (A setval() without that could take back what somebody has drawn after it was looked at.)
-- Whoever has numbers cached goes on with them: they are below, and nobody else's.
CREATE OR REPLACE FUNCTION pgshunt.sequence_raise(giver regclass, lowest bigint, slack bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  was bigint;
  its pg_sequence;
BEGIN
  SELECT s.* INTO STRICT its FROM pg_sequence s WHERE s.seqrelid = giver;
  EXECUTE format('ALTER SEQUENCE %s CACHE %s', giver, its.seqcache);
  EXECUTE format('SELECT last_value FROM %s', giver) INTO was;
  IF was >= lowest THEN
    RETURN was;
  END IF;
  RETURN setval(giver, greatest(lowest, least(its.seqmax - its.seqcache, lowest + slack)));
END $$;
