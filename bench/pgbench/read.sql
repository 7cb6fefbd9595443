-- The newest events of one tenant, as a page or a projection reads them. Variables as in append.sql.
\if :known = 0
\if :simple
SELECT quote_literal(regexp_replace('xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx', 'x', (1 + :client_id::int % :tenants::int)::text, 'g')) AS tenant, quote_literal(gen_random_uuid()) AS stream \gset
\else
SELECT regexp_replace('xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx', 'x', (1 + :client_id::int % :tenants::int)::text, 'g') AS tenant, gen_random_uuid()::text AS stream \gset
\endif
\set known 1
\endif
SELECT global_position, event_type, version FROM events WHERE tenant_id = :tenant ORDER BY global_position DESC LIMIT 10;
