-- catalogue_columns.sql - the declared tables of one store: their columns in order, their partitions, their namesakes.
-- $1 text[]: schemas, $2 text[]: tables.
-- n (1 …), kind: t the table itself, p a partition or inheritance child of it, h another relation of that name;
-- nspname, relname, relkind; usual: an unqualified name may mean this schema although the client has set no search_path;
-- of_role: "$user" may mean it; attname (of h: none), type: of a domain the type at its bottom, anyenum for an enum, 0 where equal
-- texts and equal values are not the same (a collation that takes several texts for one, a numeric that rounds whole
-- numbers); whether it is computed from other columns. A table that is not there has no row.
WITH RECURSIVE wanted AS (
       SELECT n, nspname, relname FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (nspname, relname, n)
     ), family AS (
       SELECT w.n, c.oid, 't' AS kind
         FROM wanted w
         JOIN pg_namespace s ON s.nspname = w.nspname
         JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = w.relname AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       UNION
       SELECT f.n, i.inhrelid, 'p' FROM family f JOIN pg_inherits i ON i.inhparent = f.oid
     ), places AS (
       SELECT n, oid, kind FROM family
       UNION ALL
       SELECT min(w.n), c.oid, 'h'
         FROM wanted w
         JOIN pg_class c ON c.relname = w.relname AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
         JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'
        WHERE NOT EXISTS (SELECT FROM family f WHERE f.oid = c.oid)
        GROUP BY c.oid
     ), paths (path) AS (
       SELECT substr(setting, length('search_path=') + 1)
         FROM pg_db_role_setting, unnest(setconfig) AS c (setting) WHERE setting LIKE 'search\_path=%'
       UNION ALL
       SELECT reset_val FROM pg_settings WHERE name = 'search_path'
     )
SELECT p.n, p.kind, s.nspname, c.relname, c.relkind,
       s.nspname = 'public' OR r.oid IS NOT NULL OR EXISTS (SELECT FROM paths WHERE position(s.nspname::text IN path) > 0),
       r.oid IS NOT NULL,
       a.attname,
       CASE WHEN NOT coalesce(l.collisdeterministic, true) THEN 0
            WHEN b.oid = 'numeric'::regtype AND b.typmod > -1 AND (b.typmod - 4) & 1024 <> 0 THEN 0
            WHEN b.typtype = 'e' THEN 'anyenum'::regtype
            ELSE b.oid END,
       a.attgenerated <> ''
  FROM places p
  JOIN pg_class c ON c.oid = p.oid
  JOIN pg_namespace s ON s.oid = c.relnamespace
  LEFT JOIN pg_roles r ON r.rolname = s.nspname
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND p.kind <> 'h'
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
  LEFT JOIN LATERAL (
       WITH RECURSIVE chain AS (
              SELECT t.oid, t.typtype, t.typbasetype, a.atttypmod AS typmod, t.typtypmod AS below
                FROM pg_type t WHERE t.oid = a.atttypid
              UNION ALL
              SELECT t.oid, t.typtype, t.typbasetype, chain.below, t.typtypmod
                FROM chain JOIN pg_type t ON t.oid = chain.typbasetype WHERE chain.typtype = 'd'
            )
       SELECT oid, typtype, typmod FROM chain WHERE typtype <> 'd') b ON true
 ORDER BY p.n, p.kind = 'h', p.kind = 'p', s.nspname, c.relname, a.attnum
