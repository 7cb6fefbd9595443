-- decide_shape.sql - ACCEPT SHAPE, WITHDRAW SHAPE.
-- $1 bigint: its number; $2 boolean: accept; $3 text: operator; $4 text: reason.
SELECT n, what, shape, accepted_at IS NOT NULL AS accepted FROM shape_decide($1, $2, $3, $4)
