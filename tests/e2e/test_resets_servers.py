"""pool_mode = transaction: a server that a session has pinned forgets that session (server_reset_query), then serves again."""
import contextlib
import os
import socket

import psycopg
import pytest

import eventstore
import wire
from conftest import TENANT, connect
from pgcluster import wait_until
from pgshunt import wait_log
from test_reloads import reload
from test_shares_servers import backends, shared_by, value  # noqa: F401  pylint: disable=unused-import

STATE = """SELECT to_regclass('pg_temp.mine') IS NOT NULL,
                  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
                  (SELECT count(*) FROM pg_listening_channels()),
                  (SELECT count(*) FROM pg_cursors WHERE name <> ''),
                  (SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'pgshunt%'),
                  current_setting('work_mem'), coalesce(current_setting('a.b', true), ''), current_user"""
BARE = (False, 0, 0, 0, 0, "4MB", "", eventstore.APP)

LEFT_BEHIND = {
    "temporary table": "CREATE TEMPORARY TABLE mine AS SELECT 1 AS one",
    "advisory lock": "SELECT pg_advisory_lock(4711)",
    "settings": "SELECT set_config('a.b', '1', false), set_config('work_mem', '7MB', false)",
    "LISTEN": "LISTEN mine",
    "WITH HOLD": "BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 1; COMMIT",
    "all of it": "CREATE TEMPORARY TABLE mine (x int); SELECT pg_advisory_lock(4711); LISTEN mine; SET work_mem = '7MB';"
                 "BEGIN; DECLARE mine CURSOR WITH HOLD FOR SELECT 1; COMMIT; PREPARE mine AS SELECT 1",
}


@pytest.mark.parametrize("query", ["DISCARD ALL", "discard all;", "SELECT 1"])
def test_nothing_is_left(shared_by, stores, query):  # noqa: F811
    """Whatever server_reset_query says: the same server serves the next client, who finds it as after its login."""
    proxy = shared_by(1, server_reset_query=query)
    for what, leaves in LEFT_BEHIND.items():
        with connect(proxy, stores) as one:
            one.execute(leaves)
            mine = value(one, "SELECT pg_backend_pid()")
        with connect(proxy, stores) as two:
            assert two.execute(STATE).fetchone() == BARE, what
            assert value(two, "SELECT pg_backend_pid()") == mine, what


def test_whoever_waits_gets_it(shared_by, stores):  # noqa: F811
    proxy = shared_by(1)
    with connect(proxy, stores) as two, contextlib.closing(connect(proxy, stores)) as one:
        one.execute("CREATE TEMPORARY TABLE mine (x int)")
        mine = value(one, "SELECT pg_backend_pid()")
        with two.pipeline():
            asked = two.execute("SELECT pg_backend_pid()")
            one.close()
            assert asked.fetchone()[0] == mine


def test_a_temporary_table_of_the_event_tables_name_catches_nobodys_events(shared_by, stores):  # noqa: F811
    proxy = shared_by(1, server_reset_query="SELECT 'weak'")
    with connect(proxy, stores) as one:
        one.execute("CREATE TEMPORARY TABLE events (LIKE public.events INCLUDING DEFAULTS)")
        mine = value(one, "SELECT pg_backend_pid()")
    with connect(proxy, stores) as two:
        two.execute(f"INSERT INTO events (event_id, aggregate_id, aggregate_type, tenant_id, event_type, version,"
                    f' "timestamp", payload) VALUES (gen_random_uuid(), gen_random_uuid(), \'a\', \'{TENANT}\', \'b\', 1, now(),'
                    " '{}')")
        assert value(two, "SELECT pg_backend_pid()") == mine
    assert stores.counts(TENANT) == (1, 0)


