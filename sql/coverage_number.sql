-- coverage_number.sql - CHECK COVERAGE: numbers for shapes that only a store has seen, so that they can be accepted.
-- $1 jsonb: [{what, shape, why}, …].
WITH numbered AS MATERIALIZED (
    SELECT t.shape, shape_number(t.what, t.shape, t.why) AS n
      FROM jsonb_to_recordset($1::jsonb) AS t (what text, shape text, why text)
)
SELECT numbered.shape, numbered.n, coalesce(shape_is_accepted(s), false)
  FROM numbered LEFT JOIN shapes s ON s.n = numbered.n   -- a new one is not seen by this statement yet
