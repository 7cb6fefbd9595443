-- tap_try_check.sql - would a try-out of the tap set anything else off?
-- $1 oid: the table.
-- may_replica bool (session_replication_role may be set here: foreign keys and ordinary triggers then keep still),
-- origin_others bool, replica_others bool (other triggers than ours that fire in either role), rules bool
SELECT CASE WHEN current_setting('server_version_num')::int >= 150000
            THEN has_parameter_privilege('session_replication_role', 'SET')
            ELSE (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) END,
       EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal
                  AND t.tgname NOT LIKE 'pgshunt\_tap\_%' AND t.tgname <> 'pgshunt_tenancy_guard'
                  AND t.tgenabled IN ('O', 'A')),
       EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal
                  AND t.tgname NOT LIKE 'pgshunt\_tap\_%' AND t.tgname <> 'pgshunt_tenancy_guard'
                  AND t.tgenabled IN ('R', 'A')),
       (SELECT c.relhasrules FROM pg_class c WHERE c.oid = $1::oid)
