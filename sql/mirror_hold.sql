-- mirror_hold.sql - fails the transaction if another owner has come; and no statement of a pass is planned twice.
-- $1 text: migration, $2 bigint: epoch
SELECT pgshunt.cursor_hold($1, $2::bigint), set_config('plan_cache_mode', 'force_generic_plan', true)
