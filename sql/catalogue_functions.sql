-- catalogue_functions.sql - the declared functions of one store, a row for each overload, and their namesakes.
-- $1 text[]: schemas, $2 text[]: names, $3 text[]: the tenant's argument, $4 text[]: the stream's ('': none; a position
-- from 1, or a name).
-- n (1 …), own: it is in that schema (else another function of that name); nspname; usual, of_role: see
-- catalogue_columns.sql; then for the tenant and for the stream: position (NULL: it has no such argument), name, type (of a
-- domain the type below it, anyenum for an enum, 0: an array, a composite, or one that takes any type).
-- Positions are those of a call: of a procedure they count OUT arguments, too. What VARIADIC collects has no position.
WITH wanted AS (
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
                     AS w (nspname, proname, tenant, stream, n)
     ), paths (path) AS (
       SELECT substr(setting, length('search_path=') + 1)
         FROM pg_db_role_setting, unnest(setconfig) AS c (setting) WHERE setting LIKE 'search\_path=%'
       UNION ALL
       SELECT reset_val FROM pg_settings WHERE name = 'search_path'
     ), overloads AS (
       SELECT w.n, w.nspname AS wanted, w.tenant, w.stream, p.oid, p.pronamespace, p.prokind, p.proargnames,
              coalesce(p.proallargtypes, p.proargtypes::oid[]) AS types, p.proargmodes AS modes
         FROM wanted w
         JOIN pg_proc p ON p.proname = w.proname
     ), arguments AS (
       SELECT o.n, o.oid, nullif(o.proargnames[a.ord], '') AS name, a.mode,
              row_number() OVER (PARTITION BY o.n, o.oid ORDER BY a.ord) AS position,
              CASE WHEN b.typtype = 'e' THEN 'anyenum'::regtype
                   WHEN b.typtype <> 'b' OR (b.typelem <> 0 AND b.typlen = -1) THEN 0
                   ELSE b.oid END AS type
         FROM overloads o, unnest(o.types, o.modes) WITH ORDINALITY AS a (type, mode, ord)
         JOIN pg_type y ON y.oid = a.type
         JOIN pg_type b ON b.oid = CASE y.typtype WHEN 'd' THEN y.typbasetype ELSE y.oid END
        WHERE a.mode IS NULL OR a.mode IN ('i', 'b', 'v') OR (a.mode = 'o' AND o.prokind = 'p')
     )
SELECT o.n, s.nspname = o.wanted, s.nspname,
       s.nspname = 'public' OR r.oid IS NOT NULL OR EXISTS (SELECT FROM paths WHERE position(s.nspname::text IN path) > 0),
       r.oid IS NOT NULL,
       t.position, t.name, t.type, x.position, x.name, x.type
  FROM overloads o
  JOIN pg_namespace s ON s.oid = o.pronamespace AND s.nspname !~ '^pg_temp'
  LEFT JOIN pg_roles r ON r.rolname = s.nspname
  LEFT JOIN arguments t ON t.n = o.n AND t.oid = o.oid AND o.tenant IN (t.position::text, t.name) AND t.mode IS DISTINCT FROM 'v'
  LEFT JOIN arguments x ON x.n = o.n AND x.oid = o.oid AND o.stream IN (x.position::text, x.name) AND x.mode IS DISTINCT FROM 'v'
 ORDER BY o.n, s.nspname <> o.wanted, s.nspname, o.oid
