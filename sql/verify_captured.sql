-- verify_captured.sql - is there a change of an event that was not mirrored yet? In the source. {tap}, {relation}: oid
-- $1: key, as captured.key::text. bool
SELECT EXISTS (SELECT FROM pgshunt.captured c WHERE c.key = $1::text[] AND (c.tap = bigint '{tap}') IS TRUE
                  AND c.relation = oid '{relation}' OFFSET 0)
       OR EXISTS (SELECT FROM pgshunt.captured c WHERE c.old_key = $1::text[] AND (c.tap = bigint '{tap}') IS TRUE
                  AND c.relation = oid '{relation}' OFFSET 0)
