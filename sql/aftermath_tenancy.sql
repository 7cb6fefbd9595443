-- aftermath_tenancy.sql - what a store's guard goes by. "pgshunt." is replaced by the configured schema.
-- $1 text: tenant. lives_here (no row: as the store's default says)
SELECT t.lives_here FROM pgshunt.tenancy t WHERE t.tenant = $1
