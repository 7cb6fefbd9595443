-- tap_lag.sql - what is captured and not yet mirrored.
-- $1 bigint: key
-- entries, oldest_ms
SELECT count(*), coalesce((extract(epoch FROM clock_timestamp() - min(c.captured_at)) * 1000)::bigint, 0)
  FROM pgshunt.captured c WHERE c.tap = $1::bigint
