-- copy_rows.sql - one scan of the rows that no tap has captured, in the order of their positions.
-- {columns}, {table}, {tenant_column}, {tenant}: quoted text; {position_column}, {from}, {to}: numbers; {limit}; {format}:
-- binary or text; {tap}: lock key; {relation}: the table's oid; {key}: ARRAY[…] of the key's columns as text.
-- The OFFSET 0 keeps the look-up a sub-plan, by the index of captured: a hash join would sort the whole tenant first. With
-- ties: the cursor is a position, so that rows of the same one must not be parted.
COPY (
  SELECT {columns} FROM {table} e
   WHERE e.{tenant_column} = {tenant} AND e.{position_column} > bigint '{from}' AND e.{position_column} <= bigint '{to}'
     AND NOT EXISTS (SELECT FROM pgshunt.captured c WHERE c.key = {key} AND (c.tap = bigint '{tap}' AND c.relation = oid '{relation}') IS TRUE
                     OFFSET 0)
   ORDER BY e.{position_column}
   FETCH FIRST {limit} ROWS WITH TIES
) TO STDOUT (FORMAT {format})
