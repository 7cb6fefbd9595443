-- tap_fingerprint.sql - everything by which a tap could be weakened unseen. xmin changes with every ALTER, so that a
-- trigger that was disabled and enabled again shows, too.
-- $1 text: the tap's function, qualified.
-- one text
SELECT coalesce((SELECT string_agg(concat_ws(' ', t.tgrelid, t.tgname, t.oid, t.xmin, t.tgenabled), ', '
                                   ORDER BY t.tgrelid, t.tgname)
                   FROM pg_trigger t WHERE t.tgfoid = p.oid), 'no triggers')
       || '; ' || concat_ws(' ', p.oid, p.xmin)
  FROM pg_proc p
 WHERE p.oid = to_regproc($1)
