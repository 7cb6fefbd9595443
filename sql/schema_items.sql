-- schema_items.sql - everything that some tables are made of, an object a row, in an order in which it can be made. Read on
-- both sides, it is what CHECK MIGRATION compares; the source's rows are what CREATE TARGET SCHEMA runs in the target.
-- $1 text[]: the tables, quoted and qualified; one that is not there is left out. Their partitions come with them.
-- $2 text: the schema of pgshunt's own objects (its triggers are not the table's).
-- step, kind, name, owner (of what it belongs to: the table), statement, ready (false: not to be made, only compared, or to
-- be made by hand)
WITH RECURSIVE tree (oid, parent, depth) AS (
  SELECT to_regclass(t)::oid, 0::oid, 0 FROM unnest($1::text[]) t WHERE to_regclass(t) IS NOT NULL
  UNION ALL
  SELECT i.inhrelid, i.inhparent, t.depth + 1 FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
                                                          JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
), rel AS (
  SELECT t.oid, t.parent, t.depth, c.relnamespace, c.relname, c.relkind, c.relpersistence, c.relowner, c.reloptions, c.relacl,
         c.relrowsecurity, c.relforcerowsecurity, c.relpartbound,
         quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
    FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
), col AS (
  SELECT r.oid, r.name AS table_name, r.parent, a.attnum, a.attname, a.atttypid, a.attnotnull, a.attidentity, a.attgenerated, a.attacl,
         d.oid AS default_oid,
         format_type(a.atttypid, a.atttypmod) AS type,
         CASE WHEN a.attcollation <> t.typcollation AND a.attcollation <> 0
              THEN ' COLLATE ' || quote_ident(ln.nspname) || '.' || quote_ident(l.collname) ELSE '' END AS collation,
         pg_get_expr(d.adbin, d.adrelid) AS expression
    FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace ln ON ln.oid = l.collnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
), seq AS ( -- of serial columns and of defaults (by default), and of identities
  SELECT DISTINCT s.oid, c.oid AS table_oid, c.table_name, c.attname, c.attidentity <> '' AS identity, s.relacl, s.relowner,
         s.relnamespace,
         quote_ident(n.nspname) || '.' || quote_ident(s.relname) AS name,
         format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', format_type(q.seqtypid, NULL),
                q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END)
           AS definition,
         format('INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s',
                q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END)
           AS options,
         p.deptype = 'a' AS owned
    FROM col c
    JOIN pg_depend p
      ON (p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid
          AND p.refobjsubid = c.attnum AND p.deptype IN ('a', 'i'))
      OR (p.classid = 'pg_attrdef'::regclass AND p.objid = c.default_oid AND p.refclassid = 'pg_class'::regclass
          AND p.refobjid <> c.oid)
    JOIN pg_class s ON s.relkind = 'S'
     AND s.oid = CASE WHEN p.classid = 'pg_class'::regclass THEN p.objid ELSE p.refobjid END
    JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN pg_namespace n ON n.oid = s.relnamespace
), used_type (oid, depth) AS ( -- of columns, and what those are made of
  SELECT DISTINCT c.atttypid, 0 FROM col c
  UNION
  SELECT x.oid, u.depth + 1
    FROM used_type u JOIN pg_type t ON t.oid = u.oid
    CROSS JOIN LATERAL (
      SELECT t.typbasetype AS oid WHERE t.typbasetype <> 0
      UNION ALL SELECT t.typelem WHERE t.typelem <> 0 AND t.typcategory = 'A'
      UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE g.rngtypid = t.oid
      UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0
                                                        AND NOT a.attisdropped) x
   WHERE u.depth < 16
), typ AS (
  SELECT u.oid, max(u.depth) AS depth, t.typnamespace, t.typtype, t.typrelid, t.typowner, e.extname,
         quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS name
    FROM used_type u JOIN pg_type t ON t.oid = u.oid JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_depend p ON p.classid = 'pg_type'::regclass AND p.objid = t.oid AND p.deptype = 'e'
                         AND p.refclassid = 'pg_extension'::regclass
    LEFT JOIN pg_extension e ON e.oid = p.refobjid
   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
     AND (t.typtype IN ('e', 'd', 'r')
          OR (t.typtype = 'c' AND (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c')
          OR e.oid IS NOT NULL)
   GROUP BY u.oid, t.typnamespace, t.typtype, t.typrelid, t.typowner, e.extname, n.nspname, t.typname
), used_function AS ( -- by defaults, generated columns, checks, indexes, policies
  SELECT DISTINCT p.refobjid AS oid
    FROM pg_depend p
   WHERE p.refclassid = 'pg_proc'::regclass
     AND ((p.classid = 'pg_attrdef'::regclass AND p.objid IN (SELECT c.default_oid FROM col c))
       OR (p.classid = 'pg_constraint'::regclass AND p.objid IN (SELECT k.oid FROM pg_constraint k
             WHERE k.conrelid IN (SELECT r.oid FROM rel r) OR k.contypid IN (SELECT t.oid FROM typ t)))
       OR (p.classid = 'pg_class'::regclass AND p.objid IN (SELECT i.indexrelid FROM pg_index i
             WHERE i.indrelid IN (SELECT r.oid FROM rel r)))
       OR (p.classid = 'pg_policy'::regclass AND p.objid IN (SELECT y.oid FROM pg_policy y
             WHERE y.polrelid IN (SELECT r.oid FROM rel r))))
), func AS (
  SELECT f.oid, f.pronamespace, f.prokind, e.extname, f.oid::regprocedure::text AS name
    FROM used_function u JOIN pg_proc f ON f.oid = u.oid JOIN pg_namespace n ON n.oid = f.pronamespace
    LEFT JOIN pg_depend p ON p.classid = 'pg_proc'::regclass AND p.objid = f.oid AND p.deptype = 'e'
                         AND p.refclassid = 'pg_extension'::regclass
    LEFT JOIN pg_extension e ON e.oid = p.refobjid
   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
), con AS (
  SELECT k.oid, r.name AS table_name, k.conname, k.contype, k.conindid, k.confrelid, pg_get_constraintdef(k.oid) AS definition
    FROM rel r JOIN pg_constraint k ON k.conrelid = r.oid
   WHERE k.contype IN ('p', 'u', 'x', 'c', 'f') AND k.conparentid = 0 AND k.coninhcount = 0
), idx AS (
  SELECT i.indexrelid AS oid, r.name AS table_name, i.indisunique, x.relname,
         quote_ident(n.nspname) || '.' || quote_ident(x.relname) AS name,
         regexp_replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS definition
    FROM rel r JOIN pg_index i ON i.indrelid = r.oid AND i.indisvalid
    JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace
   WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
     AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
), acl AS (
  SELECT 'TABLE ' || r.name AS on_what, r.name AS belongs, g.grantee, g.privilege_type, g.is_grantable, '' AS columns, r.relowner AS owner
    FROM rel r, aclexplode(r.relacl) g
  UNION ALL
  SELECT 'TABLE ' || c.table_name, c.table_name, g.grantee, g.privilege_type, g.is_grantable, ' (' || quote_ident(c.attname) || ')',
         (SELECT r.relowner FROM rel r WHERE r.oid = c.oid)
    FROM col c, aclexplode(c.attacl) g
  UNION ALL
  SELECT 'SEQUENCE ' || s.name, s.table_name, g.grantee, g.privilege_type, g.is_grantable, '', s.relowner
    FROM seq s, aclexplode(s.relacl) g
  UNION ALL
  SELECT DISTINCT 'SCHEMA ' || quote_ident(n.nspname), r.name, g.grantee, g.privilege_type, g.is_grantable, '', n.nspowner
    FROM rel r JOIN pg_namespace n ON n.oid = r.relnamespace, aclexplode(n.nspacl) g
   WHERE n.nspname <> 'public'
), space_used AS (
  SELECT DISTINCT n.nspname
    FROM pg_namespace n
   WHERE n.oid IN (SELECT relnamespace FROM rel UNION SELECT typnamespace FROM typ WHERE extname IS NULL
                   UNION SELECT relnamespace FROM seq UNION SELECT pronamespace FROM func WHERE extname IS NULL)
     AND n.nspname NOT IN ('public', 'pg_catalog', 'information_schema')
), item (step, rank, kind, name, belongs, statement, ready) AS (
  SELECT 10, 0, 'schema', quote_ident(s.nspname), '', 'CREATE SCHEMA ' || quote_ident(s.nspname), true FROM space_used s
  UNION ALL
  SELECT DISTINCT 20, 0, 'extension', quote_ident(x.extname), '',
         'CREATE EXTENSION ' || quote_ident(x.extname) || ' WITH SCHEMA ' || quote_ident(n.nspname), true
    FROM (SELECT extname FROM typ UNION SELECT extname FROM func) u
    JOIN pg_extension x ON x.extname = u.extname JOIN pg_namespace n ON n.oid = x.extnamespace
  UNION ALL
  SELECT 30, -t.depth, 'type', t.name, '',
         CASE t.typtype
         WHEN 'e' THEN 'CREATE TYPE ' || t.name || ' AS ENUM ('
           || (SELECT coalesce(string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder), '')
                 FROM pg_enum e WHERE e.enumtypid = t.oid) || ')'
         WHEN 'd' THEN (SELECT 'CREATE DOMAIN ' || t.name || ' AS ' || format_type(d.typbasetype, d.typtypmod)
           || coalesce(' DEFAULT ' || d.typdefault, '') || CASE WHEN d.typnotnull THEN ' NOT NULL' ELSE '' END
                 FROM pg_type d WHERE d.oid = t.oid)
         WHEN 'c' THEN 'CREATE TYPE ' || t.name || ' AS ('
           || (SELECT coalesce(string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', '
                                          ORDER BY a.attnum), '')
                 FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) || ')'
         WHEN 'r' THEN (SELECT 'CREATE TYPE ' || t.name || ' AS RANGE (SUBTYPE = ' || format_type(g.rngsubtype, NULL) || ')'
                 FROM pg_range g WHERE g.rngtypid = t.oid)
         END, true
    FROM typ t WHERE t.extname IS NULL
  UNION ALL
  SELECT 35, 0, 'sequence', s.name, min(s.table_name), 'CREATE SEQUENCE ' || s.name || ' ' || s.definition, true
    FROM seq s WHERE NOT s.identity GROUP BY s.name, s.definition
  UNION ALL
  SELECT 40, f.oid::bigint, 'function', f.name, '', pg_get_functiondef(f.oid), f.prokind <> 'a'
    FROM func f WHERE f.extname IS NULL AND f.prokind <> 'a'
  UNION ALL
  SELECT 45, k.oid::bigint, 'domain constraint', t.name || ' ' || quote_ident(k.conname), '',
         'ALTER DOMAIN ' || t.name || ' ADD CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), true
    FROM typ t JOIN pg_constraint k ON k.contypid = t.oid AND k.contype = 'c' WHERE t.extname IS NULL
  UNION ALL
  SELECT 50, r.depth, CASE WHEN r.parent = 0 THEN 'table' ELSE 'partition' END, r.name, r.name,
         'CREATE ' || CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END || 'TABLE ' || r.name
         || CASE WHEN r.parent <> 0
                 THEN ' PARTITION OF ' || (SELECT x.name FROM rel x WHERE x.oid = r.parent) || ' ' || pg_get_expr(r.relpartbound, r.oid)
                 ELSE ' (' || coalesce((SELECT string_agg(
                        quote_ident(c.attname) || ' ' || c.type || c.collation
                        || CASE WHEN c.attgenerated <> '' THEN ' GENERATED ALWAYS AS (' || c.expression || ') STORED'
                                WHEN c.attidentity <> '' THEN ' GENERATED '
                                  || CASE c.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END || ' AS IDENTITY'
                                  || coalesce((SELECT ' (SEQUENCE NAME ' || s.name || ' ' || s.options || ')' FROM seq s
                                                WHERE s.table_oid = c.oid AND s.attname = c.attname AND s.identity LIMIT 1), '')
                                WHEN c.expression IS NOT NULL THEN ' DEFAULT ' || c.expression ELSE '' END
                        || CASE WHEN c.attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY c.attnum)
                       FROM col c WHERE c.oid = r.oid), '') || ')' END
         || CASE WHEN r.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(r.oid) ELSE '' END
         || coalesce(' WITH (' || (SELECT string_agg(o, ', ') FROM unnest(r.reloptions) o) || ')', ''), true
    FROM rel r
  UNION ALL
  SELECT 51, c.attnum, 'column', c.table_name || '.' || quote_ident(c.attname), c.table_name,
         c.type || c.collation
         || CASE WHEN c.attgenerated <> '' THEN ' GENERATED ALWAYS AS (' || c.expression || ') STORED'
                 WHEN c.attidentity <> '' THEN ' GENERATED ' || CASE c.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END
                   || ' AS IDENTITY'
                 WHEN c.expression IS NOT NULL THEN ' DEFAULT ' || c.expression ELSE '' END
         || CASE WHEN c.attnotnull THEN ' NOT NULL' ELSE '' END, false
    FROM col c WHERE c.parent = 0
  UNION ALL
  SELECT CASE k.contype WHEN 'f' THEN 78 WHEN 'p' THEN 60 WHEN 'u' THEN 61 ELSE 66 END, 0,
         CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique constraint'
                        WHEN 'x' THEN 'exclusion constraint' ELSE 'check' END,
         k.table_name || ' ' || quote_ident(k.conname), k.table_name,
         'ALTER TABLE ' || k.table_name || ' ADD CONSTRAINT ' || quote_ident(k.conname) || ' ' || k.definition, true
    FROM con k
  UNION ALL
  SELECT CASE WHEN i.indisunique THEN 62 ELSE 70 END, 0, CASE WHEN i.indisunique THEN 'unique index' ELSE 'index' END,
         i.name, i.table_name, i.definition, true
    FROM idx i
  UNION ALL
  SELECT DISTINCT 80, 0, 'owned by', s.name, s.table_name, 'ALTER SEQUENCE ' || s.name || ' OWNED BY ' || s.table_name || '.' || quote_ident(s.attname), true
    FROM seq s WHERE s.owned AND NOT s.identity
  UNION ALL
  SELECT 81, 0, 'statistics', quote_ident(n.nspname) || '.' || quote_ident(x.stxname), r.name, pg_get_statisticsobjdef(x.oid), true
    FROM rel r JOIN pg_statistic_ext x ON x.stxrelid = r.oid JOIN pg_namespace n ON n.oid = x.stxnamespace
  UNION ALL
  SELECT 82, d.objsubid, 'comment', r.name || coalesce('.' || quote_ident(c.attname), ''), r.name,
         'COMMENT ON ' || CASE WHEN d.objsubid = 0 THEN 'TABLE ' || r.name ELSE 'COLUMN ' || r.name || '.' || quote_ident(c.attname) END
         || ' IS ' || quote_literal(d.description), true
    FROM rel r JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = r.oid
    LEFT JOIN col c ON c.oid = r.oid AND c.attnum = d.objsubid
  UNION ALL
  SELECT 84, 0, 'row-level security', r.name, r.name,
         concat_ws('; ', CASE WHEN r.relrowsecurity THEN 'ALTER TABLE ' || r.name || ' ENABLE ROW LEVEL SECURITY' END,
                         CASE WHEN r.relforcerowsecurity THEN 'ALTER TABLE ' || r.name || ' FORCE ROW LEVEL SECURITY' END), true
    FROM rel r WHERE r.relrowsecurity OR r.relforcerowsecurity
  UNION ALL
  SELECT 86, 0, 'policy', r.name || ' ' || quote_ident(y.polname), r.name,
         'CREATE POLICY ' || quote_ident(y.polname) || ' ON ' || r.name || CASE WHEN y.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END
         || ' FOR ' || CASE y.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
         || ' TO ' || (SELECT string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END, ', ' ORDER BY o = 0, pg_get_userbyid(o))
                         FROM unnest(y.polroles) o)
         || coalesce(' USING (' || pg_get_expr(y.polqual, y.polrelid) || ')', '')
         || coalesce(' WITH CHECK (' || pg_get_expr(y.polwithcheck, y.polrelid) || ')', ''), true
    FROM rel r JOIN pg_policy y ON y.polrelid = r.oid
  UNION ALL
  SELECT DISTINCT 90, 0, 'grant', a.privilege_type || a.columns || ' ON ' || a.on_what || ' TO '
           || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, a.belongs,
         'GRANT ' || a.privilege_type || a.columns || ' ON ' || a.on_what || ' TO '
           || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
           || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, true
    FROM acl a WHERE a.grantee <> a.owner AND pg_get_userbyid(a.grantee) <> session_user
  UNION ALL
  SELECT 95, 0, 'trigger', r.name || ' ' || quote_ident(t.tgname), r.name,
         pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'D' THEN ' -- disabled' WHEN 'A' THEN ' -- enabled always'
                                                      WHEN 'R' THEN ' -- enabled for replicas' ELSE '' END, false
    FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgparentid = 0
    JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace AND n.nspname <> $2
  UNION ALL
  SELECT 96, 0, 'rule', r.name || ' ' || quote_ident(w.rulename), r.name,
         pg_get_ruledef(w.oid) || CASE w.ev_enabled WHEN 'D' THEN ' -- disabled' WHEN 'A' THEN ' -- enabled always'
                                                    WHEN 'R' THEN ' -- enabled for replicas' ELSE '' END, false
    FROM rel r JOIN pg_rewrite w ON w.ev_class = r.oid
)
SELECT i.step, i.kind, i.name, i.belongs, i.statement, i.ready
  FROM item i
 ORDER BY i.step, i.rank, i.name
