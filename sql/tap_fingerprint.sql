-- tap_fingerprint.sql - everything by which a tap could be weakened unseen. xmin changes with every ALTER, so that a
-- trigger that was disabled and enabled again shows, too.
-- $1 text: the tap's first function, qualified; those of companion tables have something behind its name.
-- one text; no row: no tap
SELECT string_agg(coalesce((SELECT string_agg(concat_ws(' ', t.tgrelid, t.tgname, t.oid, t.xmin, t.tgenabled), ', '
                                              ORDER BY t.tgrelid, t.tgname)
                              FROM pg_trigger t WHERE t.tgfoid = p.oid), 'no triggers')
                  || '; ' || concat_ws(' ', p.oid, p.xmin), '; ' ORDER BY p.proname)
  FROM pg_proc f
  JOIN pg_proc p ON p.pronamespace = f.pronamespace AND p.proname BETWEEN f.proname AND (f.proname || '_~')::name
 WHERE f.oid = to_regproc($1)
HAVING count(*) > 0
