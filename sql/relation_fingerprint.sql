-- relation_fingerprint.sql - what a trigger does not see: a difference between two readings means that rows may have
-- come or gone unseen (DESIGN §4.2). The tap's triggers have a fingerprint of their own: tap_fingerprint.sql.
-- $1 text: the table, quoted and qualified.
-- columns (with types), types (that are not built in), partitions (and inheritance children), files
WITH RECURSIVE tree (oid, parent) AS (
  SELECT to_regclass($1)::oid, 0::oid
  UNION ALL
  SELECT i.inhrelid, i.inhparent FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
)
SELECT (SELECT string_agg(concat_ws(' ', a.attnum, quote_ident(a.attname), a.atttypid, a.atttypmod, a.attnotnull,
                                    a.attidentity, a.attgenerated), ', ' ORDER BY a.attnum)
          FROM pg_attribute a
         WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped),
       (SELECT coalesce(string_agg(DISTINCT concat_ws(' ', t.oid, t.typtype, t.typbasetype), ', '), '')
          FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND t.oid >= 16384),
       (SELECT string_agg(concat_ws(' ', t.oid, t.parent), ', ' ORDER BY t.oid) FROM tree t),
       (SELECT string_agg(concat_ws(' ', c.oid, c.relfilenode), ', ' ORDER BY c.oid)
          FROM tree t JOIN pg_class c ON c.oid = t.oid)
