-- mirror_digest_source.sql - digests of rows by key, and whether there is a change of them that was not mirrored yet: in
-- one snapshot.
-- $1: tenant, $2 …: text arrays, one per key column. {tap}; {relation}: the table's oid; {k_arrays}, {k_names}, {k_array}:
-- ARRAY[k.k1, …]; {digest}, {from}, {tenant_column}, {match}
-- captured bool, digest (NULL: no such row); in the order of the keys
SELECT EXISTS (SELECT FROM pgshunt.captured c WHERE c.key = {k_array} AND (c.tap = bigint '{tap}' AND c.relation = oid '{relation}') IS TRUE
                     OFFSET 0)
       OR EXISTS (SELECT FROM pgshunt.captured c
                   WHERE c.old_key IS NOT NULL AND c.old_key = {k_array} AND (c.tap = bigint '{tap}' AND c.relation = oid '{relation}') IS TRUE
                     OFFSET 0),
       r.digest
  FROM unnest({k_arrays}) WITH ORDINALITY AS k ({k_names}, n)
  LEFT JOIN LATERAL (SELECT {digest} AS digest FROM {from} e
                      WHERE (e.{tenant_column} = $1) IS TRUE AND {match} OFFSET 0) r ON true
 ORDER BY k.n
