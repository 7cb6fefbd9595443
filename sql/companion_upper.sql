-- companion_upper.sql - where a batch of a companion table's rows ends.
-- {from}: the table as it is read; {tenant_column}, {tenant}: quoted; {beyond}: a condition; {keys}: e.k1, …; {last}: u.k1
-- DESC, …; {texts}: u.k1::text, …; {limit}
-- rows, the key's columns; no row: there is nothing more
SELECT count(*) OVER (), {texts}
  FROM (SELECT {keys} FROM {from} e WHERE e.{tenant_column} = {tenant} AND {beyond} ORDER BY {keys} LIMIT {limit}) u
 ORDER BY {last} LIMIT 1
