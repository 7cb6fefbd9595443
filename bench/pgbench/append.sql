-- An append with optimistic concurrency: read the version, write the next one. The tenant is named in every statement.
-- Each client has a tenant and a stream of its own, chosen once (-D known=0). In simple protocol a value stands in the
-- text and must bring its quotes (-D simple=1); otherwise it is a parameter (-D simple=0). -D tenants=N, up to 9.
\if :known = 0
\if :simple
SELECT quote_literal(regexp_replace('xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx', 'x', (1 + :client_id::int % :tenants::int)::text, 'g')) AS tenant, quote_literal(gen_random_uuid()) AS stream \gset
\else
SELECT regexp_replace('xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx', 'x', (1 + :client_id::int % :tenants::int)::text, 'g') AS tenant, gen_random_uuid()::text AS stream \gset
\endif
\set known 1
\endif
BEGIN;
SELECT coalesce(max(version), 0) + 1 AS next FROM events WHERE tenant_id = :tenant AND aggregate_id = :stream AND aggregate_type = 'Load' \gset
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version, timestamp, payload) VALUES (gen_random_uuid(), :stream, 'Load', 'Appended', :tenant, 'pgbench', :next, now(), '{"by": "pgbench"}');
COMMIT;
