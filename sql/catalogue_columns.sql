-- catalogue_columns.sql - the columns of the declared tables of one store, in order.
-- $1 text[]: schemas, $2 text[]: tables.
-- n (1 …), attname, type: of a domain the type below it, anyenum for an enum, 0 where equal texts and equal values are not
-- the same (a collation that takes several texts for one, a numeric that rounds whole numbers);
-- attgenerated: it is computed from other columns;
-- a table that is not there, or is no table or view, has one row with NULLs
SELECT t.n, a.attname,
       CASE WHEN NOT coalesce(l.collisdeterministic, true) THEN 0
            WHEN b.oid = 'numeric'::regtype AND greatest(a.atttypmod, y.typtypmod) > -1
                 AND (greatest(a.atttypmod, y.typtypmod) - 4) & 1024 <> 0 THEN 0
            WHEN b.typtype = 'e' THEN 'anyenum'::regtype
            ELSE b.oid END,
       a.attgenerated <> '' AS attgenerated
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t (nspname, relname, n)
  LEFT JOIN pg_namespace s ON s.nspname = t.nspname
  LEFT JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = t.relname AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
  LEFT JOIN pg_type y ON y.oid = a.atttypid
  LEFT JOIN pg_type b ON b.oid = CASE y.typtype WHEN 'd' THEN y.typbasetype ELSE y.oid END
 ORDER BY t.n, a.attnum
