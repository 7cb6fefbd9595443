-- verify_rows.sql - one stream's events, of either side.
-- $1: tenant, $2 …: the stream's columns. {key}; {captured}: a condition; {version_text}; {row_columns}: , e.x::text, …;
-- {from}, {tenant_column}, {stream_match}
-- key, captured bool (there is a change of it that was not mirrored yet), version, the copied columns as text; ordered by
-- key, bytewise
SELECT {key} COLLATE "C", {captured}, {version_text}{row_columns}
  FROM {from} e WHERE e.{tenant_column} = $1 AND {stream_match}
 ORDER BY 1
