-- verify_total.sql - how many events will be looked at.
-- $1: tenant. {from}, {tenant_column}; {where}: a condition on stream and position
-- events
SELECT count(*) FROM {from} e WHERE e.{tenant_column} = $1 AND {where}
