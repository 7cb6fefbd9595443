-- positions_strangers.sql - of the tenants whose rows a target holds, one that has not left them there as part of a migration
-- from this source, which kept its positions and came to nothing.
-- $1 text: source, $2 text: target, $3 text[]: tenants, $4 text: the tenant that does not count. Result: tenant_id
SELECT t
  FROM unnest($3::text[]) AS t
 WHERE t <> $4
   AND (NOT EXISTS (SELECT FROM tenant_migrations m
                     WHERE m.tenant_id = t AND m.source_store_id = $1 AND m.target_store_id = $2
                       AND m.state IN ('failed', 'rolled_back') AND m.config->>'position_mode' = 'preserve')
        OR EXISTS (SELECT FROM tenant_migrations m
                    WHERE m.tenant_id = t AND m.target_store_id = $2
                      AND (m.state = 'migrated' OR m.source_store_id <> $1 OR m.config->>'position_mode' <> 'preserve'))
        OR EXISTS (SELECT FROM tenant_migrations m WHERE m.tenant_id = t AND m.source_store_id = $2))
 LIMIT 1
