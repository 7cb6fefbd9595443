"""pool_mode = transaction: clients borrow a server for a transaction, and none of them can tell."""
import asyncio
import contextlib
import os
import random
import socket
import threading

import psycopg
import pytest

import eventstore
import wire
from conftest import OTHER, TENANT, TOP, connect
from events import Appender
from pgcluster import wait_until
from test_runs_pgbench import pgbench


def run_at_once(deeds):
    """Each in a thread of its own; the first thing that goes wrong is raised."""
    problems = []

    def run(deed):
        try:
            deed()
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

    threads = [threading.Thread(target=run, args=[deed]) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


@pytest.fixture
def shared_by(make_proxy):
    """A proxy in front of `size` shared servers, on one worker unless told otherwise."""
    def make(size=1, workers=1, **more):
        settings = {"pool_mode": "transaction", "default_pool_size": size, "workers": workers, **more}
        return make_proxy(settings={"pgshunt": settings}).start()

    return make


def backends(stores, cluster=None, user=eventstore.APP):
    rows = (cluster or stores.shared).rows(
        stores.dbname, f"SELECT pid FROM pg_stat_activity WHERE usename = '{user}' AND datname = '{stores.dbname}'")
    return {pid for (pid,) in rows}


def value(conn, query, parameters=None):
    return conn.execute(query, parameters).fetchone()[0]


def test_clients_take_turns_on_one_server(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two, connect(proxy, stores) as three:
        pids = {value(conn, "SELECT pg_backend_pid()") for conn in (one, two, three) for _ in range(3)}
    assert len(pids) == 1
    assert backends(stores) == pids


def test_a_transaction_keeps_its_server(shared_by, stores):
    proxy = shared_by(2)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with one.transaction():
            mine = value(one, "SELECT pg_backend_pid()")
            theirs = {value(two, "SELECT pg_backend_pid()") for _ in range(5)}
            assert value(one, "SELECT pg_backend_pid()") == mine
        assert mine not in theirs


# --- settings ---------------------------------------------------------------------------------------------------------

def test_settings_go_with_their_client(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        one.execute("SET app.tenant_id = 'one'")
        one.execute("SET work_mem = '7MB'")
        two.execute("SET app.tenant_id = 'two'")
        for _ in range(3):
            assert value(one, "SELECT current_setting('app.tenant_id') || current_setting('work_mem')") == "one7MB"
            assert value(two, "SELECT current_setting('app.tenant_id') || current_setting('work_mem')") == "two4MB"
        one.execute("RESET ALL")
        assert value(one, "SELECT current_setting('app.tenant_id') || current_setting('work_mem')") == "4MB"
        assert value(two, "SELECT current_setting('app.tenant_id')") == "two"


def test_a_setting_rolled_back_is_nobodys(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with pytest.raises(psycopg.errors.DivisionByZero), one.transaction():
            one.execute("SET work_mem = '7MB'")
            one.execute("SELECT 1/0")
        with one.transaction():
            one.execute("SET LOCAL work_mem = '8MB'")
            assert value(one, "SHOW work_mem") == "8MB"
        assert {value(conn, "SHOW work_mem") for conn in (one, two)} == {"4MB"}


def test_settings_never_leak(shared_by, stores):
    """Clients change settings at random, in and out of transactions; each always sees its own."""
    proxy = shared_by(2)
    dice = random.Random(7)
    names = ["work_mem", "statement_timeout", "app.tenant_id", "search_path", "TimeZone", "DateStyle"]
    values = {"work_mem": ["1MB", "2MB"], "statement_timeout": ["1h", "2h"], "app.tenant_id": ["a", "b"],
              "search_path": ["public", "pg_catalog"], "TimeZone": ["UTC", "Europe/Berlin"],
              "DateStyle": ["ISO, DMY", "SQL, MDY"]}
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores)) for _ in range(5)]
        fresh = {name: clients[0].execute("SELECT current_setting(%s, true)", [name]).fetchone()[0] or ""
                 for name in names}
        seen = [dict(fresh) for _ in clients]
        for _ in range(400):
            number = dice.randrange(len(clients))
            conn, mine, name = clients[number], seen[number], dice.choice(names)
            deed = dice.randrange(5)
            if deed == 0:
                mine[name] = dice.choice(values[name])
                if dice.random() < 0.5:
                    conn.execute(f"SELECT set_config('{name}', %s, false)", [mine[name]])
                else:
                    conn.execute(f"SET {name} = '{mine[name]}'" if name != "search_path" else
                                 f"SET search_path = {mine[name]}")
            elif deed == 1:
                conn.execute(f"RESET {name}")
                mine[name] = fresh[name]
            elif deed == 2:
                conn.execute("RESET ALL")
                mine.update(fresh)
            elif deed == 3:
                with conn.transaction(force_rollback=dice.random() < 0.5) as block:
                    conn.execute(f"SET {name} = '{values[name][0]}'")
                    rolled_back = block.force_rollback
                if not rolled_back:
                    mine[name] = values[name][0]
            else:
                for each in names:
                    assert (value(conn, f"SELECT current_setting('{each}', true)") or "") == mine[each], each


def test_a_role_is_left_behind_by_nobody(shared_by, stores):
    stores.shared.execute(stores.dbname, "DROP ROLE IF EXISTS other_role")
    stores.shared.execute(stores.dbname, "CREATE ROLE other_role")
    stores.shared.execute(stores.dbname, f"GRANT other_role TO {eventstore.APP}")
    proxy = shared_by(1)
    try:
        with connect(proxy, stores) as one, connect(proxy, stores) as two:
            one.execute("SET ROLE other_role")
            assert value(two, "SELECT current_user") == eventstore.APP
            assert value(one, "SELECT current_user") == "other_role"
            one.execute("RESET ALL")  # does not reset the role
            assert value(two, "SELECT current_user") == eventstore.APP
            assert value(one, "SELECT current_user") == "other_role"
    finally:
        proxy.stop()
        stores.shared.execute(stores.dbname, "DROP ROLE other_role")


def test_clients_of_other_startup_parameters_have_other_servers(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores, options="-c work_mem=5MB") as one, connect(proxy, stores) as two, \
            connect(proxy, stores, application_name="three") as three:
        for _ in range(2):
            assert value(one, "SHOW work_mem") == "5MB"
            assert value(two, "SHOW work_mem") == "4MB"
            assert value(three, "SHOW application_name") == "three"
        one.execute("SET work_mem = '6MB'")
        one.execute("RESET work_mem")
        assert value(one, "SHOW work_mem") == "5MB"
        assert len(backends(stores)) == 1  # default_pool_size counts for the user


@pytest.mark.parametrize("reset", ["DISCARD ALL", "RESET ALL", "RESET application_name", "SET application_name TO DEFAULT"])
def test_the_name_that_a_client_has_logged_in_with_is_what_reset_leads_to(shared_by, stores, reset):
    proxy = shared_by(1)
    with connect(proxy, stores, application_name="one") as one, connect(proxy, stores) as two:
        one.execute(reset)
        assert one.info.parameter_status("application_name") == "one"
        assert value(one, "SHOW application_name") == "one"
        one.execute("SET application_name = 'other'")
        assert one.info.parameter_status("application_name") == "other"
        assert value(two, "SHOW application_name") == ""
        one.execute(reset)
        assert one.info.parameter_status("application_name") == "one"
        assert value(one, "SHOW application_name") == "one"
        one.execute("SET application_name = ''")
        assert one.info.parameter_status("application_name") == "" == value(one, "SHOW application_name")
        assert value(two, "SHOW application_name") == ""


# --- what cannot be shared --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("begins, holds", [
    ("CREATE TEMPORARY TABLE mine AS SELECT 1 AS one", "SELECT one FROM mine"),
    ("SELECT pg_advisory_lock(4711)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                                      " AND pid = pg_backend_pid()"),
    ("SELECT set_config('a.b', '1', false), set_config('a.c', '1', false)", "SELECT current_setting('a.c')::int"),
    ("SELECT SET_CONFIG('a.b', '1', false), Set_Config('a.c', '1', false)", "SELECT current_setting('a.c')::int"),
    ("LISTEN mine", "SELECT count(*) FROM pg_listening_channels()"),
    ("BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 1; COMMIT", "FETCH mine"),
], ids=["temporary table", "advisory lock", "several settings", "several settings, spelt otherwise", "LISTEN",
        "WITH HOLD"])
