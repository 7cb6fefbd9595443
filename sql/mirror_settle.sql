-- mirror_settle.sql - behind the rows of a batch, where the target gives the positions: those of deleted rows that nobody
-- has taken again are no pairs any more.
-- $1: tenant. {migration}: quoted; {table}, {tenant_column}, {position_column}
WITH gone AS (
  DELETE FROM pgshunt.positions p
   WHERE p.migration = {migration}::uuid
     AND p.target_position = ANY (current_setting('pgshunt.gone')::bigint[])
     AND NOT EXISTS (SELECT FROM {table} e WHERE e.{position_column} = p.target_position
                        AND (e.{tenant_column} = $1) IS TRUE OFFSET 0)
  RETURNING p.migration, p.source_position, p.target_position)
INSERT INTO pgshunt.positions_gone (migration, source_position, target_position) SELECT * FROM gone
