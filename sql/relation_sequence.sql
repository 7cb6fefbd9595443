-- relation_sequence.sql - the sequence that gives a column its values: its identity's, else the one named in its default, else
-- one that it owns (and that an application may draw from by itself).
-- $1 oid: the table, $2 text: the column.
-- the sequence, quoted and qualified; no row: none.
SELECT quote_ident(n.nspname) || '.' || quote_ident(s.relname)
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  JOIN pg_depend p
    ON (p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass
        AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype IN ('a', 'i'))
    OR (p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass)
  JOIN pg_class s
    ON s.relkind = 'S'
   AND s.oid = CASE WHEN p.classid = 'pg_class'::regclass THEN p.objid ELSE p.refobjid END
  JOIN pg_namespace n ON n.oid = s.relnamespace
 WHERE a.attrelid = $1::oid AND a.attname = $2
 ORDER BY p.deptype = 'i' DESC, p.classid = 'pg_attrdef'::regclass DESC
 LIMIT 1
