-- roles.sql - what pgshunt's own login needs in one store. Run it with psql as a superuser, once in every database that
-- is named under [stores] (the default store and every target), and in the control database if that is another one:
--
--     psql -d shop -v pgshunt_role=pgshunt -v events_owner=events_owner -f roles.sql
--
--   pgshunt_role  the login in the [stores] connection strings. It must exist (CREATE ROLE pgshunt LOGIN PASSWORD …) and
--                 be pgshunt's alone: the tap and the copier know each other by it, so that whatever logs in with it
--                 can write a tenant that is being moved. START MIGRATION refuses a login that others use, too.
--   events_owner  the role that owns the event table; nobody needs to log in as it.
--
-- It may be run again. Nothing is granted to the application's role: it needs no right on anything of pgshunt's.
\set ON_ERROR_STOP on

-- Its schema: the control tables in the control database; captured rows, taps and cursors in the stores.
SELECT format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO %I', current_database(), :'pgshunt_role') \gexec

-- Creating, enabling (ALWAYS) and dropping triggers is the table owner's; reading and writing every row comes with it.
GRANT :"events_owner" TO :"pgshunt_role";

-- Targets: rows come as they are in the source; its triggers and foreign keys have been passed there already.
GRANT SET ON PARAMETER session_replication_role TO :"pgshunt_role";

-- Cancelling an autovacuum worker that stands in the way of a trigger, and naming who blocks a cutover.
GRANT pg_signal_backend, pg_read_all_stats TO :"pgshunt_role";

-- Who a cluster is: its system identifier and timeline, so that no other one is taken for it.
GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint() TO :"pgshunt_role";
