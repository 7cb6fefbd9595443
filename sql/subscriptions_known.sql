-- subscriptions_known.sql - one checkpoint. $1 uuid: migration, $2 text: subscription, $3 bigint: its source position (NULL: ask
-- only what has been done). state (NULL: nothing), new_position, what it becomes
SELECT s.state, s.new_position, position_checkpoint($1::uuid, $3::bigint)
  FROM (SELECT 1) one LEFT JOIN migration_subscriptions s ON s.migration_id = $1::uuid AND s.subscription = $2
