-- control_002.sql - version 2 of the control schema: shapes of statements that an operator must know of before a
-- tenant moves (feeds over all tenants, what a rehearsal has found), and what he has said of them.

-- What is wrong with which shape. Its number is for ACCEPT SHAPE, and never changes.
CREATE TABLE shapes (
    n               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    what            text NOT NULL,
    shape           text NOT NULL,       -- as sql/print prints it: ASCII, no content of a literal, at most 1000 bytes
    why             text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    accepted_at     timestamptz,
    accepted_by     text,
    accepted_reason text,
    CONSTRAINT shapes_once UNIQUE (what, shape)
);

-- Where and when it was seen. migration_id: whose rehearsal has found it; '': any statement, whatever is moving.
CREATE TABLE shape_sightings (
    n             bigint NOT NULL REFERENCES shapes ON DELETE CASCADE,
    migration_id  text NOT NULL,
    instance_id   text NOT NULL,
    count         bigint NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    PRIMARY KEY (n, migration_id, instance_id)
);

-- The number of a shape; a new one if need be. There are at most 5000: what comes later shares one.
CREATE FUNCTION shape_number(its_what text, its_shape text, its_why text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    name text := its_shape;
BEGIN
    SELECT n INTO number FROM shapes WHERE what = its_what AND shape = name;
    IF number IS NULL AND (SELECT count(*) FROM shapes) >= 5000 THEN
        name := '(more shapes than are kept)';
        SELECT n INTO number FROM shapes WHERE what = its_what AND shape = name;
    END IF;
    IF number IS NULL THEN
        INSERT INTO shapes (what, shape, why) VALUES (its_what, name, its_why)
            ON CONFLICT (what, shape) DO NOTHING;
        SELECT n INTO number FROM shapes WHERE what = its_what AND shape = name;
    END IF;
    RETURN number;
END $$;

-- What an instance has seen since it last said so: [{what, migration, shape, why, count, first, last}, …], times in
-- seconds since 1970.
CREATE FUNCTION shapes_note(instance text, notes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    note record;
BEGIN
    FOR note IN SELECT * FROM jsonb_to_recordset(notes)
                    AS t (what text, migration text, shape text, why text, count bigint, first bigint, last bigint)
                ORDER BY what, shape, migration LOOP
        INSERT INTO shape_sightings AS s (n, migration_id, instance_id, count, first_seen_at, last_seen_at)
        VALUES (shape_number(note.what, note.shape, note.why), note.migration, instance, note.count,
                to_timestamp(note.first), to_timestamp(note.last))
        ON CONFLICT (n, migration_id, instance_id) DO UPDATE
            SET count = s.count + excluded.count, last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at);
    END LOOP;
END $$;

-- ACCEPT SHAPE and WITHDRAW SHAPE, audited. No row: there is no such shape.
CREATE FUNCTION shape_decide(number bigint, accept boolean, who text, reason text) RETURNS SETOF shapes
LANGUAGE plpgsql AS $$
DECLARE
    decided shapes;
BEGIN
    UPDATE shapes
       SET accepted_at = CASE WHEN accept THEN clock_timestamp() END,
           accepted_by = CASE WHEN accept THEN who END,
           accepted_reason = CASE WHEN accept THEN reason END
     WHERE n = number
    RETURNING * INTO decided;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO migration_audit_log (event_type, details, operator)
    VALUES (CASE WHEN accept THEN 'shape_accepted' ELSE 'shape_withdrawn' END,
            jsonb_build_object('n', number, 'what', decided.what, 'shape', decided.shape, 'reason', reason), who);
    RETURN NEXT decided;
END $$;

-- A feed that is accepted may also run in a moving tenant's own transactions.
CREATE FUNCTION shape_is_accepted(its shapes) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT its.accepted_at IS NOT NULL
        OR (its.what = 'missed_rows'
            AND EXISTS (SELECT FROM shapes f WHERE f.what = 'feed' AND f.shape = its.shape AND f.accepted_at IS NOT NULL))
$$;