def test_what_a_session_holds_keeps_its_server(shared_by, stores, begins, holds):
    """What becomes of it when the client leaves: test_resets_servers.py."""
    proxy = shared_by(2, server_reset_query="")
    with connect(proxy, stores) as two:
        with connect(proxy, stores) as one:
            one.execute(begins)
            mine = value(one, "SELECT pg_backend_pid()")
            others = {value(two, "SELECT pg_backend_pid()") for _ in range(5)}
            assert mine not in others
            assert value(one, holds) == 1
        wait_until("its server goes with it", lambda: mine not in backends(stores))
        assert value(two, "SELECT 1") == 1


def test_discard_all_lets_the_server_go(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        one.execute("CREATE TEMPORARY TABLE mine (x int)")
        one.execute("DISCARD ALL")
        assert value(two, "SELECT to_regclass('mine')") is None


def test_a_table_for_one_transaction_holds_nothing(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with one.transaction():
            one.execute("CREATE TEMPORARY TABLE mine (x int) ON COMMIT DROP")
        one.execute("SELECT pg_advisory_unlock_all()")
        one.execute("UNLISTEN *")
        assert value(two, "SELECT 1") == 1


# --- limits and ends --------------------------------------------------------------------------------------------------

def test_who_waits_too_long_is_told(shared_by, stores):
    proxy = shared_by(1, query_wait_timeout=1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with one.transaction():
            one.execute("SELECT 1")
            with pytest.raises(psycopg.Error, match="query_wait_timeout") as refused:
                two.execute("SELECT 2")
            assert refused.value.sqlstate == "53300"
        assert value(two, "SELECT 2") == 2


def test_the_reserve_comes_later(shared_by, stores):
    proxy = shared_by(1, reserve_pool_size=1, reserve_pool_timeout=1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with one.transaction():
            one.execute("SELECT 1")
            assert value(two, "SELECT 2") == 2
        assert len(backends(stores)) == 2


def test_limits_count_over_all_workers(shared_by, stores):
    proxy = shared_by(3, workers=3)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores)) for _ in range(12)]
        run_at_once([lambda conn=conn: [value(conn, "SELECT 1 FROM pg_sleep(0.01)") for _ in range(20)]
                     for conn in clients])
        assert len(backends(stores)) <= 3


def test_one_server_for_all_workers(shared_by, stores):
    """A loop without a server gets its turn although the other always has somebody waiting."""
    proxy = shared_by(1, workers=2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores)) for _ in range(4)]
        run_at_once([lambda conn=conn: [value(conn, "SELECT 1") for _ in range(50)] for conn in clients])
        assert len(backends(stores)) <= 1


