-- verify_rows_source.sql - one stream's events, and every key that is captured and not mirrored yet, in one snapshot.
-- $1: tenant, $2 …: the stream's columns. {key}, {digest}: hex, {version}: text, {table}, {tenant_column}, {stream_match}, {tap}
-- key, digest (NULL: no such row), captured bool, version; ordered by key, bytewise
SELECT coalesce(r.key, c.key) COLLATE "C", r.digest, c.key IS NOT NULL, r.version
  FROM (SELECT {key} AS key, {digest} AS digest, {version} AS version FROM {table} e
         WHERE e.{tenant_column} = $1 AND {stream_match}) r
  FULL JOIN (SELECT DISTINCT v.k::text AS key FROM pgshunt.captured c
              CROSS JOIN LATERAL (VALUES (c.key), (c.old_key)) AS v (k)
              WHERE c.tap = bigint '{tap}' AND c.relation = oid '{relation}' AND v.k IS NOT NULL) c ON c.key = r.key
 ORDER BY 1
