-- mirror_entries.sql - what is captured, the lowest ids first.
-- $1 bigint: the floor below which nothing can come any more, $2 bigint: at most. {tap}, {entry_keys}: as many elements of
-- key as the longest key has, then as many of old_key.
-- id, op, pid, application_name, relation, the elements (NULL: there is none)
SELECT c.id, c.op, c.pid, c.application_name, c.relation, {entry_keys}
  FROM pgshunt.captured c WHERE c.tap = bigint '{tap}' AND c.id > $1::bigint ORDER BY c.id LIMIT $2::bigint
