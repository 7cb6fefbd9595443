-- resync_forget.sql - a TRUNCATE that was captured, when both sides are about to be compared whole. {tap}
DELETE FROM pgshunt.captured c WHERE c.tap = bigint '{tap}' AND c.op = 'T'
