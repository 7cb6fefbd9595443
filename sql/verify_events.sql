-- verify_events.sql - level full, first look: every event, every copied column.
-- $1: tenant. {stream}: text that tells streams apart; {key}; {row_columns}: , e.x::text, …; {stream_columns}: , their
-- columns as text; {from}, {tenant_column}; {where}: a condition on stream and position
-- stream, key, the copied columns as text, the stream's columns; ordered by stream and key, bytewise
SELECT {stream} COLLATE "C", {key} COLLATE "C"{row_columns}{stream_columns}
  FROM {from} e WHERE e.{tenant_column} = $1 AND {where}
 ORDER BY 1, 2
