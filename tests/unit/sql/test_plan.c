/* test_plan.c - statements, and what is understood of them: kind, class, tables, tenants.
 * Every row is planned twice, so that what the cache gives is what the grammar gave. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

enum {
    E = TABLES_EVENT,
    C = TABLES_COMPANION,
    EC = TABLES_EVENT | TABLES_COMPANION,
    Y = TABLES_EVERYWHERE,
    D = TABLES_DEFAULT,
    ED = TABLES_EVENT | TABLES_DEFAULT,
};

#define N CLASS_NEUTRAL
#define R CLASS_READ
#define W CLASS_WRITE

/* What attribute() makes of it, with T9 as the tenant setting around:
 * "-" no tenanted table, "around" nothing in the statement, "?" unknown, else the tenants, "null" for no
 * tenant. Parameters: $1 T1, $2 T2, $3 NULL, $4 T1 in binary, $5 no uuid, $6 "42". */
static const struct plan_case {
    const char *text;
    enum statement_kind kind;
    enum statement_class class;
    unsigned tables;
    const char *tenants;
} cases[] = {
    /* transactions */
    { "BEGIN", STATEMENT_BEGIN, N, 0, "-" },
    { "begin work", STATEMENT_BEGIN, N, 0, "-" },
    { "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", STATEMENT_BEGIN, N, 0, "-" },
    { "start transaction read write", STATEMENT_BEGIN, N, 0, "-" },
    { "commit", STATEMENT_COMMIT, N, 0, "-" },
    { "COMMIT WORK AND CHAIN", STATEMENT_COMMIT, N, 0, "-" },
    { "end", STATEMENT_COMMIT, N, 0, "-" },
    { "END TRANSACTION AND NO CHAIN", STATEMENT_COMMIT, N, 0, "-" },
    { "rollback", STATEMENT_ROLLBACK, N, 0, "-" },
    { "abort work", STATEMENT_ROLLBACK, N, 0, "-" },
    { "rollback and chain", STATEMENT_ROLLBACK, N, 0, "-" },
    { "savepoint \"S 1\"", STATEMENT_SAVEPOINT, N, 0, "-" },
    { "release savepoint s", STATEMENT_RELEASE, N, 0, "-" },
    { "release s", STATEMENT_RELEASE, N, 0, "-" },
    { "rollback to s", STATEMENT_ROLLBACK_TO, N, 0, "-" },
    { "rollback work to savepoint s", STATEMENT_ROLLBACK_TO, N, 0, "-" },
    { "prepare transaction 'gid'", STATEMENT_PREPARE_TRANSACTION, N, 0, "-" },
    { "commit prepared 'gid'", STATEMENT_COMMIT_PREPARED, N, 0, "-" },
    { "rollback prepared 'gid'", STATEMENT_ROLLBACK_PREPARED, N, 0, "-" },
    { "set transaction isolation level repeatable read", STATEMENT_SET_TRANSACTION, N, 0, "-" },
    { "set transaction snapshot '0-1'", STATEMENT_SET_TRANSACTION, N, 0, "-" },
    { "set constraints all deferred", STATEMENT_PLAIN, W, 0, "-" },
    /* settings */
    { "set app.tenant = '" T1 "'", STATEMENT_SET, N, 0, "-" },
    { "set session app.tenant to '" T1 "'", STATEMENT_SET, N, 0, "-" },
    { "set local app.tenant = '" T1 "'", STATEMENT_SET_LOCAL, N, 0, "-" },
    { "SET TIME ZONE 'UTC'", STATEMENT_SET, N, 0, "-" },
    { "set names 'utf8'", STATEMENT_SET, N, 0, "-" },
    { "set role bob", STATEMENT_SET, N, 0, "-" },
    { "set session authorization 'bob'", STATEMENT_SET, N, 0, "-" },
    { "set session characteristics as transaction read only", STATEMENT_SET, N, 0, "-" },
    { "set x to default", STATEMENT_RESET, N, 0, "-" },
    { "reset x", STATEMENT_RESET, N, 0, "-" },
    { "reset all", STATEMENT_RESET_ALL, N, 0, "-" },
    { "discard all", STATEMENT_DISCARD_ALL, N, 0, "-" },
    { "discard plans", STATEMENT_PLAIN, N, 0, "-" },
    { "show search_path", STATEMENT_PLAIN, N, 0, "-" },
    { "select set_config('app.tenant', $1, true)", STATEMENT_SET_LOCAL, N, 0, "-" },
    { "select pg_catalog.set_config('app.tenant', 'x', false)", STATEMENT_SET, N, 0, "-" },
    { "select set_config($1, $2, true)", STATEMENT_SET_LOCAL, N, 0, "-" },
    { "update pg_settings set setting = 'x' where name = 'app.tenant'", STATEMENT_SET, W, D, "-" },
    /* prepared statements and cursors */
    { "prepare p as select * from events where tenant_id = '" T1 "'", STATEMENT_PREPARE, R, E, T1 },
    { "prepare p (uuid) as delete from events where tenant_id = $1", STATEMENT_PREPARE, W, E, T1 },
    { "execute p ('" T1 "')", STATEMENT_EXECUTE, N, 0, "-" },
    { "deallocate p", STATEMENT_DEALLOCATE, N, 0, "-" },
    { "deallocate prepare all", STATEMENT_DEALLOCATE, N, 0, "-" },
    { "declare c cursor for select * from events where tenant_id = '" T1 "'", STATEMENT_DECLARE, R, E, T1 },
    { "declare c cursor with hold for select 1", STATEMENT_DECLARE, N, 0, "-" },
    { "fetch 10 from c", STATEMENT_FETCH, N, 0, "-" },
    { "move forward all in c", STATEMENT_FETCH, N, 0, "-" },
    { "close c", STATEMENT_FETCH, N, 0, "-" },
    { "close all", STATEMENT_FETCH, N, 0, "-" },
    { "listen events", STATEMENT_LISTEN, N, 0, "-" },
    { "unlisten *", STATEMENT_UNLISTEN, N, 0, "-" },
    { "notify events, 'x'", STATEMENT_PLAIN, W, 0, "-" },
    /* no tables */
    { "select 1", STATEMENT_PLAIN, N, 0, "-" },
    { "select now(), current_timestamp, version(), gen_random_uuid(), coalesce(1, 2)", STATEMENT_PLAIN, N, 0,
      "-" },
    { "select pg_snapshot_xmin(pg_current_snapshot())", STATEMENT_PLAIN, N, 0, "-" },
    { "select currval('s'), lastval(), pg_backend_pid()", STATEMENT_PLAIN, N, 0, "-" },
    { "select nextval('s')", STATEMENT_PLAIN, W, D, "-" },
    { "select setval('s', 5)", STATEMENT_PLAIN, W, D, "-" },
    { "select eventsource_feed_horizon()", STATEMENT_PLAIN, W, D, "-" },
    { "select * from emt_append_to_stream($1, $2)", STATEMENT_PLAIN, W, D, "-" },
    { "select lo_create(0)", STATEMENT_PLAIN, W, D, "-" },
    { "select myschema.lower('X')", STATEMENT_PLAIN, W, D, "-" },
    { "select pg_advisory_xact_lock(1)", STATEMENT_PLAIN, W, 0, "-" },
    { "select pg_try_advisory_lock(1, 2)", STATEMENT_PLAIN, W, 0, "-" },
    { "select pg_export_snapshot()", STATEMENT_PLAIN, N, 0, "-" },
    { "select pg_notify('a', 'b')", STATEMENT_PLAIN, W, 0, "-" },
    { "select * from generate_series(1, 5) g, unnest($1::uuid[]) u", STATEMENT_PLAIN, N, 0, "-" },
    { "values (1), (2)", STATEMENT_PLAIN, N, 0, "-" },
    { "select * from pg_class", STATEMENT_PLAIN, R, 0, "-" },
    { "select * from information_schema.tables t join pg_catalog.pg_type y on true", STATEMENT_PLAIN, R, 0,
      "-" },
    /* other tables */
    { "select * from users where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, D, "-" },
    { "insert into users values ('" T1 "')", STATEMENT_PLAIN, W, D, "-" },
    { "select * from countries", STATEMENT_PLAIN, R, Y, "-" },
    { "update countries set code = 'x'", STATEMENT_PLAIN, W, Y, "-" },
    { "select * from users for update", STATEMENT_PLAIN, W, D, "-" },
    { "call do_it($1)", STATEMENT_PLAIN, W, D, "-" },
    { "do $$ begin delete from Events; end $$", STATEMENT_PLAIN, W, ED, "?" },
    { "do language plpgsql 'begin perform 1 from public.\"events\"; end'", STATEMENT_PLAIN, W, ED, "?" },
    { "do $$ begin delete from users; end $$", STATEMENT_PLAIN, W, D, "-" },
    { "do e'begin delete from \\145vents; end'", STATEMENT_PLAIN, W, ED, "?" },
    { "vacuum events", STATEMENT_PLAIN, W, D, "-" },
    { "analyze", STATEMENT_PLAIN, W, D, "-" },
    { "select * from other.events where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, D, "-" },
    { "select * from pg_temp.events", STATEMENT_PLAIN, R, D, "-" },
    /* SELECT */
    { "select * from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where '" T1 "' = tenant_id", STATEMENT_PLAIN, R, E, T1 },
    { "select * from public.events where events.tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from public.events where public.events.tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events e where e.tenant_id = uuid '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events e where public.e.tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = $1", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = $1::uuid", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = CAST($1 AS uuid) and version > 5", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = $4", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = $3", STATEMENT_PLAIN, R, E, "null" },
    { "select * from events where tenant_id = $5", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = $11", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id::text = $1", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = 'ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB'", STATEMENT_PLAIN, R, E,
      TA },
    { "select * from events where tenant_id = '{abcdefabcdefabcdefabcdefabcdefab}'", STATEMENT_PLAIN, R, E,
      TA },
    { "select * from events where tenant_id = E'\\x31"
      "1111111-1111-1111-1111-111111111111'",
      STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = 'no uuid'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = '" T1 "' and (a = 1 or b = 2)", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where (version = 1 and (tenant_id = '" T1 "'))", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id in ('" T1 "', '" T2 "')", STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events where tenant_id in ($1, $2::uuid)", STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events where tenant_id = any (array[$1, $2]::uuid[])", STATEMENT_PLAIN, R, E,
      T1 " " T2 },
    { "select * from events where tenant_id = any ($1)", STATEMENT_PLAIN, R, E, "?" }, /* no array */
    { "select * from events where tenant_id = any ($7)", STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events where tenant_id = any ($7::uuid[])", STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events where tenant_id::text = any ($7::text[])", STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events where tenant_id = any ($7::text[]::uuid[])", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = any ($7::my[])", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = all ($7::uuid[])", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id <> any ($7::uuid[])", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where not tenant_id = any ($7::uuid[])", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = any ($8)", STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events where tenant_id = any ($3)", STATEMENT_PLAIN, R, E, "" },
    { "select * from events where tenant_id = any ('{" T1 ", \"" T2 "\", NULL}')", STATEMENT_PLAIN, R, E,
      T1 " " T2 },
    { "select * from events where tenant_id = any ('{}'::uuid[])", STATEMENT_PLAIN, R, E, "" },
    { "select * from events where tenant_id = any ('{" T1 "}'::uuid[]) or tenant_id = $2", STATEMENT_PLAIN, R,
      E, T1 " " T2 },
    { "select * from events where tenant_id = any ('" T1 "')", STATEMENT_PLAIN, R, E, "?" },
    { "select * from outbox where tenant_id = any ('{a,NULL}')", STATEMENT_PLAIN, R, C, "?" },
    { "select * from outbox where tenant_id = any ('{a, \"NULL\"}')", STATEMENT_PLAIN, R, C, "NULL a" },
    { "select * from accounts where tenant in ($4, 42)", STATEMENT_PLAIN, R, C, "?" }, /* or 42.5: numeric */
    { "select * from events e join unnest($7::uuid[]) t (id) on t.id = e.tenant_id", STATEMENT_PLAIN, R, E,
      T1 " " T2 },
    { "select * from events e left join unnest($7::uuid[]) t (id) on t.id = e.tenant_id", STATEMENT_PLAIN, R,
      E, "?" },
    { "select * from events e, unnest($6::int[], $7::uuid[]) t (n, id) where t.id = e.tenant_id",
      STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events e, unnest($6::odd[], $7::uuid[]) t (n, id) where t.id = e.tenant_id",
      STATEMENT_PLAIN, R, E, "?" },
    { "select * from events e, (values ($1::uuid), ('" T2 "')) v (t) where v.t = e.tenant_id",
      STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "with v (t) as (values ($1::uuid)) select * from events e, v where v.t = e.tenant_id", STATEMENT_PLAIN,
      R, E, T1 },
    { "select * from events e join (values ($1::uuid, 5)) v (t, n) on (e.version, e.tenant_id) = (v.n, v.t)",
      STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = all (array['" T1 "'])", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where (tenant_id, version) = ('" T1 "', 5)", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where (version, tenant_id) in ((1, '" T1 "'), (2, '" T2 "'))", STATEMENT_PLAIN, R,
      E, T1 " " T2 },
    { "select * from events where tenant_id is not distinct from '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id is null", STATEMENT_PLAIN, R, E, "null" },
    { "select * from events where tenant_id = '" T1 "' or tenant_id is null", STATEMENT_PLAIN, R, E,
      T1 " null" },
    { "select * from events where tenant_id = '" T1 "' or tenant_id = '" T2 "'", STATEMENT_PLAIN, R, E,
      T1 " " T2 },
    { "select * from events where (tenant_id = '" T1 "' and version = 1) or (version = 2 and tenant_id = '" T1
      "')",
      STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = '" T1 "' or version = 3", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id <> '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where not tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where not (tenant_id <> '" T1 "')", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id not in ('" T1 "')", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where (tenant_id = '" T1 "') is true", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where coalesce(tenant_id = '" T1 "', true)", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where case when tenant_id = '" T1 "' then true else true end", STATEMENT_PLAIN, R,
      E, "?" },
    { "select * from events where tenant_id = f('" T1 "')", STATEMENT_PLAIN, W, E, "?" },
    { "select * from events where tenant_id = '" T1 "'::varchar(8)::uuid", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = '" T1 "'::text::uuid", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = '" T1 "'::my.uuid", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = ('" T1 "')", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id operator(pg_catalog.=) '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id operator(my.=) '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id like '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id between '" T1 "' and '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events where tenant_id = current_setting('app.tenant')::uuid", STATEMENT_PLAIN, R, E,
      "around" },
    { "select * from events where tenant_id = current_setting('other.tenant')::uuid", STATEMENT_PLAIN, R, E,
      "?" },
    { "select * from events where aggregate_id = $1", STATEMENT_PLAIN, R, E, "around" },
    { "select coalesce(max(version), 0) from events where aggregate_id = $1 and aggregate_type = $2",
      STATEMENT_PLAIN, R, E, "around" },
    { "select tenant_id, count(*) from events group by tenant_id", STATEMENT_PLAIN, R, E, "around" },
    { "select tenant_id, count(*) from events group by tenant_id having tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, E, "?" },
    { "select count(*) filter (where tenant_id = '" T1 "') from events", STATEMENT_PLAIN, R, E, "around" },
    { "select * from events where tenant_id = '" T1 "' for update", STATEMENT_PLAIN, W, E, T1 },
    { "select * from events where tenant_id = '" T1 "' for key share nowait", STATEMENT_PLAIN, W, E, T1 },
    { "select my_decode(payload) from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, E, T1 },
    { "select jsonb_path_query(payload, '$') from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E,
      T1 },
    { "table events", STATEMENT_PLAIN, R, E, "around" },
    { "select * from only events where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events tablesample system (10) where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events e (a, b, c, d, e, t) where t = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events e (a, b, c, d, e, t) where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    /* names and quoting */
    { "select * from EVENTS where TENANT_ID = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from \"events\" where \"tenant_id\" = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from \"Events\" where \"Tenant\" = 'Acme'", STATEMENT_PLAIN, R, E, "Acme" },
    { "select * from es.\"Events\" where \"Tenant\" = 'Acme'", STATEMENT_PLAIN, R, E, "Acme" },
    { "select * from es.events where tenant = 'Acme'", STATEMENT_PLAIN, R, D, "-" },
    { "select * from \"EVENTS\" where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, D, "-" },
    { "select * from U&\"\\0065vents\" where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select 'from events where tenant_id = ''" T1 "'''", STATEMENT_PLAIN, N, 0, "-" },
    { "select 1 /* from events where tenant_id = '" T1 "' */", STATEMENT_PLAIN, N, 0, "-" },
    { "select * from events where a = $$ and tenant_id = '" T1 "' $$", STATEMENT_PLAIN, R, E, "around" },
    { "select * from events where a = ' /* ' and tenant_id = '" T1 "' /* ' or true */", STATEMENT_PLAIN, R, E,
      T1 },
    { "select * from events -- where tenant_id = '" T2 "'\n where tenant_id = '" T1 "'", STATEMENT_PLAIN, R,
      E, T1 },
    { "select * from events where a = '--' and tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = $q$" T1 "$q$", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = U&'" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = '11111111-1111-'\n'1111-1111-111111111111'", STATEMENT_PLAIN, R,
      E, T1 },
    { "select * from events where tenant_id = b'1'", STATEMENT_PLAIN, R, E, "?" },
    /* joins */
    { "select * from events e join streams s on s.id = e.aggregate_id where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, "?" },
    { "select * from events e join streams s on s.tenant_id = e.tenant_id where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e, streams s where s.tenant_id = e.tenant_id and s.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e join streams s on e.tenant_id = '" T1 "' and s.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e join streams s using (tenant_id) where tenant_id = '" T1 "'", STATEMENT_PLAIN,
      R, EC, T1 },
    { "select * from events e left join streams s using (tenant_id) where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e natural join streams s where e.tenant_id = '" T1 "'", STATEMENT_PLAIN, R, EC,
      T1 },
    { "select * from events e left join streams s on s.tenant_id = e.tenant_id where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e left join streams s on s.tenant_id = '" T1 "' where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e left join streams s on e.tenant_id = '" T1 "' and s.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, "?" },
    { "select * from events e right join streams s on e.tenant_id = '" T1 "' where s.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e full join streams s on e.tenant_id = '" T1 "' and s.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, EC, "?" },
    { "select * from events e left join streams s on s.id = e.aggregate_id where e.tenant_id = '" T1 "' and "
      "s.tenant_id is null",
      STATEMENT_PLAIN, R, EC, "?" },
    { "select * from events e join users u on u.id = e.actor_id where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, ED, T1 },
    { "select * from events e join users u on u.id = e.actor_id where u.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, R, ED, "?" },
    { "select * from events a, events b where a.tenant_id = '" T1 "' and b.tenant_id = '" T2 "'",
      STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events a, events b where a.tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select * from events a, events b where a.tenant_id = b.tenant_id", STATEMENT_PLAIN, R, E, "around" },
    { "select * from (events e join users u on true) j where j.tenant_id = '" T1 "'", STATEMENT_PLAIN, R, ED,
      "?" },
    /* sub-selects, CTEs, set operations */
    { "select * from events where tenant_id = (select id from users limit 1)", STATEMENT_PLAIN, R, ED, "?" },
    { "select * from users where id in (select actor_id from events where tenant_id = '" T1 "')",
      STATEMENT_PLAIN, R, ED, T1 },
    { "select * from events where event_id in (select event_id from events where tenant_id = '" T1 "')",
      STATEMENT_PLAIN, R, E, "?" },
    { "select * from events e where e.tenant_id = '" T1
      "' and exists (select 1 from streams s where s.tenant_id = "
      "e.tenant_id)",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e where e.tenant_id = '" T1
      "' and not exists (select 1 from streams s where s.id = "
      "e.aggregate_id)",
      STATEMENT_PLAIN, R, EC, "?" },
    { "select * from events e where exists (select 1 from streams s where s.tenant_id = '" T1
      "' and e.tenant_id = '" T1 "')",
      STATEMENT_PLAIN, R, EC, "?" },
    { "select * from (select * from events where tenant_id = '" T1 "') x", STATEMENT_PLAIN, R, E, T1 },
    { "select * from (select * from events) x where x.tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, "?" },
    { "select (select max(version) from events where tenant_id = '" T1 "')", STATEMENT_PLAIN, R, E, T1 },
    { "select * from events where tenant_id = '" T1 "' union select * from events where tenant_id = '" T2 "'",
      STATEMENT_PLAIN, R, E, T1 " " T2 },
    { "select * from events where tenant_id = '" T1 "' union all select * from events", STATEMENT_PLAIN, R, E,
      "?" },
    { "select 1 union select version from events where tenant_id = '" T1 "' order by 1 limit 5",
      STATEMENT_PLAIN, R, E, T1 },
    { "with e as (select * from events where tenant_id = '" T1 "') select * from e", STATEMENT_PLAIN, R, E,
      T1 },
    { "with e as (select * from events) select * from e where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E,
      "?" },
    { "with events as (select 1) select * from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, N, 0,
      "-" },
    { "with events as (select * from events where tenant_id = '" T1 "') select * from events",
      STATEMENT_PLAIN, R, E, T1 },
    { "with x as (insert into events (tenant_id) values ('" T1 "') returning *) select * from x",
      STATEMENT_PLAIN, W, E, T1 },
    { "with x as (delete from events where tenant_id = '" T1
      "' returning *) insert into outbox (tenant_id) values ('" T1 "')",
      STATEMENT_PLAIN, W, EC, T1 },
    { "with x as (delete from events returning *) select * from users", STATEMENT_PLAIN, W, ED, "around" },
    { "with recursive r as (select * from events where tenant_id = '" T1
      "' union select e.* from events e join r on "
      "true) select * from r",
      STATEMENT_PLAIN, R, E, "?" },
    { "select * from events e, lateral (select * from streams s where s.tenant_id = e.tenant_id) l where "
      "e.tenant_id "
      "= '" T1 "'",
      STATEMENT_PLAIN, R, EC, T1 },
    { "select * from events e, (select * from streams s where s.tenant_id = e.tenant_id) l where e.tenant_id "
      "= '" T1 "'",
      STATEMENT_PLAIN, R, EC, "?" },
    /* INSERT */
    { "insert into events (event_id, tenant_id) values ('" T2 "', '" T1 "')", STATEMENT_PLAIN, W, E, T1 },
    { "insert into events (tenant_id) values ($1) returning global_position", STATEMENT_PLAIN, W, E, T1 },
    { "insert into events (tenant_id, version) values ($1::uuid, 1), (cast($2 as uuid), 2)", STATEMENT_PLAIN,
      W, E, T1 " " T2 },
    { "insert into events (tenant_id) values ('" T1 "'), ('" T1 "'), ('" T2 "'), ('" T1 "')", STATEMENT_PLAIN,
      W, E, T1 " " T2 },
    { "insert into events values (1, $2, $2, 'a', 'b', $1, null, 5)", STATEMENT_PLAIN, W, E, T1 },
    { "insert into events values (1, $2, $2, 'a', 'b')", STATEMENT_PLAIN, W, E, "around" },
    { "insert into events (version) values (1)", STATEMENT_PLAIN, W, E, "around" },
    { "insert into events default values", STATEMENT_PLAIN, W, E, "around" },
    { "insert into events (tenant_id) values (default)", STATEMENT_PLAIN, W, E, "around" },
    { "insert into events (tenant_id) values (default), ('" T1 "')", STATEMENT_PLAIN, W, E, "?" },
    { "insert into events (tenant_id) values (null)", STATEMENT_PLAIN, W, E, "null" },
    { "insert into events (tenant_id) values ($3)", STATEMENT_PLAIN, W, E, "null" },
    { "insert into events (tenant_id) values ($1), (null)", STATEMENT_PLAIN, W, E, T1 " null" },
    { "insert into events (tenant_id) values ($5)", STATEMENT_PLAIN, W, E, "?" },
    { "insert into events (tenant_id) values (gen_random_uuid())", STATEMENT_PLAIN, W, E, "?" },
    { "insert into events (tenant_id) values ((select id from users))", STATEMENT_PLAIN, W, ED, "?" },
    { "insert into events (tenant_id) values (current_setting('app.tenant')::uuid)", STATEMENT_PLAIN, W, E,
      "?" },
    { "insert into events (tenant_id, version) select '" T1 "', 5", STATEMENT_PLAIN, W, E, T1 },
    { "insert into events (tenant_id, version) select $1, v from unnest($2::int[]) v", STATEMENT_PLAIN, W, E,
      T1 },
    { "insert into events (version, tenant_id) select * from unnest($1::int[], $2::uuid[])", STATEMENT_PLAIN,
      W, E, "?" }, /* $2 is no array */
    { "insert into events (tenant_id) select t from unnest($7::uuid[]) t", STATEMENT_PLAIN, W, E, T1 " " T2 },
    { "insert into events (version, tenant_id) select * from unnest($9::int[], $7::uuid[])", STATEMENT_PLAIN,
      W, E, T1 " " T2 },
    { "insert into events (version, tenant_id) select * from unnest($10::int[], $7::uuid[])", STATEMENT_PLAIN,
      W, E, T1 " " T2 " null" }, /* padded */
    { "insert into events (tenant_id, version) select * from unnest($9::int[], $7::uuid[])", STATEMENT_PLAIN,
      W, E, "?" },
    { "insert into events (version, tenant_id) select n, t from unnest($9::int[], $7::uuid[]) u (n, t)",
      STATEMENT_PLAIN, W, E, T1 " " T2 },
    { "insert into events (version, tenant_id) select t, n from unnest($9::int[], $7::uuid[]) u (n, t)",
      STATEMENT_PLAIN, W, E, "?" },
    { "insert into events (version, tenant_id) select unnest($9::int[]), unnest($7::uuid[])", STATEMENT_PLAIN,
      W, E, T1 " " T2 },
    { "insert into events (version, tenant_id) select generate_series(1, 5), unnest($7::uuid[])",
      STATEMENT_PLAIN, W, E, "?" },
    { "insert into events (version, tenant_id) select u.* from unnest($9::int[], $7::uuid[]) u",
      STATEMENT_PLAIN, W, E, "?" },
    { "insert into events (tenant_id) select t.id from users left join unnest($7::uuid[]) t (id) on true",
      STATEMENT_PLAIN, W, ED, "?" },
    { "insert into events (tenant_id) select t from unnest('{" T1 ",NULL}'::uuid[]) t", STATEMENT_PLAIN, W, E,
      T1 " null" },
    { "insert into events (tenant_id, version) select t, n from (values ($1::uuid, 2)) v (t, n)",
      STATEMENT_PLAIN, W, E, T1 },
    { "with v (n, t) as (values (1, $1::uuid), (2, '" T2
      "')) insert into events (tenant_id, version) select t, n from v",
      STATEMENT_PLAIN, W, E, T1 " " T2 },
    { "insert into events (tenant_id) select v.t::uuid from (values ('" T1 "')) v (t)", STATEMENT_PLAIN, W, E,
      T1 },
    { "insert into events (tenant_id) select o.tenant_id::uuid from outbox o where o.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, W, EC, "?" },
    { "insert into outbox (tenant_id) select e.tenant_id::text from events e where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, W, EC, T1 },
    { "merge into streams s using (values ($1::uuid)) v (t) on s.tenant_id = v.t when not matched then "
      "insert "
      "(tenant_id) values (v.t)",
      STATEMENT_PLAIN, W, C, T1 },
    { "insert into events select * from staging", STATEMENT_PLAIN, W, ED, "?" },
    { "insert into events select * from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, E, "?" },
    { "insert into outbox (tenant_id) select e.tenant_id from events e where e.tenant_id = '" T1 "'",
      STATEMENT_PLAIN, W, EC, T1 },
    { "insert into outbox (tenant_id) select e.tenant_id from events e", STATEMENT_PLAIN, W, EC, "?" },
    { "insert into events (tenant_id) select '" T1 "' union all select '" T2 "'", STATEMENT_PLAIN, W, E,
      T1 " " T2 },
    { "insert into events (tenant_id) select '" T1 "' union all select id from users", STATEMENT_PLAIN, W, ED,
      "?" },
    { "insert into events (tenant_id) values ('" T1 "') on conflict (event_id) do nothing", STATEMENT_PLAIN,
      W, E, T1 },
    { "insert into events as e (tenant_id) values ('" T1
      "') on conflict (event_id) do update set version = 1, "
      "tenant_id = excluded.tenant_id",
      STATEMENT_PLAIN, W, E, T1 },
    { "insert into events (tenant_id) values ('" T1 "') on conflict (event_id) do update set tenant_id = '" T2
      "'",
      STATEMENT_PLAIN, W, E, T1 " " T2 },
    { "insert into events (tenant_id) values ('" T1 "') on conflict (event_id) do update set tenant_id = f()",
      STATEMENT_PLAIN, W, E, "?" },
    { "with x as (select 1) insert into events (tenant_id) select '" T1 "' from x", STATEMENT_PLAIN, W, E,
      T1 },
    { "insert into users (a) select a from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, ED, T1 },
    { "insert into es.\"Events\" values (1, 'Acme', '{}')", STATEMENT_PLAIN, W, E, "Acme" },
    { "insert into outbox (tenant_id) values (42)", STATEMENT_PLAIN, W, C, "42" },
    { "insert into outbox (tenant_id) values (042)", STATEMENT_PLAIN, W, C, "?" },
    { "insert into accounts values (0042)", STATEMENT_PLAIN, W, C, "42" },
    { "insert into accounts values (-42)", STATEMENT_PLAIN, W, C, "-42" },
    { "insert into accounts values (- - 42)", STATEMENT_PLAIN, W, C, "?" },
    { "select * from accounts where tenant = -0", STATEMENT_PLAIN, R, C, "0" },
    { "select * from outbox where tenant_id = -42", STATEMENT_PLAIN, R, C, "?" },
    { "insert into accounts values (42.0)", STATEMENT_PLAIN, W, C, "?" },
    { "select * from accounts where tenant = '+42'", STATEMENT_PLAIN, R, C, "42" },
    { "select * from accounts where tenant = $6", STATEMENT_PLAIN, R, C, "42" },
    { "select * from odd where tenant_id = 'Acme'", STATEMENT_PLAIN, R, C, "?" },
    { "select * from orphans where tenant_id = 'Acme'", STATEMENT_PLAIN, R, C, "?" },
    /* UPDATE, DELETE, MERGE */
    { "update events set version = 2 where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, E, T1 },
    { "update events e set version = 2 where e.tenant_id = $1 and e.event_id = $2", STATEMENT_PLAIN, W, E,
      T1 },
    { "update events set version = 2 where event_id = $1", STATEMENT_PLAIN, W, E, "around" },
    { "update events set tenant_id = '" T2 "' where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, E, T1 " " T2 },
    { "update events set (version, tenant_id) = (1, '" T2 "') where tenant_id = '" T1 "'", STATEMENT_PLAIN, W,
      E, T1 " " T2 },
    { "update events set tenant_id = f() where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, E, "?" },
    { "update events set tenant_id = tenant_id where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, E, T1 },
    { "update events set tenant_id = '" T2 "'", STATEMENT_PLAIN, W, E, "?" },
    { "update events e set version = s.v from streams s where s.tenant_id = e.tenant_id and e.tenant_id = "
      "'" T1 "'",
      STATEMENT_PLAIN, W, EC, T1 },
    { "update events e set version = s.v from streams s where e.tenant_id = '" T1 "'", STATEMENT_PLAIN, W, EC,
      "?" },
    { "delete from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, E, T1 },
    { "delete from events", STATEMENT_PLAIN, W, E, "around" },
    { "delete from events using users u where u.id = actor_id and tenant_id = '" T1 "'", STATEMENT_PLAIN, W,
      ED, T1 },
    { "delete from events where current of c", STATEMENT_PLAIN, W, E, "around" },
    { "merge into streams s using (values (1)) v on s.tenant_id = '" T1
      "' when matched then update set v = 1",
      STATEMENT_PLAIN, W, C, T1 },
    { "merge into streams s using (values (1)) v on s.tenant_id = '" T1
      "' when not matched then insert (tenant_id) "
      "values ('" T1 "')",
      STATEMENT_PLAIN, W, C, T1 },
    { "merge into streams s using staging g on s.tenant_id = '" T1
      "' when not matched then insert (tenant_id) "
      "values (g.t)",
      STATEMENT_PLAIN, W, C | D, "?" },
    { "merge into streams s using events e on s.tenant_id = e.tenant_id and e.tenant_id = '" T1
      "' when matched then "
      "delete",
      STATEMENT_PLAIN, W, EC, "?" },
    /* types */
    { "select * from plans where tier = 'Gold'", STATEMENT_PLAIN, R, C, "Gold" },
    { "select * from plans where tier = 'Gold'::tier", STATEMENT_PLAIN, R, C, "Gold" },
    { "select * from plans where tier = 'Gold'::text::tier", STATEMENT_PLAIN, R, C, "Gold" },
    { "select * from plans where tier = 'Gold'::citext::tier", STATEMENT_PLAIN, R, C, "?" },
    { "select * from plans where tier::text = 'Gold'", STATEMENT_PLAIN, R, C, "Gold" },
    { "select * from plans where tier = any ('{Gold,Silver}'::tier[])", STATEMENT_PLAIN, R, C,
      "Gold Silver" },
    { "select * from ledgers where tenant_no = 5.00", STATEMENT_PLAIN, R, C, "5" },
    { "select * from ledgers where tenant_no = 5.5", STATEMENT_PLAIN, R, C, "?" },
    { "select * from ledgers where tenant_no = '5.5'::numeric::int", STATEMENT_PLAIN, R, C, "?" },
    { "select * from ledgers where tenant_no = 5::int", STATEMENT_PLAIN, R, C, "5" },
    { "select * from ledgers where tenant_no::int = 5", STATEMENT_PLAIN, R, C, "?" },
    { "select * from ledgers where tenant_no::text = '5'", STATEMENT_PLAIN, R, C, "?" },
    { "select * from accounts where tenant = 42.0::numeric", STATEMENT_PLAIN, R, C, "42" },
    /* declared functions */
    { "select append_event('x', '" T1 "')", STATEMENT_PLAIN, W, E, T1 },
    { "select * from append_event($5, $1)", STATEMENT_PLAIN, W, E, T1 },
    { "select public.append_event($5, tenant => $1::uuid)", STATEMENT_PLAIN, W, E, T1 },
    { "select append_event(payload => $5, tenant := '" T1 "')", STATEMENT_PLAIN, W, E, T1 },
    { "select append_event(payload => '" T1 "')", STATEMENT_PLAIN, W, E, "?" },
    { "select append_event('" T1 "')", STATEMENT_PLAIN, W, E, "?" },
    { "select append_event($5, gen_random_uuid())", STATEMENT_PLAIN, W, E, "?" },
    { "select append_event($5, variadic array[$1])", STATEMENT_PLAIN, W, E, "?" },
    { "select append_event($5, $4)", STATEMENT_PLAIN, W, E, T1 }, /* binary, of the argument's type */
    { "select append_event($5, $4::uuid)", STATEMENT_PLAIN, W, E, T1 },
    { "select other.append_event($5, $1)", STATEMENT_PLAIN, W, D, "-" },
    { "select append_event($5, e.tenant_id) from events e where e.tenant_id = '" T1 "'", STATEMENT_PLAIN, W,
      E, "?" },
    { "select append_event($5, '" T1 "') from events where tenant_id = '" T2 "'", STATEMENT_PLAIN, W, E,
      T1 " " T2 },
    { "select append_event($5, '" T1 "') from events", STATEMENT_PLAIN, W, E, "?" },
    { "select * from es.read_stream('" T1 "', 5)", STATEMENT_PLAIN, R, E, T1 },
    { "select * from es.read_stream(tenant => '" T1 "')", STATEMENT_PLAIN, R, E, "?" },
    { "insert into users select x from es.read_stream('" T1 "', 5) x", STATEMENT_PLAIN, W, ED, T1 },
    { "call append_event('x', '" T1 "')", STATEMENT_PLAIN, W, E, T1 },
    /* COPY, EXPLAIN, LOCK, definitions */
    { "copy events from stdin", STATEMENT_COPY_IN, W, E, "?" },
    { "copy events (version) from stdin with (format csv)", STATEMENT_COPY_IN, W, E, "around" },
    { "copy users from stdin", STATEMENT_COPY_IN, W, D, "-" },
    { "copy events from '/tmp/x'", STATEMENT_PLAIN, W, E, "?" },
    { "copy events to stdout", STATEMENT_COPY_OUT, R, E, "around" },
    { "copy (select * from events where tenant_id = '" T1 "') to stdout", STATEMENT_COPY_OUT, R, E, T1 },
    { "explain insert into events (tenant_id) values ('" T1 "')", STATEMENT_PLAIN, R, E, T1 },
    { "explain (analyze, buffers) insert into events (tenant_id) values ('" T1 "')", STATEMENT_PLAIN, W, E,
      T1 },
    { "explain analyze select * from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, R, E, T1 },
    { "explain execute p", STATEMENT_EXECUTE, R, 0, "-" },
    { "lock table events in exclusive mode", STATEMENT_PLAIN, W, E, "around" },
    { "lock users", STATEMENT_PLAIN, W, D, "-" },
    { "truncate events", STATEMENT_PLAIN, W, E, "?" },
    { "truncate users", STATEMENT_PLAIN, W, D, "-" },
    { "alter table events add column x int", STATEMENT_PLAIN, W, E, "?" },
    { "create index on events (version)", STATEMENT_PLAIN, W, E, "?" },
    { "drop table public.events", STATEMENT_PLAIN, W, E, "?" },
    { "drop table users", STATEMENT_PLAIN, W, D, "-" },
    { "create table events_2024 partition of events for values in ('a')", STATEMENT_PLAIN, W, ED, "?" },
    { "create table users (a int references events (event_id))", STATEMENT_PLAIN, W, D, "-" },
    { "create temp table x (a int)", STATEMENT_PLAIN, W, D, "-" },
    { "create temp table events (a int)", STATEMENT_PLAIN, W, D, "-" },
    { "create table x as select * from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, ED, T1 },
    { "select * into x from events where tenant_id = '" T1 "'", STATEMENT_PLAIN, W, ED, T1 },
    { "create view v as select * from events", STATEMENT_PLAIN, W, D, "-" },
    { "create trigger t before insert on events for each row execute function f()", STATEMENT_PLAIN, W, E,
      "?" },
    { "refresh materialized view v", STATEMENT_PLAIN, W, D, "-" },
    { "create extension x", STATEMENT_PLAIN, W, D, "-" },
};

struct bench {
    struct schema *schema;
    struct planner *planner;
    struct plan_context context;
    struct shape shape;
    struct plan *plan;
    struct attribution attribution;
};

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){ 0 };
    bench->schema = fixture_schema();
    bench->planner = planner_new("app.tenant");
    bench->context = (struct plan_context){ .schema = bench->schema,
                                            .standard_conforming_strings = true,
                                            .encoding_safe = true };
    shape_init(&bench->shape);
    attribution_init(&bench->attribution);
}

static void bench_done(struct bench *bench)
{
    plan_give(bench->plan);
    planner_free(bench->planner);
    schema_give(bench->schema);
    shape_done(&bench->shape);
    attribution_done(&bench->attribution);
}

static const struct plan *bench_plan(struct bench *bench, const char *text)
{
    plan_give(bench->plan);
    assert_true(planner_plan(bench->planner, slice_of(text), &bench->context, &bench->shape, &bench->plan));
    return bench->plan;
}

static const struct parameters *some_parameters(void)
{
    static const struct slice values[] = {
        { T1, 36 },
        { T2, 36 },
        { NULL, 0 },
        { "\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11", 16 },
        { "no uuid", 7 },
        { "42", 2 },
        { "{" T1 "," T2 "}", 75 },
        { "\0\0\0\1\0\0\0\0\0\0\x0b\x86\0\0\0\2\0\0\0\1" /* one dimension of two uuids */
          "\0\0\0\x10\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
          "\0\0\0\x10\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22",
          60 },
        { "{1,2}", 5 },
        { "{1,2,3}", 7 },
    };
    static const uint16_t formats[] = { 0, 0, 0, 1, 0, 0, 0, 1, 0, 0 };
    static const struct parameters parameters = { .count = 10, .values = values, .formats = formats };

    return &parameters;
}

static int compare_tenants(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* As the table writes it. */
static void describe(const struct attribution *attribution, char *text, size_t bytes)
{
    size_t at = 0;

    text[0] = '\0';
    if (attribution->tenancy == TENANCY_NONE) {
        snprintf(text, bytes, "-");
    } else if (attribution->tenancy == TENANCY_UNKNOWN) {
        assert_non_null(attribution->why);
        snprintf(text, bytes, "?");
    } else if (attribution->evidence == EVIDENCE_SETTING) {
        assert_string_equal(attribution->tenants[0], T9);
        snprintf(text, bytes, "around");
    } else {
        qsort(attribution->tenants, attribution->tenant_count, sizeof attribution->tenants[0],
              compare_tenants);
        for (size_t i = 0; i < attribution->tenant_count; i++)
            at += (size_t)snprintf(text + at, bytes - at, "%s%s", i == 0 ? "" : " ", attribution->tenants[i]);
        if (attribution->null_tenant)
            snprintf(text + at, bytes - at, "%snull", at == 0 ? "" : " ");
    }
}

static void check_case(struct bench *bench, const struct plan_case *row)
{
    const struct surroundings around = { .setting_tenant = T9 };
    const struct plan *plan = bench_plan(bench, row->text);
    const struct plan_statement *statement = &plan->statements[0];
    struct error err;
    char tenants[512];

    if (!plan->parsed || plan->statement_count != 1)
        fail_msg("%s: not parsed as one statement: %s", row->text, buf_text(&bench->shape.text));
    assert_true(attribute(statement, slice_of(row->text), &bench->shape, some_parameters(), &around,
                          &bench->attribution, &err));
    describe(&bench->attribution, tenants, sizeof tenants);
    if (statement->kind != row->kind || statement->class != row->class || statement->tables != row->tables ||
        strcmp(tenants, row->tenants) != 0)
        fail_msg("%s: kind %d class %d tables %u tenants %s; expected %d %d %u %s", row->text,
                 statement->kind, statement->class, statement->tables, tenants, row->kind, row->class,
                 row->tables, row->tenants);
}

static void understands_the_statements_of_the_table(void **state)
{
    size_t count = sizeof cases / sizeof cases[0];
    struct bench bench;
    struct planner_counts counts;

    (void)state;
    bench_init(&bench);
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++)
            check_case(&bench, &cases[i]);
    counts = planner_count(bench.planner);
    assert_true(counts.hits >= count); /* the second pass, and texts of one shape */
    assert_int_equal(counts.hits + counts.misses, 2 * count);
    assert_int_equal(counts.entries, counts.misses);
    bench_done(&bench);
}

/* The plan of a shape must not depend on which text came first. */
static void shares_a_plan_between_texts_of_one_shape(void **state)
{
    struct bench bench;
    struct plan *first;

    (void)state;
    bench_init(&bench);
    bench_plan(&bench, "insert into events (tenant_id) values ('" T1 "'), ('" T1 "')");
    first = plan_take(bench.plan);
    check_case(&bench,
               &(struct plan_case){ "INSERT INTO events(tenant_id) VALUES ('" T1 "'),('" T1 "'), ('" T2 "')",
                                    STATEMENT_PLAIN, W, E, T1 " " T2 });
    assert_ptr_equal(first, bench.plan);
    plan_give(first);
    bench_done(&bench);
}

static void finds_one_other_tenant_among_a_thousand_rows(void **state)
{
    struct bench bench;
    struct buf text;

    (void)state;
    bench_init(&bench);
    buf_init(&text);
    buf_append_text(&text, "insert into events (version, tenant_id) values ");
    for (unsigned i = 0; i < 1000; i++)
        buf_append_format(&text, "%s(%u, '%s')", i == 0 ? "" : ",", i, i == 777 ? T2 : T1);
    check_case(&bench, &(struct plan_case){ buf_text(&text), STATEMENT_PLAIN, W, E, T1 " " T2 });
    buf_done(&text);
    bench_done(&bench);
}

static const struct locking_case {
    const char *text;
    bool only_returned; /* no row came: none is locked that anybody was told of */
} lockings[] = {
    { "select * from events where version = 1 for update", true },
    { "select max(1) over () from events e order by version desc limit 1 for share", true },
    { "select 1 from events a join snapshots b on a.version = b.version for no key update of a nowait",
      true },
    { "select 1 from events, events b where b.version in (select 2) for key share skip locked", true },
    { "select * from events limit 1 offset 1 for update", false },
    { "select * from (select * from events for update) e where version = 1", false },
    { "select * from (select * from events) e for update", false },
    { "select 1 from events where version in (select version from events for update) for update", false },
    { "select 1 from events where version in (select version from events for update)", false },
    { "with e as (select * from events for update) select * from e", false },
    { "with e as (select 1) select * from events for update", false },
    { "with e as (delete from events returning 1) select * from events for update", false },
    { "select pg_advisory_xact_lock(1) from events for update", false },
    { "select nextval('s') from events for update", false },
    { "select f() from events for update", false },
    { "select set_config('a.b', 'c', true) from events for update", false },
    { "select pg_notify('a', 'b') from events for update", false },
    { "select 1 from events, users for update", false },
    { "select 1 from users for update", false },
    { "select 1 from events, generate_series(1, 2) for update", false },
    { "select * into x from events for update", false },
    { "create table x as select * from events for update", false },
    { "explain analyze select * from events for update", false },
    { "declare c cursor for select * from events for update", false },
    { "copy (select * from events for update) to stdout", false },
    { "prepare p as select * from events for update", false },
    { "lock table events", false },
    { "select pg_advisory_xact_lock(1)", false },
};

static void reads_names_values_and_flags(void **state)
{
    struct bench bench;
    const struct plan_statement *s;

    (void)state;
    bench_init(&bench);
    s = bench_plan(&bench, "savepoint \"S 1\"")->statements;
    assert_string_equal(s->name, "S 1");
    s = bench_plan(&bench, "prepare transaction 'a''b'")->statements;
    assert_string_equal(s->name, "a'b");
    s = bench_plan(&bench, "commit prepared 'other'")->statements;
    assert_string_equal(s->name, "other");
    s = bench_plan(&bench, "begin isolation level serializable")->statements;
    assert_int_equal(s->isolation, 's');
    s = bench_plan(&bench, "start transaction isolation level repeatable read")->statements;
    assert_int_equal(s->isolation, 'r');
    s = bench_plan(&bench, "begin isolation level read uncommitted")->statements;
    assert_int_equal(s->isolation, 'c');
    s = bench_plan(&bench, "begin")->statements;
    assert_int_equal(s->isolation, 0);
    assert_true(bench_plan(&bench, "commit and chain")->statements->and_chain);
    assert_true(bench_plan(&bench, "set transaction snapshot 'x'")->statements->snapshot);
    assert_true(bench_plan(&bench, "select pg_export_snapshot()")->statements->snapshot);
    s = bench_plan(&bench, "declare \"C\" cursor with hold for select 1")->statements;
    assert_true(s->with_hold);
    assert_string_equal(s->name, "C");
    assert_null(bench_plan(&bench, "deallocate all")->statements->name);
    assert_string_equal(bench_plan(&bench, "deallocate p")->statements->name, "p");
    assert_string_equal(bench_plan(&bench, "SET \"DateStyle\" TO iso, mdy")->statements->name, "datestyle");
    assert_string_equal(bench.plan->statements->value, "iso, mdy");
    assert_string_equal(bench_plan(&bench, "set search_path to \"$user\", Public")->statements->value,
                        "\"$user\", public");
    assert_string_equal(bench_plan(&bench, "set local time zone 'utc'")->statements->name, "timezone");
    s = bench_plan(&bench, "set names 'utf8'")->statements;
    assert_string_equal(s->name, "client_encoding");
    s = bench_plan(&bench, "create temp table events (a int)")->statements;
    assert_true(s->temporary && s->shadows && s->ddl);
    s = bench_plan(&bench, "create temp table other (a int)")->statements;
    assert_true(s->temporary && !s->shadows);
    s = bench_plan(&bench, "select pg_advisory_lock(1)")->statements;
    assert_true(s->advisory && s->locks);
    s = bench_plan(&bench, "select pg_advisory_xact_lock(1)")->statements;
    assert_true(!s->advisory && s->locks);
    assert_true(bench_plan(&bench, "select * from users for share")->statements->locks);
    for (size_t i = 0; i < sizeof lockings / sizeof lockings[0]; i++) {
        s = bench_plan(&bench, lockings[i].text)->statements;
        if (!s->locks || s->class != CLASS_WRITE || s->only_locks_returned != lockings[i].only_returned)
            fail_msg("%s: locks %d, only returned ones %d", lockings[i].text, s->locks,
                     s->only_locks_returned);
    }
    assert_true(bench_plan(&bench, "alter table events add x int")->statements->ddl);
    assert_true(
        bench_plan(&bench, "prepare p as select set_config('app.tenant', $1, false)")->statements->sets);
    bench_done(&bench);
}

static const struct set_case {
    const char *text;
    enum statement_kind kind;
    const char *name, *value; /* NULL: not readable */
} sets[] = {
    { "set app.tenant = 'a''b'", STATEMENT_SET, "app.tenant", "a'b" },
    { "set App.Tenant to abc", STATEMENT_SET, "app.tenant", "abc" },
    { "set app.tenant = 42", STATEMENT_SET, "app.tenant", "42" },
    { "set app.tenant = 042", STATEMENT_SET, "app.tenant", NULL },
    { "set app.tenant = -42", STATEMENT_SET, "app.tenant", NULL },
    { "set app.tenant = true", STATEMENT_SET, "app.tenant", "true" },
    { "set app.tenant to 'a', 'b'", STATEMENT_SET, "app.tenant", NULL },
    { "set app.tenant to default", STATEMENT_RESET, "app.tenant", NULL },
    { "set local app.tenant to default", STATEMENT_SET_LOCAL, "app.tenant", NULL },
    { "set search_path to 'a, b'", STATEMENT_SET, "search_path", "\"a, b\"" },
    { "set search_path = es, \"P\"", STATEMENT_SET, "search_path", "es, \"P\"" },
    { "set schema 'es'", STATEMENT_SET, "search_path", "es" },
    { "select set_config('App.Tenant', $1, false)", STATEMENT_SET, "app.tenant", T1 },
    { "select set_config('app.tenant', $1::text, true), 1", STATEMENT_SET_LOCAL, "app.tenant", T1 },
    { "select set_config('app.tenant', $1::uuid::text, true)", STATEMENT_SET_LOCAL, "app.tenant", NULL },
    { "select set_config('app.tenant', $3, true)", STATEMENT_SET_LOCAL, "app.tenant", NULL },
    { "select * from set_config('app.tenant', 'x', true)", STATEMENT_SET_LOCAL, "app.tenant", "x" },
    { "select set_config('app.tenant', 'x', true) from users", STATEMENT_SET_LOCAL, "app.tenant", NULL },
    { "select set_config('app.tenant', 'x', true) where false", STATEMENT_SET_LOCAL, "app.tenant", NULL },
    { "select set_config('app.tenant', 'x', true) limit 0", STATEMENT_SET_LOCAL, "app.tenant", NULL },
    { "select case when f() then set_config('app.tenant', 'x', true) end", STATEMENT_SET_LOCAL, "app.tenant",
      NULL },
    { "select set_config('role', 'a', true), set_config('app.tenant', 'x', true)", STATEMENT_SET_LOCAL,
      "app.tenant", "x" },
    { "select set_config('app.tenant', 'a', true), set_config('app.tenant', 'x', true)", STATEMENT_SET_LOCAL,
      "app.tenant", NULL },
    { "select set_config($1, 'a', true)", STATEMENT_SET_LOCAL, NULL, NULL },
    { "select set_config('app.' || 'tenant', 'a', true)", STATEMENT_SET_LOCAL, NULL, NULL },
    { "select set_config($1, 'a', true), set_config('app.tenant', 'x', true)", STATEMENT_SET_LOCAL,
      "app.tenant", NULL },
};

static void reads_the_value_of_a_setting(void **state)
{
    struct bench bench;
    struct buf value;

    (void)state;
    bench_init(&bench);
    buf_init(&value);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const struct plan_statement *s = bench_plan(&bench, sets[i].text)->statements;
        bool fine;

        buf_clear(&value);
        fine = attribute_set_value(s, slice_of(sets[i].text), &bench.shape, some_parameters(), &value);
        if (s->kind != sets[i].kind || (s->name == NULL) != (sets[i].name == NULL) ||
            (s->name != NULL && strcmp(s->name, sets[i].name) != 0) || fine != (sets[i].value != NULL) ||
            (fine && strcmp(buf_text(&value), sets[i].value) != 0))
            fail_msg("%s: kind %d, %s = %s", sets[i].text, s->kind, s->name,
                     fine ? buf_text(&value) : "unreadable");
    }
    assert_true(bench_plan(&bench, "select set_config('a', 'b', $1)")->statements->local_unknown);
    buf_done(&value);
    bench_done(&bench);
}

static void plans_every_statement_of_a_text(void **state)
{
    const char *text = "begin; ; set local app.tenant = 'x'; insert into events (tenant_id) values ('" T1
                       "'); select ';' from users; commit;";
    const struct plan *plan;
    struct slice third;
    struct bench bench;

    (void)state;
    bench_init(&bench);
    plan = bench_plan(&bench, text);
    assert_true(plan->parsed);
    assert_int_equal(plan->statement_count, 5);
    assert_int_equal(plan->statements[0].kind, STATEMENT_BEGIN);
    assert_int_equal(plan->statements[1].kind, STATEMENT_SET_LOCAL);
    assert_int_equal(plan->statements[2].tenant_count, 1);
    assert_int_equal(plan->statements[3].tables, D);
    assert_int_equal(plan->statements[4].kind, STATEMENT_COMMIT);
    assert_true(shape_statement(&bench.shape, slice_of(text), 2, &third));
    assert_int_equal(strncmp(third.at, "insert", 6), 0);
    plan = bench_plan(&bench, " ; -- nothing");
    assert_true(plan->parsed);
    assert_int_equal(plan->statement_count, 0);
    bench_done(&bench);
}

static void keeps_apart_what_a_plan_depends_on(void **state)
{
    const char *text = "select * from events where tenant_id = '" T1 "'";
    struct bench bench;

    (void)state;
    bench_init(&bench);
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, E, T1 });
    bench.context.search_path = slice_of("es");
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, D, "-" });
    check_case(&bench, &(struct plan_case){ "select * from \"Events\" where \"Tenant\"='x'", STATEMENT_PLAIN,
                                            R, E, "x" });
    bench.context.search_path = slice_of("\"$user\", Public");
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, E, T1 });
    bench.context.search_path = slice_of("\"Public\"");
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, D, "-" });
    bench.context.search_path = slice_of("");
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, D, "-" });
    check_case(&bench, &(struct plan_case){ "select * from public.events where tenant_id = $1",
                                            STATEMENT_PLAIN, R, E, T1 });
    bench.context.search_path = (struct slice){ NULL, 0 };
    bench.context.temp_shadows = true;
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, E, "?" });
    bench.context.temp_shadows = false;
    bench.schema->known = false;
    bench.schema->generation++;
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, E, "?" });
    bench_done(&bench);
}

static void reads_backslashes_as_the_session_does(void **state)
{
    const char *text = "select * from events where a = '\\' or b = ' and tenant_id = '" T1 "'";
    struct bench bench;

    (void)state;
    bench_init(&bench);
    assert_false(bench_plan(&bench, text)->parsed); /* '\' or b = ' and … */
    bench.context.standard_conforming_strings = false;
    check_case(&bench, &(struct plan_case){ text, STATEMENT_PLAIN, R, E, T1 });
    bench_done(&bench);
}

#define D10  "1,1,1,1,1,"
#define D100 D10 D10 D10 D10 D10 D10 D10 D10 D10 D10

static void what_is_not_understood_is_said_so(void **state)
{
    static const struct {
        const char *text;
        bool touches, refused;
    } rows[] = {
        { "selct * from events", true, true },
        { "selct * from users", false, true },
        { "select * from users where a = 'x", false, true },
        { "select json_table(events)) from", true, true },
        { "select 0x1f from Events", true, true },
        { "selct * from U&\"\\0065vents\"", true, true },
        { "select " D100 D100 D100 "1 from events where a = 'x", true, true },
        { "select " D100 D100 D100 D100 "1 from events where a = 'x", true, false }, /* not worth the risk */
    };
    struct bench bench;

    (void)state;
    bench_init(&bench);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct plan *plan = bench_plan(&bench, rows[i].text);

        assert_false(plan->parsed);
        assert_int_equal(plan->statement_count, 1);
        assert_int_equal(plan->touches, rows[i].touches);
        assert_int_equal(plan->refused, rows[i].refused);
        assert_int_equal(plan->statements[0].class, W);
        assert_int_equal(plan->statements[0].tenants_partial, rows[i].touches);
    }
    assert_int_equal(planner_count(bench.planner).entries, 0); /* refused shapes are not kept */
    bench_done(&bench);
}

static void an_unsafe_encoding_lets_only_ascii_through(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench);
    bench.context.encoding_safe = false;
    assert_true(bench_plan(&bench, "select * from events where tenant_id = '" T1 "'")->parsed);
    assert_false(
        bench_plan(&bench, "select * from events where a = '\x83\x5c' and tenant_id = '" T1 "'")->parsed);
    assert_true(bench.plan->touches);
    assert_int_equal(bench.shape.hole_count, 0);
    bench_done(&bench);
}

/* A hostile shape may cost some milliseconds, and is unknown then. */
static void a_budget_bounds_the_walk(void **state)
{
    struct bench bench;
    struct buf text;
    const struct plan *plan;

    (void)state;
    bench_init(&bench);
    buf_init(&text);
    buf_append_text(&text, "select * from events e0");
    for (unsigned i = 1; i < 2000; i++)
        buf_append_format(&text, ", events e%u", i);
    buf_append_text(&text, " where e0.tenant_id = '" T1 "'");
    for (unsigned i = 1; i < 2000; i++)
        buf_append_format(&text, " and e%u.tenant_id = e%u.tenant_id", i, i - 1);
    plan = bench_plan(&bench, buf_text(&text));
    assert_true(plan->parsed);
    assert_true(plan->statements[0].tenants_partial);
    assert_int_equal(plan->statements[0].class, W);
    assert_true(plan->statements[0].tables & E);
    buf_done(&text);
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_the_statements_of_the_table),
        cmocka_unit_test(shares_a_plan_between_texts_of_one_shape),
        cmocka_unit_test(finds_one_other_tenant_among_a_thousand_rows),
        cmocka_unit_test(reads_names_values_and_flags),
        cmocka_unit_test(reads_the_value_of_a_setting),
        cmocka_unit_test(plans_every_statement_of_a_text),
        cmocka_unit_test(keeps_apart_what_a_plan_depends_on),
        cmocka_unit_test(reads_backslashes_as_the_session_does),
        cmocka_unit_test(what_is_not_understood_is_said_so),
        cmocka_unit_test(an_unsafe_encoding_lets_only_ascii_through),
        cmocka_unit_test(a_budget_bounds_the_walk),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
