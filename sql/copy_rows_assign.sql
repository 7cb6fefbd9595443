-- copy_rows_assign.sql - copy_rows.sql where the target gives the positions: rows that are captured come, too, marked in a
-- last column. They are left to the mirror; but their places in the order are kept.
COPY (
  SELECT {columns},
         EXISTS (SELECT FROM pgshunt.captured c
                  WHERE c.key = {key} AND (c.tap = bigint '{tap}' AND c.relation = oid '{relation}') IS TRUE OFFSET 0)
    FROM {table} e
   WHERE e.{tenant_column} = {tenant} AND e.{position_column} > bigint '{from}' AND e.{position_column} <= bigint '{to}'
   ORDER BY e.{position_column}
   FETCH FIRST {limit} ROWS WITH TIES
) TO STDOUT (FORMAT binary)
