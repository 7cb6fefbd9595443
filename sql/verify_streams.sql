-- verify_streams.sql - level hash, first look: one digest per stream, of every copied column of its events, whatever their
-- physical order.
-- $1: tenant. {stream}: text that tells streams apart; {stream_columns}: their columns as text, AS s1, …; {stream_values}:
-- max(d.s1), …; {key}: text; {digest}: bytea; {from}, {tenant_column}; {where}: a condition on stream and position
-- stream, events, digest, the stream's columns; ordered by stream, bytewise
SELECT d.stream, count(*), encode(sha256(string_agg(d.digest, ''::bytea ORDER BY d.key)), 'hex'){stream_values}
  FROM (SELECT {stream} COLLATE "C" AS stream, {key} COLLATE "C" AS key, {digest} AS digest{stream_columns}
          FROM {from} e WHERE e.{tenant_column} = $1 AND {where} OFFSET 0) d
 GROUP BY d.stream
 ORDER BY d.stream
