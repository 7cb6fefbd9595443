-- positions_draw.sql - a block of the target's own positions, ascending.
-- $1 text: the sequence, quoted and qualified, $2 int: how many
SELECT nextval($1::regclass) FROM generate_series(1, $2::int)
