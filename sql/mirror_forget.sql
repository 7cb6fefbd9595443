-- mirror_forget.sql - entries that the target has committed: exactly those, for a lower id may still come.
-- $1 bigint[]: ids, ascending. {tap}. (The first and the last bound what is looked through, whatever the plan.)
-- the xid of this transaction: higher than that of every transaction that has been handed an id until now
WITH gone AS (DELETE FROM pgshunt.captured c WHERE c.tap = bigint '{tap}' AND c.id = ANY ($1::bigint[])
   AND c.id BETWEEN ($1::bigint[])[1] AND ($1::bigint[])[cardinality($1::bigint[])])
SELECT pg_current_xact_id()
