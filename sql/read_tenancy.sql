-- read_tenancy.sql - of the routing table, what one store has to know: in the default store who does not live there, in
-- another who does.
-- $1 text: the store, $2 bool: it is the default store
-- tenants, lives_here, generations: three arrays of the same length
SELECT coalesce(array_agg(r.tenant_id), '{}'), coalesce(array_agg(r.store_id = $1), '{}'),
       coalesce(array_agg(r.generation), '{}')
  FROM tenant_routing r
 WHERE (r.store_id = $1) <> $2::bool
