"""A cancel request reaches the statement that runs, on whatever store it runs, and never the one behind it."""
import threading
import time

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until


@pytest.fixture
def few(proxy, stores):
    stores.fill({TENANT: 20, OTHER: 10})
    proxy.move(TENANT, "dedicated")
    return proxy


def running(cluster, stores, what):
    return cluster.value(stores.dbname, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
                                        " state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()", (what,))


def in_background(call):
    outcome = []

    def run():
        try:
            outcome.append(call())
        except psycopg.Error as error:
            outcome.append(error)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("tenant", [TENANT, OTHER])
@pytest.mark.parametrize("block", [False, True])
def test_the_statement_that_runs(few, stores, tenant, block):
    cluster = stores.dedicated if tenant == TENANT else stores.shared
    with connect(few, stores) as conn:
        if block:
            conn.execute("BEGIN")
        thread, outcome = in_background(
            lambda: conn.execute(f"SELECT pg_sleep(60), version FROM events WHERE tenant_id = '{tenant}' LIMIT 1"))
        wait_until("it runs there", lambda: running(cluster, stores, "%pg_sleep(60)%"))
        conn.cancel()
        thread.join(20)
        assert outcome and outcome[0].sqlstate == "57014"
        if block:
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                conn.execute("SELECT 1")
            conn.execute("ROLLBACK")
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_in_the_middle_of_a_result(few, stores):
    with connect(few, stores) as conn:
        with conn.cursor() as cursor, pytest.raises(psycopg.errors.QueryCanceled):
            for number, _ in enumerate(cursor.stream("SELECT repeat('x', 1000) FROM generate_series(1, 100000000)")):
                if number == 0:
                    conn.cancel()
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_copy_out_and_copy_in(few, stores):
    with connect(few, stores) as conn:
        with pytest.raises(psycopg.errors.QueryCanceled):
            with conn.cursor().copy("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000000)) TO STDOUT") as copy:
                for number, _ in enumerate(copy):
                    if number == 0:
                        conn.cancel()
        assert conn.execute("SELECT 1").fetchone() == (1,)
        conn.execute("CREATE TEMP TABLE lines (line text)")
        with pytest.raises(psycopg.errors.QueryCanceled):
            with conn.cursor().copy("COPY lines FROM STDIN") as copy:
                for number in range(100000):
                    copy.write(b"x" * 1000 + b"\n")
                    if number == 50:
                        conn.cancel()
        assert conn.execute("SELECT count(*) FROM lines").fetchone() == (0,)


def test_many_at_once_and_none_hits_the_next_statement(few, stores):
    """Two threads cancel all the time; only what sleeps is ever cancelled, and what is short never fails late."""
    with connect(few, stores) as conn:
        stop = threading.Event()

        def cancel_for_ever():
            while not stop.is_set():
                try:
                    conn.cancel()
                except psycopg.Error:
                    pass
        threads = [threading.Thread(target=cancel_for_ever, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        cancelled = 0
        try:
            for number in range(100):
                for tenant in (TENANT, OTHER):
                    try:
                        conn.execute(f"SELECT pg_sleep(0.01) FROM events WHERE tenant_id = '{tenant}' LIMIT 1")
                    except psycopg.errors.QueryCanceled:
                        cancelled += 1
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        assert cancelled > 0
        for _ in range(20):        # the last requests have been answered: none is left over
            conn.execute(f"SELECT pg_sleep(0.01) FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")


def test_who_waits_for_its_cancel_may_go_on(few, stores):
    """A cancel that comes too late is dropped, and once its connection is closed the next statement is safe."""
    with connect(few, stores) as conn:
        for number in range(300):
            tenant = (TENANT, OTHER)[number % 2]
            try:
                conn.execute(f"SELECT 1 FROM events WHERE tenant_id = '{tenant}'")
            except psycopg.errors.QueryCanceled:
                pytest.fail("the statement before the cancel")
            conn.cancel()


def test_a_statement_that_waits_for_its_server(few, stores):
    """Its store is frozen while a server is opened there: 57014, and the session goes on."""
    with connect(few, stores) as conn:
        conn.execute("SELECT 1")
        stores.dedicated.freeze()
        try:
            thread, outcome = in_background(lambda: conn.execute(f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}'"))
            time.sleep(0.5)
            conn.cancel()
            thread.join(10)
            assert outcome and outcome[0].sqlstate == "57014"
            assert conn.execute(f"SELECT count(*) FROM events WHERE tenant_id = '{OTHER}'").fetchone() == (10,)
        finally:
            stores.dedicated.thaw()
        assert conn.execute(f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'").fetchone() == (20,)


def test_a_pipeline(few, stores):
    """The statement that runs fails, what is behind it up to the Sync is skipped, the next pipeline is not touched."""
    raw = wire.RawClient(few.port)
    raw.login(APP, APP_PASSWORD, stores.dbname)
    raw.send(wire.parse("SELECT pg_sleep(60)") + wire.bind() + wire.execute()
             + wire.parse("SELECT 2") + wire.bind() + wire.execute() + wire.sync()
             + wire.parse("SELECT pg_sleep(0.2), 3") + wire.bind() + wire.execute() + wire.sync())
    wait_until("it runs", lambda: running(stores.shared, stores, "SELECT pg_sleep(60)"))
    pid, secret = raw.key
    with wire.RawClient(few.port) as other:
        other.send(wire.cancel(pid, secret))
        assert other.socket.recv(1) == b""         # closed when the server has been told, as PostgreSQL does
    first, second = raw.until("Z"), raw.until("Z")
    assert [m.fields()["C"] for m in first if m.kind == "E"] == ["57014"] and not [m for m in first if m.kind == "D"]
    assert [m.values()[1] for m in second if m.kind == "D"] == [b"3"], second