def test_a_long_transaction_keeps_nobody_from_an_idle_server(shared_by, stores):
    """… of another worker, or of other startup parameters."""
    proxy = shared_by(2, workers=2, query_wait_timeout=10)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores, options=f"-c work_mem={number % 2 + 5}MB"))
                   for number in range(8)]
        with clients[0].transaction():
            value(clients[0], "SELECT 1")
            assert {value(conn, "SELECT 1") for conn in clients[1:] * 2} == {1}
            assert len(backends(stores)) <= 2


def test_max_db_connections_is_for_all_users(shared_by, stores):
    proxy = shared_by(5, max_db_connections=2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores, options=f"-c work_mem={number}MB"))
                   for number in range(1, 5)]
        run_at_once([lambda conn=conn: [value(conn, "SELECT 1") for _ in range(10)] for conn in clients])
        assert len(backends(stores)) <= 2


def test_idle_servers_go_and_a_few_stay(shared_by, stores):
    proxy = shared_by(3, server_idle_timeout=1, min_pool_size=1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with one.transaction(), two.transaction():
            assert value(one, "SELECT 1") == value(two, "SELECT 1") == 1
            assert len(backends(stores)) == 2
        wait_until("one is closed", lambda: len(backends(stores)) == 1)
        assert value(one, "SELECT 1") == 1


def test_a_client_that_vanishes_leaves_nothing(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as two:
        one = connect(proxy, stores, autocommit=False)
        one.execute("SELECT pg_advisory_xact_lock(42)")
        one.execute("SET work_mem = '7MB'")
        socket.socket(fileno=os.dup(one.fileno())).shutdown(socket.SHUT_RDWR)
        assert value(two, "SELECT pg_try_advisory_xact_lock(42)") is True
        assert value(two, "SHOW work_mem") == "4MB"
        with contextlib.suppress(psycopg.Error):
            one.close()


def test_an_idle_server_that_dies_is_missed_by_nobody(shared_by, stores):
    proxy = shared_by(2)
    with connect(proxy, stores) as one:
        mine = value(one, "SELECT pg_backend_pid()")
        stores.shared.rows(stores.dbname, f"SELECT pg_terminate_backend({mine})")
        wait_until("it is gone", lambda: mine not in backends(stores))
        assert value(one, "SELECT pg_backend_pid()") != mine


def test_a_server_killed_at_work(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with pytest.raises(psycopg.Error), one.transaction():
            one.execute("SELECT 1")
            stores.shared.rows(stores.dbname, f"SELECT pg_terminate_backend({value(one, 'SELECT pg_backend_pid()')})")
            one.execute("SELECT 2")
        assert value(one, "SELECT 3") == value(two, "SELECT 3") == 3


def test_a_store_that_restarts(shared_by, stores):
    proxy = shared_by(2)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        two.execute("SET work_mem = '7MB'")
        one.execute("SELECT 1")
        stores.shared.stop("immediate")
        with pytest.raises(psycopg.Error):
            one.execute("SELECT 2")
        stores.shared.start()
        wait_until("the store is found again", lambda: works(one))
        assert value(two, "SHOW work_mem") == "7MB"


def works(conn):
    with contextlib.suppress(psycopg.Error):
        return value(conn, "SELECT 1") == 1
    return False


def test_a_cancel_hits_only_its_own_statement(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        ended = []

        def sleep():
            try:
                one.execute("SELECT pg_sleep(20)")
            except psycopg.errors.QueryCanceled:
                ended.append("cancelled")

        def ask():
            ended.append(value(two, "SELECT 'answered' FROM pg_sleep(0.2)"))

        for _ in range(5):
            ended.clear()
            sleeper, asker = threading.Thread(target=sleep), threading.Thread(target=ask)
            sleeper.start()
            wait_until("it sleeps", lambda: any("pg_sleep(20)" in query for (query,) in stores.shared.rows(
                stores.dbname, "SELECT query FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'")))
            asker.start()
            one.cancel()
            sleeper.join()
            asker.join()
            assert sorted(ended) == ["answered", "cancelled"]


# --- under load -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_with_more_clients_than_servers(shared_by, stores, mode):
    stores.fill({TENANT: 200, OTHER: 200})
    proxy = shared_by(4, workers=2)
    scripts = []
    for script in sorted((TOP / "bench" / "pgbench").glob("*.sql")):
        scripts += ["-f", str(script)]
    pgbench(proxy, stores, "-n", "-M", mode, "-c", "32", "-j", "32", "-T", "3", "-D", "tenants=2", "-D", "known=0", "-D",
            f"simple={int(mode == 'simple')}", *scripts)
    assert len(backends(stores)) <= 4


# --- prepared statements ----------------------------------------------------------------------------------------------

def prepared_on_server(stores, proxy):
    """What the one server of the pool has, as its clients' neighbour sees it."""
    with connect(proxy, stores) as conn:
        return {name for (name,) in conn.execute("SELECT name FROM pg_prepared_statements").fetchall()}


def test_clients_share_prepared_statements(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        for number in range(4):
            for conn in (one, two):
                assert conn.execute("SELECT %s::int + 1", [number], prepare=True).fetchone()[0] == number + 1
        two.execute("SELECT %s::text", ["two"], prepare=True)  # the same name there, another text
        assert one.execute("SELECT %s::int + 1", [1], prepare=True).fetchone()[0] == 2
        names = prepared_on_server(stores, proxy)
    assert len(names) == 2 and all(name.startswith("pgshunt_") for name in names)


def test_the_least_recently_used_is_closed(shared_by, stores):
    proxy = shared_by(1, max_prepared_statements=3)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        for number in list(range(8)) + list(range(8)):
            for conn in (one, two):
                assert conn.execute(f"SELECT {number} + %s::int", [1], prepare=True).fetchone()[0] == number + 1
        assert len(prepared_on_server(stores, proxy)) <= 3


def test_search_path_decides_what_a_statement_means(shared_by, stores):
    for schema, kind in (("a", "int"), ("b", "text")):
        stores.shared.execute(stores.dbname, f"CREATE SCHEMA {schema} AUTHORIZATION {eventstore.APP}")
        stores.shared.execute(stores.dbname, f"CREATE TABLE {schema}.things (x {kind})")
        stores.shared.execute(stores.dbname, f"GRANT SELECT ON {schema}.things TO {eventstore.APP}")
        stores.shared.execute(stores.dbname, f"INSERT INTO {schema}.things VALUES ('7')")
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        one.execute("SET search_path = a")
        two.execute("SET search_path = b")
        for _ in range(3):
            assert one.execute("SELECT x FROM things", prepare=True).fetchone()[0] == 7
            assert two.execute("SELECT x FROM things", prepare=True).fetchone()[0] == "7"


def test_a_statement_that_means_something_else_by_now(shared_by, stores):
    proxy = shared_by(1)
    stores.shared.execute(stores.dbname, "CREATE TABLE things AS SELECT 7 AS x")
    stores.shared.execute(stores.dbname, f"GRANT ALL ON things TO {eventstore.APP}")
    with connect(proxy, stores) as one:
        assert one.execute("SELECT * FROM things", prepare=True).fetchone() == (7,)
        stores.shared.execute(stores.dbname, "ALTER TABLE things ADD y int DEFAULT 8")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="cached plan"):
            one.execute("SELECT * FROM things", prepare=True)
        assert one.execute("SELECT * FROM things", prepare=True).fetchone() == (7, 8)


@pytest.fixture
def raw(shared_by, stores):
    """Two raw connections through one server."""
    proxy = shared_by(1)
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(2):
            client = stack.enter_context(contextlib.closing(wire.RawClient(proxy.port)))
            client.login(eventstore.APP, eventstore.APP_PASSWORD, stores.dbname)
            made.append(client)
        yield made


def kinds(messages):
    return "".join(message.kind for message in messages)


def test_names_behave_as_in_a_session_of_ones_own(raw):
    one, two = raw
    for client in raw:
        client.send(wire.parse("SELECT 1", "s") + wire.sync())
        assert kinds(client.until("Z")) == "1Z"
    one.send(wire.parse("SELECT 2", "s") + wire.sync())
    refused = one.until("Z")[0].fields()
    assert (refused["C"], refused["M"]) == ("42P05", 'prepared statement "s" already exists')
    one.send(wire.bind((), "nothing") + wire.execute() + wire.sync())
    refused = one.until("Z")[0].fields()
    assert (refused["C"], refused["M"]) == ("26000", 'prepared statement "nothing" does not exist')
    one.send(wire.close("S", "s") + wire.sync())
    assert kinds(one.until("Z")) == "3Z"
    one.send(wire.bind((), "s") + wire.execute() + wire.sync())
    assert one.until("Z")[0].fields()["C"] == "26000"
    two.send(wire.bind((), "s") + wire.execute() + wire.sync())
    assert kinds(two.until("Z")) == "2DCZ"
    two.send(wire.query("DEALLOCATE s"))
    assert kinds(two.until("Z")) == "CZ"
    two.send(wire.query("DEALLOCATE s"))
    assert two.until("Z")[0].fields()["M"] == 'prepared statement "s" does not exist'
    one.send(wire.parse("SELECT 3", "s") + wire.bind((), "s") + wire.execute() + wire.sync())
    assert one.until("Z")[2].values() == [b"3"]


def test_many_statements_under_one_sync(raw):
    """As Npgsql sends a batch; one of them fails."""
    one, two = raw
    batch = b"".join(wire.parse(f"SELECT {number}", f"s{number}") + wire.bind((), f"s{number}") + wire.describe("P") +
                     wire.execute() for number in range(5))
    for client in (one, two, one):
        client.send(batch + wire.close("S", "s0") + wire.close("S", "s1") + wire.close("S", "s2") +
                    wire.close("S", "s3") + wire.close("S", "s4") + wire.sync())
        assert kinds(client.until("Z")) == "12TDC" * 5 + "3" * 5 + "Z"
    one.send(wire.parse("SELECT 1/0", "bad") + wire.bind((), "bad") + wire.execute() + wire.parse("SELECT 1", "never") +
             wire.sync())
    assert kinds(one.until("Z")) == "1EZ"
    one.send(wire.bind((), "never") + wire.execute() + wire.sync())
    assert one.until("Z")[0].fields()["C"] == "26000"
    one.send(wire.parse("SELECT nothing", "wrong") + wire.sync())
    assert one.until("Z")[0].fields()["C"] == "42703"
    two.send(wire.parse("SELECT nothing", "wrong") + wire.sync())
    assert two.until("Z")[0].fields()["C"] == "42703"


def test_describe_before_any_value(raw):
    """As asyncpg does: Parse, Describe, Flush, and only then Bind."""
    for _ in range(2):
        for client in raw:
            client.send(wire.parse("SELECT $1::int + 1 AS x", "s") + wire.describe("S", "s") + wire.flush())
            assert kinds(client.until("T")) == "1tT"
            client.send(wire.bind([b"41"], "s") + wire.execute() + wire.sync())
            assert client.until("Z")[1].values() == [b"42"]
            client.send(wire.close("S", "s") + wire.sync())
            assert kinds(client.until("Z")) == "3Z"


def test_prepare_and_execute_in_sql(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        one.execute("PREPARE mine AS SELECT 'one'")
        two.execute("PREPARE mine AS SELECT 'two'")
        for _ in range(2):
            assert value(one, "EXECUTE mine") == "one"
            assert value(two, "EXECUTE mine") == "two"
        one.execute("DEALLOCATE mine")
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            one.execute("EXECUTE mine")
        assert value(two, "EXECUTE mine") == "two"


def test_a_pipeline_of_transactions(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, connect(proxy, stores) as two, one.pipeline():
        cursors = [one.execute("SELECT %s::int", [number], prepare=True) for number in range(50)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(50))
    with connect(proxy, stores) as two:
        assert value(two, "SELECT 1") == 1


def test_asyncpg(shared_by, stores):
    asyncpg = pytest.importorskip("asyncpg")
    proxy = shared_by(2)

    async def run():
        pool = await asyncpg.create_pool(host=proxy.host, port=proxy.port, user=eventstore.APP,
                                         password=eventstore.APP_PASSWORD, database=stores.dbname, min_size=8, max_size=8)

        async def work(number):
            for step in range(20):
                async with pool.acquire() as conn:
                    assert await conn.fetchval("SELECT $1::int + $2::int", number, step) == number + step
                    async with conn.transaction():
                        await conn.execute("SET LOCAL work_mem = '5MB'")
                        assert await conn.fetchval("SHOW work_mem") == "5MB"
        await asyncio.gather(*[work(number) for number in range(16)])
        await pool.close()

    asyncio.run(run())
    assert len(backends(stores)) <= 2


# --- tenants that move ------------------------------------------------------------------------------------------------

def test_a_tenant_moves_under_load(shared_by, stores):
    """Four applications on two servers; the tenant of two of them moves, and everything they were told is true."""
    stores.fill({TENANT: 2000, OTHER: 1000})
    proxy = shared_by(2, workers=2)
    appenders = [Appender(proxy, stores, tenant) for tenant in (TENANT, TENANT, OTHER, OTHER)]
    for appender in appenders:
        appender.start()
    try:
        appenders[0].wait_appended(20)
        identity = proxy.move(TENANT, "dedicated")
        left_behind = stores.counts(TENANT)[0]
        for appender in appenders:
            appender.wait_appended(30)
    finally:
        for appender in appenders:
            appender.stop()
    home = {TENANT: stores.dedicated, OTHER: stores.shared}
    for appender in appenders:
        assert not appender.errors and not appender.unknown, appender.errors
        appender.check(home[appender.tenant])
    for tenant, cluster in home.items():
        assert eventstore.broken_streams(cluster, stores.dbname, tenant) == []
    assert stores.counts(TENANT)[0] == left_behind, "written to the old store after the cutover"
    assert proxy.migration(identity)["state"] == "migrated"
    assert len(backends(stores)) <= 2 and len(backends(stores, stores.dedicated)) <= 2


def test_settings_and_statements_follow_a_tenant(shared_by, stores):
    stores.fill({TENANT: 50, OTHER: 50})
    proxy = shared_by(1)
    count = "SELECT count(*) FROM events WHERE tenant_id = %s"
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        for conn, mark in ((one, "one"), (two, "two")):
            conn.execute(f"SET app.mark = '{mark}'")
            assert conn.execute(count, [TENANT], prepare=True).fetchone()[0] == 50
        proxy.move(TENANT, "dedicated")
        stores.dedicated.execute(stores.dbname, "DELETE FROM events WHERE tenant_id = %s AND version = 1", [TENANT])
        here = one.execute(count, [TENANT], prepare=True).fetchone()[0]
        assert here < 50
        for conn, mark in ((one, "one"), (two, "two"), (one, "one")):
            with conn.transaction():
                assert conn.execute(count, [TENANT], prepare=True).fetchone()[0] == here
                assert value(conn, "SELECT current_setting('app.mark')") == mark
            assert conn.execute(count, [OTHER], prepare=True).fetchone()[0] == 50


def test_a_replication_connection_keeps_its_server(shared_by, stores):
    proxy = shared_by(1)
    with connect(proxy, stores) as one, one.transaction():
        one.execute("SELECT 1")
        with contextlib.closing(wire.RawClient(proxy.port)) as walsender:
            walsender.send(wire.startup({"user": eventstore.APP, "database": stores.dbname, "replication": "database"}))
            assert walsender.read().kind in "RE"  # it waits for nobody's server