def test_shared_prepared_statements_are_made_again(shared_by, stores):  # noqa: F811
    proxy = shared_by(1)
    with connect(proxy, stores) as two:
        for _ in range(2):
            with connect(proxy, stores) as one:
                assert one.execute("SELECT %s::int + 1", [1], prepare=True).fetchone()[0] == 2
                assert two.execute("SELECT %s::int + 1", [2], prepare=True).fetchone()[0] == 3
                one.execute("LISTEN mine")
        assert two.execute("SELECT %s::int + 1", [3], prepare=True).fetchone()[0] == 4


def test_a_role_is_left_behind_by_nobody(shared_by, stores):  # noqa: F811
    role = f"role_{stores.dbname}"
    stores.shared.execute(stores.dbname, f"CREATE ROLE {role}")
    stores.shared.execute(stores.dbname, f"GRANT {role} TO {eventstore.APP}")
    proxy = shared_by(1)
    try:
        with connect(proxy, stores) as one:
            one.execute(f"SET ROLE {role}")
            one.execute("LISTEN mine")
            mine = value(one, "SELECT pg_backend_pid()")
        with connect(proxy, stores) as two:
            assert two.execute("SELECT current_user, current_setting('role'), pg_backend_pid()").fetchone() == (
                eventstore.APP, "none", mine)
    finally:
        proxy.stop()
        stores.shared.execute(stores.dbname, f"DROP ROLE {role}")


def test_nobody_hears_what_another_has_listened_to(shared_by, stores):  # noqa: F811
    """Somebody notifies all the time while listeners come and go on the one server."""
    proxy = shared_by(1)
    with contextlib.closing(wire.RawClient(proxy.port)) as two, stores.shared.connect(stores.dbname) as loud:
        two.login(eventstore.APP, eventstore.APP_PASSWORD, stores.dbname)
        for _ in range(20):
            with connect(proxy, stores) as one:
                one.execute("LISTEN mine")
                loud.execute("SELECT pg_notify('mine', n::text) FROM generate_series(1, 50) AS n")
            loud.execute("SELECT pg_notify('mine', n::text) FROM generate_series(1, 50) AS n")
            two.send(wire.query("SELECT 1"))
            assert "".join(message.kind for message in two.until("Z")) == "TDCZ"


# --- it does not go well ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("query, said", [
    ("SELECT 1/0", "division by zero"),
    ("BEGIN", "a transaction is open behind it"),
    ("COPY events FROM STDIN", "unexpected message type"),
    ("SELECT pg_sleep(100)", "it does not answer"),
], ids=["error", "open transaction", "COPY", "endless"])
def test_a_server_that_is_not_reset_is_closed(shared_by, stores, query, said):  # noqa: F811
    proxy = shared_by(1, server_reset_query=query)
    with connect(proxy, stores) as one:
        one.execute("CREATE TEMPORARY TABLE mine (x int)")
        mine = value(one, "SELECT pg_backend_pid()")
    with connect(proxy, stores) as two:
        assert two.execute(STATE).fetchone() == BARE
        assert value(two, "SELECT pg_backend_pid()") != mine
    wait_log(proxy, f"server_reset_query: a connection of user .* is closed: {said}")


def test_a_server_that_dies_meanwhile(shared_by, stores):  # noqa: F811
    proxy = shared_by(1, server_reset_query="SELECT pg_sleep(100)")
    with connect(proxy, stores) as one:
        one.execute("LISTEN mine")
        mine = value(one, "SELECT pg_backend_pid()")
    wait_until("it is told", lambda: stores.shared.rows(stores.dbname, "SELECT 1 FROM pg_stat_activity WHERE query ="
                                                        " 'SELECT pg_sleep(100)'"))
    stores.shared.execute(stores.dbname, f"SELECT pg_terminate_backend({mine})")
    with connect(proxy, stores) as two:
        assert value(two, "SELECT pg_backend_pid()") != mine


def test_the_proxy_ends_meanwhile(shared_by, stores):  # noqa: F811
    proxy = shared_by(1, server_reset_query="SELECT pg_sleep(100)")
    with connect(proxy, stores) as one:
        one.execute("LISTEN mine")
    proxy.stop()


