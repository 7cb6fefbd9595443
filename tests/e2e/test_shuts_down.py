"""SHUTDOWN, gracefully or at once, by command or by signal: who is let finish, who is not, and what each is told."""
import signal
import threading
import time

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from events import append
from pgcluster import wait_until

PATIENT = {"pgshunt": {"shutdown_timeout_seconds": 30}}


def state(proxy):
    return proxy.admin("SHOW SHUTDOWN")[0]


def grow_old():
    """A client that has just logged in is left alone for a second."""
    time.sleep(1.2)


def terminated(conn):
    with pytest.raises(psycopg.OperationalError, match="terminating connection due to administrator command"):
        conn.execute("SELECT 1")


@pytest.mark.parametrize("how", ["SHUTDOWN GRACEFUL", signal.SIGTERM])
def test_a_transaction_is_finished_and_an_idle_client_is_not_waited_for(make_proxy, stores, how):
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores, autocommit=False) as busy, connect(proxy, stores) as idle, \
            connect(proxy, stores) as worker:
        append(busy, OTHER)
        grow_old()
        slept = []
        thread = threading.Thread(target=lambda: slept.append(worker.execute("SELECT 1 FROM pg_sleep(1)").fetchone()))
        thread.start()
        wait_until("it works", lambda: any(row["state"] == "active" for row in proxy.admin("SHOW CLIENTS")))
        assert state(proxy)["state"] == "running"
        if isinstance(how, str):
            proxy.admin(how)
        else:
            proxy.process.send_signal(how)
        wait_until("it shuts down", lambda: state(proxy)["state"] == "shutting down")
        terminated(idle)
        with pytest.raises(psycopg.OperationalError):
            connect(proxy, stores)
        wait_until("one or two are left", lambda: 1 <= state(proxy)["clients"] <= 2)
        assert 0 <= state(proxy)["seconds_left"] <= 30
        thread.join()
        assert slept == [(1,)]
        append(busy, OTHER, version=2)
        busy.commit()
        terminated(busy)
    assert proxy.wait_dead() == 0
    assert stores.counts(OTHER)[0] == 2


def test_a_pipeline_without_its_sync_is_a_transaction(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        client.send(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.flush())
        client.until("C")
        grow_old()
        proxy.admin("SHUTDOWN GRACEFUL")
        time.sleep(0.3)
        client.send(wire.parse("SELECT 2"), wire.bind(), wire.execute(), wire.sync())
        assert [answer.kind for answer in client.until("Z")] == ["1", "2", "D", "C", "Z"]
        assert client.read().fields()["C"] == "57P01"
    assert proxy.wait_dead() == 0


def test_who_has_just_come_is_served_first(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores) as conn:
        proxy.admin("SHUTDOWN GRACEFUL")
        for _ in range(3):
            assert conn.execute("SELECT 1").fetchone() == (1,)
    assert proxy.wait_dead() == 0


def test_time_is_bounded(make_proxy, stores):
    proxy = make_proxy(settings={"pgshunt": {"shutdown_timeout_seconds": 1}}).start()
    with connect(proxy, stores, autocommit=False) as conn:
        append(conn, OTHER)
        proxy.admin("SHUTDOWN GRACEFUL")
        assert proxy.wait_dead() == 0
        terminated(conn)
    assert "1 clients lose their transactions" in proxy.log()
    assert stores.counts(OTHER)[0] == 0


@pytest.mark.parametrize("how", ["SHUTDOWN", "SHUTDOWN NOW", signal.SIGINT, signal.SIGQUIT])
def test_at_once(make_proxy, stores, how):
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores, autocommit=False) as conn:
        append(conn, OTHER)
        if isinstance(how, str):
            proxy.admin_psql(how)
        else:
            proxy.process.send_signal(how)
        assert proxy.wait_dead(10) == 0
        terminated(conn)
    assert stores.counts(OTHER)[0] == 0


def test_a_second_signal_does_not_wait(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores, autocommit=False) as conn:
        append(conn, OTHER)
        proxy.process.send_signal(signal.SIGTERM)
        wait_until("it shuts down", lambda: state(proxy)["state"] == "shutting down")
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.wait_dead(10) == 0
        terminated(conn)


def test_a_migration_under_way_goes_on_at_the_next_start(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    stores.fill({TENANT: 100})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    with connect(proxy, stores, autocommit=False) as conn:
        append(conn, TENANT, version=1)
        proxy.admin("SHUTDOWN GRACEFUL")
        append(conn, TENANT, version=2)
        conn.commit()
    assert proxy.wait_dead() == 0
    proxy.start()
    proxy.wait_state(migration, "dual_write")
    proxy.wait_cutover_ready(migration)
    proxy.cutover(migration)
    assert stores.counts(TENANT)[1] == 102
