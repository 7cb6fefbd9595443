"""SHOW CLIENTS, SERVERS, POOLS and STATS: the operator sees who is there, what they do, and what they wait for."""
import os
import socket
import threading

import psycopg

from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from events import append
from pgcluster import wait_until


def background(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def client_of(proxy, conn):
    """The row of this connection: the one with its own port."""
    own = socket.socket(fileno=os.dup(conn.pgconn.socket))
    with own:
        port = own.getsockname()[1]
    return next(row for row in proxy.admin("SHOW CLIENTS") if row["port"] == port)


def test_a_client_and_its_server(proxy, stores):
    with connect(proxy, stores, application_name="till") as conn:
        conn.execute("SELECT 1")
        client = client_of(proxy, conn)
        assert (client["type"], client["user"], client["database"]) == ("C", APP, stores.dbname)
        assert (client["addr"], client["local_addr"], client["local_port"]) == ("127.0.0.1", "127.0.0.1", proxy.port)
        assert client["state"] == "idle" and not client["in_transaction"] and not client["held"]
        assert client["application_name"] == "till" and client["store"] == "shared"
        assert client["connect_time"] <= client["request_time"]
        server = next(row for row in proxy.admin("SHOW SERVERS") if row["ptr"] == client["link"])
        assert server["link"] == client["ptr"] and server["store"] == "shared" and server["user"] == APP
        assert server["remote_pid"] == conn.execute("SELECT pg_backend_pid()").fetchone()[0]
        conn.execute("BEGIN")
        append(conn, OTHER)
        client = client_of(proxy, conn)
        assert client["in_transaction"] and client["state"] == "idle in transaction" and client["tenant"] == OTHER
        conn.execute("COMMIT")
    wait_until("it has left", lambda: proxy.admin("SHOW CLIENTS") == [])


def test_a_client_by_unix_domain_socket(make_proxy, stores):
    proxy = make_proxy()
    proxy.settings["pgshunt"]["unix_socket_dir"] = proxy.base
    proxy.write_files()
    proxy.start()
    with psycopg.connect(host=str(proxy.base), port=proxy.port, dbname=stores.dbname, user=APP, password=APP_PASSWORD):
        (client,) = proxy.admin("SHOW CLIENTS")
        assert (client["addr"], client["port"], client["remote_pid"]) == ("unix", 0, os.getpid())


def test_one_that_is_held(make_proxy, stores):
    """A transaction that stays open keeps a cutover waiting, and that the tenant's next write."""
    proxy = make_proxy(settings={"migration": {"cutover_timeout_ms": 8000, "write_hold_timeout_ms": 20000}}).start()
    stores.fill({TENANT: 30})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    proxy.wait_cutover_ready(migration)
    with connect(proxy, stores, autocommit=False) as slow, connect(proxy, stores, application_name="held") as held:
        append(slow, TENANT)
        cutover = background(lambda: proxy.cutover(migration))
        proxy.wait_state(migration, "cutover_paused")
        seen = threading.Event()

        def write():
            while not seen.is_set():    # one or two may pass before the gates are closed
                append(held, TENANT)
        writer = background(write)
        row = wait_until("the write is held", lambda: next(
            (row for row in proxy.admin("SHOW CLIENTS") if row["application_name"] == "held" and row["held"]), None))
        assert row["state"] == "waiting" and "cutover" in row["why"]
        seen.set()
        slow.commit()
        for thread in (cutover, writer):
            thread.join(30)
    assert proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]["store_id"] == "dedicated"


def test_one_at_work(proxy, stores):
    with connect(proxy, stores, application_name="slow") as slow:
        worker = background(lambda: slow.execute("SELECT pg_sleep(1)"))
        wait_until("it is seen at work", lambda: any(
            row["state"] == "active" and row["application_name"] == "slow" for row in proxy.admin("SHOW CLIENTS")))
        worker.join()


def test_pools_and_stats_add_up_over_the_loops(proxy, stores):
    with connect(proxy, stores) as one, connect(proxy, stores) as two, connect(proxy, stores) as three:
        for conn in (one, two, three):
            for _ in range(5):
                conn.execute("SELECT repeat('x', 1000)")
        (pool,) = [row for row in proxy.admin("SHOW POOLS") if row["user"] == APP]
        assert (pool["store"], pool["database"]) == ("shared", stores.dbname)
        assert (pool["cl_active"], pool["cl_waiting"], pool["sv_active"], pool["sv_login"]) == (3, 0, 3, 0)
        stats = {row["store"]: row for row in proxy.admin("SHOW STATS")}
        assert set(stats) == {"shared", "dedicated"}
        assert stats["shared"]["total_query_count"] >= 15 and stats["shared"]["total_xact_count"] >= 15
        assert stats["shared"]["total_sent"] > 15000 and stats["shared"]["total_received"] > 15 * 20
        assert stats["shared"]["total_query_time"] > 0
        assert stats["dedicated"]["total_query_count"] == 0


def test_the_moved_tenants_store_has_its_own_numbers(proxy, stores, moved):
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        stats = {row["store"]: row for row in proxy.admin("SHOW STATS")}
        assert stats["dedicated"]["total_xact_count"] >= 1
        assert {row["store"] for row in proxy.admin("SHOW SERVERS")} >= {"dedicated"}


def test_drivers_may_ask_with_binary_answers(proxy, app):
    with proxy.admin_connect() as conn, conn.cursor(binary=True) as cursor:
        for command in ("SHOW CLIENTS", "SHOW SERVERS", "SHOW POOLS", "SHOW STATS", "SHOW TOTALS"):
            assert cursor.execute(command).fetchall()
