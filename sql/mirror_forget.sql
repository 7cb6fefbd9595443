-- mirror_forget.sql - entries that the target has committed: exactly those, for a lower id may still come.
-- $1 bigint[]: ids. {tap}
DELETE FROM pgshunt.captured c WHERE c.tap = bigint '{tap}' AND c.id = ANY ($1::bigint[])
