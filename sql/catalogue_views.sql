-- catalogue_views.sql - the declared views of one store: what they are made of.
-- $1 text[]: schemas, $2 text[]: views, $3 text: the event table's schema, $4 text: its name.
-- n (1 …), is_view, definition, alone: the event table is the only relation that it depends on
SELECT w.n, c.relkind = 'v', CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END,
       EXISTS (SELECT FROM pg_class e JOIN pg_namespace m ON m.oid = e.relnamespace
                WHERE m.nspname = $3 AND e.relname = $4
                  AND ARRAY[e.oid] = ARRAY(SELECT DISTINCT d.refobjid
                                             FROM pg_rewrite u
                                             JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = u.oid
                                                             AND d.refclassid = 'pg_class'::regclass
                                            WHERE u.ev_class = c.oid AND d.refobjid <> c.oid))
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (nspname, relname, n)
  JOIN pg_namespace s ON s.nspname = w.nspname
  JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = w.relname AND c.relkind IN ('v', 'm', 'r', 'p', 'f')
 ORDER BY w.n
