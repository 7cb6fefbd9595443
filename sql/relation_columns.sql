-- relation_columns.sql - a table's live columns in order.
-- $1 oid: the table.
-- name, type (format_type), type_oid, generated bool, identity_always bool, not_null bool, has_default bool,
-- tenant_type (of a domain the type at its bottom, anyenum for an enum), loose bool (a non-deterministic collation: equal
-- values may have different texts), rounds bool (a numeric of negative scale), incomparable bool (a domain over an enum, for
-- which PostgreSQL finds no operator =), text_only bool (a composite type, or an array of a type that is not built in: their
-- binary forms name types by OID)
WITH RECURSIVE base (attnum, oid, typtype, typbasetype, typmod, below) AS (
  SELECT a.attnum, t.oid, t.typtype, t.typbasetype, a.atttypmod, t.typtypmod
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
   WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attnum, t.oid, t.typtype, t.typbasetype, b.below, t.typtypmod
    FROM base b JOIN pg_type t ON t.oid = b.typbasetype
   WHERE b.typtype = 'd'
)
SELECT a.attname,
       format_type(a.atttypid, a.atttypmod),
       a.atttypid,
       a.attgenerated <> '',
       a.attidentity = 'a',
       a.attnotnull,
       a.atthasdef OR a.attidentity <> '',
       CASE b.typtype WHEN 'e' THEN 'anyenum'::regtype::oid ELSE b.oid END,
       NOT coalesce(l.collisdeterministic, true),
       b.oid = 'numeric'::regtype AND b.typmod > -1 AND (b.typmod - 4) & 1024 <> 0,
       b.typtype = 'e' AND b.oid <> a.atttypid,
       b.typtype = 'c' OR EXISTS (SELECT FROM pg_type el WHERE el.typarray = b.oid AND el.oid >= 16384)
  FROM pg_attribute a
  JOIN base b ON b.attnum = a.attnum AND b.typtype <> 'd'
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
