-- mirror_delete_assign.sql - mirror_delete_one.sql or _many.sql, and the positions of what it has deleted kept for
-- mirror_settle.sql until the transaction's end.
-- delete: one of them (it is several lines, and so not named in braces here); {position_column}
-- deleted
WITH gone AS (
{delete}
RETURNING e.{position_column} AS p)
SELECT count(*), set_config('pgshunt.gone', '{' || coalesce(string_agg(p::text, ','), '') || '}', true) FROM gone
