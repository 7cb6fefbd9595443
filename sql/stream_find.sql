-- stream_find.sql - whose stream (or event) is it? By the unique key's index, from both of its ends: several tenants in one
-- stream show in most cases.
-- $1 …: the key's columns, in order. {tenant}, {table}: quoted; {match}: e.column = $1 AND …; {order}: the version column
-- the tenant, as text; no row: nobody's
(SELECT e.{tenant}::text FROM {table} e WHERE {match} ORDER BY {order} LIMIT 1)
UNION
(SELECT e.{tenant}::text FROM {table} e WHERE {match} ORDER BY {order} DESC LIMIT 1)
