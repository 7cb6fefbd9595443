-- purge_target.sql - deletes some of a tenant's rows, lowest positions first, in a store where it does not live.
-- $1 text: tenant, $2 bigint: how many at most. {table}, {tenant_column}, {position_column}: quoted.
DELETE FROM {table}
 WHERE {tenant_column} = $1
   AND {position_column} <= (SELECT max(p)
                               FROM (SELECT {position_column} AS p FROM {table}
                                      WHERE {tenant_column} = $1 ORDER BY {position_column} LIMIT $2::bigint) AS batch)
