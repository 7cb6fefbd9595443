-- verify_rows_target.sql - the same stream's events in the target.
-- $1: tenant, $2 …: the stream's columns. {key}, {digest}: hex, {version}: text, {table}, {tenant_column}, {stream_match}
-- key, digest, captured bool (never), version; ordered by key, bytewise
SELECT {key} COLLATE "C", {digest}, false, {version} FROM {table} e
 WHERE e.{tenant_column} = $1 AND {stream_match}
 ORDER BY 1
