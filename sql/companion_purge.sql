-- companion_purge.sql - deletes some of a tenant's rows of a companion table in a store where it does not live.
-- {table}; {from}, {tenant_column}, {tenant}: quoted; {keys}: e.k1, …; {limit}; {same}: d.k1 = k.k1 AND …
DELETE FROM {table} d
 USING (SELECT {keys} FROM {from} e WHERE e.{tenant_column} = {tenant} LIMIT {limit}) k
 WHERE {same}
