"""RELOAD applies the limits of pool_mode = transaction: nobody is thrown out, what is too many goes when it is free."""
import contextlib
import threading

import psycopg
import pytest

import eventstore
from conftest import connect
from pgcluster import wait_until
from test_reloads import reload
from test_shares_servers import backends, prepared_on_server, run_at_once, shared_by, value  # noqa: F401  pylint: disable=unused-import


def pooled(proxy, **keys):
    """All of it must be in force at once."""
    changes = reload(proxy, pgshunt=keys)
    assert {status for _, _, status in changes.values()} == {"applied"} and len(changes) == len(keys), changes


@contextlib.contextmanager
def in_transactions(proxy, stores, count):
    """Clients, each in a transaction: each keeps a server."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores)) for _ in range(count)]
        for client in clients:
            client.execute("BEGIN")
            client.execute("SELECT 1")
        yield clients


@contextlib.contextmanager
def waiting(proxy, stores):
    """A client that stands in line; the answer it got, or the error."""
    answers = []

    def ask():
        with connect(proxy, stores) as conn:
            try:
                answers.append(value(conn, "SELECT 'served'"))
            except psycopg.Error as error:
                answers.append(error.sqlstate)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        wait_until("it stands in line", lambda: any(row["cl_waiting"] for row in proxy.admin("SHOW POOLS")))
        yield answers
    finally:
        thread.join()


@pytest.mark.parametrize("before, after", [
    ({}, {"default_pool_size": 2}),
    ({"default_pool_size": 5, "max_db_connections": 1}, {"max_db_connections": 0}),
    ({"default_pool_size": 5, "max_user_connections": 1}, {"max_user_connections": 2}),
    ({}, {"reserve_pool_size": 1, "reserve_pool_timeout": 0}),
], ids=["default_pool_size", "max_db_connections", "max_user_connections", "reserve_pool_size"])
def test_whoever_waits_is_served_when_there_may_be_more(shared_by, stores, before, after):  # noqa: F811
    proxy = shared_by(**{"size": before.get("default_pool_size", 1), "workers": 2,
                         **{key: number for key, number in before.items() if key != "default_pool_size"}})
    with in_transactions(proxy, stores, 1), waiting(proxy, stores) as answers:
        assert answers == []
        pooled(proxy, **after)
        wait_until("it is served", lambda: answers == ["served"])


@pytest.mark.parametrize("fewer", ["default_pool_size", "max_db_connections", "max_user_connections"])
def test_what_is_too_many_goes_when_it_is_free(shared_by, stores, fewer):  # noqa: F811
    proxy = shared_by(5, workers=2)
    with in_transactions(proxy, stores, 4) as clients:
        mine = [value(client, "SELECT pg_backend_pid()") for client in clients]
        pooled(proxy, **{fewer: 2})
        for client, pid in zip(clients, mine):
            assert value(client, "SELECT pg_backend_pid()") == pid
        for client in clients[:3]:
            client.execute("COMMIT")
        wait_until("the others have gone", lambda: len(backends(stores)) <= 2)
        assert value(clients[3], "SELECT pg_backend_pid()") == mine[3]
        run_at_once([lambda client=client: [value(client, "SELECT 1") for _ in range(10)] for client in clients[:3]])
        assert len(backends(stores)) <= 2
        clients[3].execute("COMMIT")


def test_a_reserve_that_is_taken_away(shared_by, stores):  # noqa: F811
    proxy = shared_by(1, reserve_pool_size=2, reserve_pool_timeout=0)
    with in_transactions(proxy, stores, 3):
        assert len(backends(stores)) == 3
        pooled(proxy, reserve_pool_size=0)
    wait_until("only the pool is left", lambda: len(backends(stores)) == 1)


def test_what_a_pool_keeps_open(shared_by, stores):  # noqa: F811
    proxy = shared_by(5)
    with connect(proxy, stores) as one:
        mine = value(one, "SELECT pg_backend_pid()")
        pooled(proxy, min_pool_size=3)
        wait_until("more are opened", lambda: len(backends(stores)) == 3)
        pooled(proxy, min_pool_size=0, server_idle_timeout=1)
        wait_until("the idle ones go", lambda: not backends(stores))
        assert value(one, "SELECT pg_backend_pid()") != mine


def test_how_old_a_server_gets(shared_by, stores):  # noqa: F811
    """Those that are older go at once, or when their transaction has ended."""
    proxy = shared_by(2)
    with in_transactions(proxy, stores, 1) as (one,), connect(proxy, stores) as two:
        mine, other = value(one, "SELECT pg_backend_pid()"), value(two, "SELECT pg_backend_pid()")
        pooled(proxy, server_lifetime=1)
        wait_until("the idle one goes", lambda: other not in backends(stores))
        assert value(one, "SELECT pg_backend_pid()") == mine
        one.execute("COMMIT")
        wait_until("the other one goes", lambda: mine not in backends(stores))
        assert value(one, "SELECT pg_backend_pid()") != mine


def test_how_long_a_client_waits(shared_by, stores):  # noqa: F811
    proxy = shared_by(1, query_wait_timeout=0)
    with in_transactions(proxy, stores, 1), waiting(proxy, stores) as answers:
        pooled(proxy, query_wait_timeout=1)
        wait_until("it is refused", lambda: answers == ["53300"])


def test_how_many_statements_a_server_keeps(shared_by, stores):  # noqa: F811
    proxy = shared_by(1)
    with connect(proxy, stores) as one:
        for number in range(6):
            one.execute(f"SELECT {number} + %s::int", [1], prepare=True)
        assert len(prepared_on_server(stores, proxy)) == 6
        pooled(proxy, max_prepared_statements=2)
        assert one.execute("SELECT 7 + %s::int", [1], prepare=True).fetchone()[0] == 8
        assert len(prepared_on_server(stores, proxy)) <= 2
        for number in range(6):
            assert one.execute(f"SELECT {number} + %s::int", [1], prepare=True).fetchone()[0] == number + 1


def test_limits_are_for_each_user_of_a_store(make_proxy, stores):
    """max_user_connections: two users, one each; what one of them does not use is not the other's."""
    name = f"second_{stores.dbname}"
    stores.shared.execute(stores.dbname, f"CREATE ROLE {name} LOGIN PASSWORD 'second'")
    proxy = make_proxy(settings={"pgshunt": {"pool_mode": "transaction", "default_pool_size": 5,
                                             "max_user_connections": 1}},
                       users={eventstore.APP: eventstore.APP_PASSWORD, name: "second"}).start()
    try:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(proxy, stores, options=f"-c work_mem={number}MB"))
                       for number in range(1, 4)]
            clients.append(stack.enter_context(
                psycopg.connect(proxy.conninfo(stores.dbname, name, "second"), autocommit=True)))
            run_at_once([lambda conn=conn: [value(conn, "SELECT 1 FROM pg_sleep(0.01)") for _ in range(10)]
                         for conn in clients])
            assert len(backends(stores)) <= 1 and len(backends(stores, user=name)) <= 1
    finally:
        proxy.stop()
        stores.shared.execute(stores.dbname, f"DROP ROLE {name}")
