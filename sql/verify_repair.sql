-- verify_repair.sql - events that differ, put among what is captured: the mirror brings their rows as they are now, under
-- its own ownership of the target. Whoever asks for one too many costs a pass, no more. {tap}, {relation}: oid
-- $1: text array of keys, each as captured.key::text. pid 0: nobody has written them
INSERT INTO pgshunt.captured (tap, relation, op, key, pid, application_name)
SELECT bigint '{tap}', oid '{relation}', 'R', k::text[], 0, 'pgshunt repair' FROM unnest($1::text[]) AS u (k)
