-- positions_sequence.sql - whether a sequence gives each number once, in ascending order.
-- $1 text: the sequence, quoted and qualified. Result: bool
SELECT s.seqincrement > 0 AND NOT s.seqcycle FROM pg_sequence s WHERE s.seqrelid = $1::regclass
