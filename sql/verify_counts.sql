-- verify_counts.sql - level count, first look: how many events a stream has, and its highest version.
-- $1: tenant. {stream}: text that tells streams apart; {version}; {stream_columns}: their columns as text, AS s1, …;
-- {stream_values}: max(d.s1), …; {from}, {tenant_column}; {where}: a condition on stream and position
-- stream, events, both as one text, the stream's columns; ordered by stream, bytewise
SELECT d.stream, count(*), concat_ws(' ', count(*), max(d.version)){stream_values}
  FROM (SELECT {stream} COLLATE "C" AS stream, {version} AS version{stream_columns}
          FROM {from} e WHERE e.{tenant_column} = $1 AND {where} OFFSET 0) d
 GROUP BY d.stream
 ORDER BY d.stream
