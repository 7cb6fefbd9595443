-- companion_rows.sql - a batch of a companion table's rows that no tap has captured. {…} as in companion_upper.sql, and
-- {columns}: of e; {upto}: a condition; {key}: ARRAY[…] of the key's columns as text; {tap}; {relation}: the table's oid
COPY (
  SELECT {columns} FROM {from} e
   WHERE e.{tenant_column} = {tenant} AND {beyond} AND {upto}
     AND NOT EXISTS (SELECT FROM pgshunt.captured c
                      WHERE c.key = {key} AND (c.tap = bigint '{tap}' AND c.relation = oid '{relation}') IS TRUE OFFSET 0)
) TO STDOUT (FORMAT binary)
