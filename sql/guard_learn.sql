-- guard_learn.sql - a store hears of the tenants that were moved before it had a guard. What it knows already is newer.
-- $1 text[]: tenants, $2 bool[]: lives here, $3 bigint[]: the route's generation
INSERT INTO pgshunt.tenancy (tenant, lives_here, generation)
SELECT known.tenant, known.here, known.generation
  FROM unnest($1::text[], $2::bool[], $3::bigint[]) AS known (tenant, here, generation)
ON CONFLICT (tenant) DO NOTHING
