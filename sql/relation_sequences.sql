-- relation_sequences.sql - the columns of a table that take their values from a sequence: its identity's, else the one named
-- in a default, else one that it owns.
-- $1 oid: the table.
-- column name, sequence (quoted and qualified), type of the column
SELECT DISTINCT ON (a.attnum) a.attname, quote_ident(n.nspname) || '.' || quote_ident(s.relname),
       format_type(a.atttypid, NULL)
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
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (20, 21, 23)
 ORDER BY a.attnum, p.deptype = 'i' DESC, p.classid = 'pg_attrdef'::regclass DESC
