-- relation_columns.sql - a table's live columns in order.
-- $1 oid: the table.
-- name, type (format_type), type_oid, generated bool, identity_always bool, not_null bool, has_default bool
SELECT a.attname,
       format_type(a.atttypid, a.atttypmod),
       a.atttypid,
       a.attgenerated <> '',
       a.attidentity = 'a',
       a.attnotnull,
       a.atthasdef OR a.attidentity <> ''
  FROM pg_attribute a
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
