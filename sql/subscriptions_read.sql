-- subscriptions_read.sql - the checkpoints. {name}, {position}, {tenant}, {transaction}: expressions; {table}
-- name, position, tenant (NULL: not known), transaction (NULL: none), the position's type
SELECT {name}::text, {position}::text, {tenant}, {transaction}, pg_typeof({position})::text
  FROM {table} c ORDER BY 1 LIMIT 100000
