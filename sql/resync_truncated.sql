-- resync_truncated.sql - was a TRUNCATE captured? {tap}. bool
SELECT EXISTS (SELECT FROM pgshunt.captured c WHERE c.tap = bigint '{tap}' AND c.op = 'T')
