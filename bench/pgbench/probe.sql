-- A stream's version by its id alone, in a transaction whose first statement has named the tenant. Variables as in
-- append.sql.
\if :known = 0
\if :simple
SELECT quote_literal(regexp_replace('xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx', 'x', (1 + :client_id::int % :tenants::int)::text, 'g')) AS tenant, quote_literal(gen_random_uuid()) AS stream \gset
\else
SELECT regexp_replace('xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx', 'x', (1 + :client_id::int % :tenants::int)::text, 'g') AS tenant, gen_random_uuid()::text AS stream \gset
\endif
\set known 1
\endif
BEGIN;
SELECT event_type FROM events WHERE tenant_id = :tenant ORDER BY global_position DESC LIMIT 1;
SELECT coalesce(max(version), 0) FROM events WHERE aggregate_id = :stream AND aggregate_type = 'Load';
COMMIT;
