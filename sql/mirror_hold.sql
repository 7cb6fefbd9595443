-- mirror_hold.sql - fails the transaction if another owner has come; and plans by the key's index in what follows.
-- $1 text: migration, $2 bigint: epoch
SELECT pgshunt.cursor_hold($1, $2::bigint), set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