def test_the_proxy_is_killed_meanwhile(shared_by, stores):  # noqa: F811
    """Between the reset and the pool: the server ends by itself, with all that it carried, and nobody gets it."""
    proxy = shared_by(1, server_reset_query="SELECT pg_sleep(0.7)")
    with connect(proxy, stores) as one:
        one.execute("SELECT pg_advisory_lock(4711)")
    wait_until("it is told", lambda: stores.shared.rows(stores.dbname, "SELECT 1 FROM pg_stat_activity WHERE query ="
                                                        " 'SELECT pg_sleep(0.7)' AND state = 'active'"))
    proxy.kill()
    proxy.start()
    with connect(proxy, stores) as two:
        assert two.execute(STATE).fetchone() == BARE
    wait_until("the lock is gone", lambda: not stores.shared.rows(stores.dbname, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
                                                                  " AND objid = 4711"))


def vanish(conn):
    """Its connection ends without a word."""
    socket.socket(fileno=os.dup(conn.fileno())).shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(psycopg.Error):
        conn.close()


def test_a_server_in_a_transaction_is_closed(shared_by, stores):  # noqa: F811
    proxy = shared_by(1)
    one = connect(proxy, stores, autocommit=False)
    one.execute("CREATE TEMPORARY TABLE mine (x int)")
    mine = value(one, "SELECT pg_backend_pid()")
    vanish(one)
    with connect(proxy, stores) as two:
        assert two.execute(STATE).fetchone() == BARE
        assert value(two, "SELECT pg_backend_pid()") != mine


def test_without_a_query_it_is_closed(shared_by, stores):  # noqa: F811
    """… and RELOAD brings it back."""
    proxy = shared_by(1, server_reset_query="")
    with connect(proxy, stores) as two:
        with connect(proxy, stores) as one:
            one.execute("LISTEN mine")
            mine = value(one, "SELECT pg_backend_pid()")
        fresh = value(two, "SELECT pg_backend_pid()")
        assert fresh != mine
        assert reload(proxy, pgshunt={"server_reset_query": "DISCARD ALL"}) == {
            "pgshunt.server_reset_query": ("", "DISCARD ALL", "applied")}
        with connect(proxy, stores) as one:
            one.execute("LISTEN mine")
        assert value(two, "SELECT pg_backend_pid()") == fresh


@pytest.fixture
def boss(stores):
    """A superuser with a password: whoever may LOAD anything."""
    name = f"boss_{stores.dbname}"
    stores.shared.execute(stores.dbname, f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD 'boss'")
    yield name
    stores.shared.execute(stores.dbname, f"DROP ROLE {name}")


@pytest.mark.parametrize("then", ["SELECT 1", "DISCARD ALL", "LISTEN mine"])
def test_a_library_keeps_its_server_for_good(make_proxy, stores, boss, then):
    proxy = make_proxy(settings={"pgshunt": {"pool_mode": "transaction", "workers": 1, "default_pool_size": 2}},
                       users={boss: "boss"}).start()
    with psycopg.connect(proxy.conninfo(stores.dbname, boss, "boss"), autocommit=True) as two:
        with psycopg.connect(proxy.conninfo(stores.dbname, boss, "boss"), autocommit=True) as one:
            one.execute("LOAD 'auto_explain'")
            one.execute(then)
            mine = value(one, "SELECT pg_backend_pid()")
            assert value(one, "SHOW auto_explain.log_min_duration") == "-1"
            assert mine not in {value(two, "SELECT pg_backend_pid()") for _ in range(5)}
        wait_until("its server goes with it", lambda: mine not in backends(stores, user=boss))
        with pytest.raises(psycopg.errors.UndefinedObject):
            two.execute("SHOW auto_explain.log_min_duration")
    proxy.stop()
