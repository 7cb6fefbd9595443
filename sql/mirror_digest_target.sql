-- mirror_digest_target.sql - the same of the target, which nobody else writes.
-- $1: tenant, $2 …: text arrays, one per key column. {k_arrays}, {k_names}, {digest}, {from}, {tenant_column}, {match}
-- digest (NULL: no such row); in the order of the keys
SELECT r.digest
  FROM unnest({k_arrays}) WITH ORDINALITY AS k ({k_names}, n)
  LEFT JOIN LATERAL (SELECT {digest} AS digest FROM {from} e
                      WHERE (e.{tenant_column} = $1) IS TRUE AND {match} OFFSET 0) r ON true
 ORDER BY k.n
