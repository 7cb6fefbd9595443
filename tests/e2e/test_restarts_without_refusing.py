"""A restart (`pgshunt -R`) that no application notices: no connection is refused, no transaction is lost, and a migration
goes on in the new process."""
import threading
import time

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from events import Appender, append
from pgcluster import wait_until

PATIENT = {"pgshunt": {"shutdown_timeout_seconds": 30}}


def ended(process, timeout_s=30):
    """The exit code of a predecessor."""
    return process.wait(timeout_s)


def serving(proxy):
    wait_until("the successor serves", lambda: "serving" in proxy.log_since_start(), 20)


def has_runner(proxy, migration):
    try:
        return proxy.check_cutover(migration)
    except psycopg.Error:
        return None


class Callers(threading.Thread):
    """Applications that connect, say one thing and leave, one after the other."""

    def __init__(self, connect_once, rate=200):
        super().__init__()
        self.connect_once, self.pause_s = connect_once, 1 / rate
        self.calls, self.failures, self.over = 0, [], threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                self.connect_once()
            except psycopg.Error as failure:
                self.failures.append(str(failure))
            self.calls += 1
            time.sleep(self.pause_s)

    def wait_called(self, more):
        goal = self.calls + more
        wait_until(f"{more} more calls", lambda: self.calls >= goal, 30)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def test_no_connection_is_refused_through_three_restarts(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT)
    proxy.settings["pgshunt"]["unix_socket_dir"] = proxy.base
    proxy.write_files()
    proxy.start()

    def by_tcp():
        with connect(proxy, stores) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)

    def by_socket():
        with psycopg.connect(host=str(proxy.base), port=proxy.port, dbname=stores.dbname, user=APP,
                             password=APP_PASSWORD) as conn:
            append(conn, OTHER, stream=None)

    with Callers(by_tcp) as first, Callers(by_tcp) as second, Callers(by_socket) as third:
        for _ in range(3):
            predecessor = proxy.take_over()
            serving(proxy)
            assert ended(predecessor) == 0
            for callers in (first, second, third):
                callers.wait_called(10)
    for callers in (first, second, third):
        assert callers.failures == []
    assert stores.counts(OTHER)[0] == third.calls


def test_a_transaction_is_finished_in_the_old_process(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores, autocommit=False) as busy, connect(proxy, stores) as idle:
        append(busy, OTHER)
        time.sleep(1.2)
        predecessor = proxy.take_over()
        serving(proxy)
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            idle.execute("SELECT 1")
        state = proxy.admin("SHOW SHUTDOWN")[0]["state"]
        assert "earlier process" in state
        with connect(proxy, stores) as new:
            append(new, OTHER)
        append(busy, OTHER, version=2)
        busy.commit()
        assert ended(predecessor) == 0
    wait_until("it is alone", lambda: proxy.admin("SHOW SHUTDOWN")[0]["state"] == "running")
    assert stores.counts(OTHER)[0] == 3


def test_a_second_restart_while_the_first_is_not_over(make_proxy, stores):
    """Three processes: the last one is alone when both others have ended, and a cancel finds its way through them."""
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores, autocommit=False) as busy:
        append(busy, OTHER)
        cancelled = []

        def sleep():
            try:
                busy.execute("SELECT pg_sleep(30)")
            except psycopg.errors.QueryCanceled as why:
                cancelled.append(why)
        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        first = proxy.take_over()
        serving(proxy)
        second = proxy.take_over()
        serving(proxy)
        time.sleep(0.5)
        assert first.poll() is None and second.poll() is None, "the second waits for the first"
        assert "earlier process" in proxy.admin("SHOW SHUTDOWN")[0]["state"]
        busy.cancel()
        sleeper.join(10)
        assert len(cancelled) == 1
        busy.rollback()
        assert (ended(first), ended(second)) == (0, 0)
    wait_until("it is alone", lambda: proxy.admin("SHOW SHUTDOWN")[0]["state"] == "running")


def test_a_cancel_finds_its_client_in_the_old_process(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores, autocommit=False) as busy:
        append(busy, OTHER)
        failed = []

        def sleep():
            try:
                busy.execute("SELECT pg_sleep(20)")
            except psycopg.errors.QueryCanceled as why:
                failed.append(why)
        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        predecessor = proxy.take_over()
        serving(proxy)
        busy.cancel()
        sleeper.join(10)
        assert len(failed) == 1
        busy.rollback()
        assert ended(predecessor) == 0


def test_a_migration_goes_on_and_its_cutover_waits_for_the_old_process(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    stores.fill({TENANT: 200, OTHER: 50})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    with connect(proxy, stores, autocommit=False) as busy:
        writer = Appender(proxy, stores, TENANT, reconnect=True)
        writer.start()
        append(busy, TENANT, version=1)
        predecessor = proxy.take_over()
        serving(proxy)
        proxy.wait_state(migration, "dual_write")
        proxy.wait_cutover_ready(migration)
        with pytest.raises(psycopg.Error, match="earlier process"):
            proxy.cutover(migration)
        append(busy, TENANT, version=2)
        busy.commit()
        assert ended(predecessor) == 0
    wait_until("it is alone", lambda: proxy.admin("SHOW SHUTDOWN")[0]["state"] == "running")
    proxy.wait_cutover_ready(migration)
    proxy.cutover(migration)
    proxy.wait_state(migration, "migrated")
    writer.stop()
    writer.check(stores.dedicated)
    assert stores.dedicated.rows(stores.dbname, f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'"
                                 " AND actor_id = 'story'")[0][0] == 2


@pytest.mark.parametrize("where", ["takeover.after_sockets", "takeover.after_release"])
def test_a_successor_that_dies_is_as_if_it_had_never_come(make_proxy, stores, where):
    """Killed while it holds the sockets, and when the old process has given up control."""
    proxy = make_proxy(settings=PATIENT).start()
    stores.fill({TENANT: 50})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    old = proxy.process
    with connect(proxy, stores) as conn:
        proxy.launch(options=["-R"], failpoint=f"{where}=crash")
        assert proxy.process.wait(30) != 0
        proxy.process = old
        assert conn.execute("SELECT 1").fetchone() == (1,)
        wait_until("it goes on", lambda: "has given up" in proxy.log(), 20)
        append(conn, TENANT)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    wait_until("its runner is back", lambda: has_runner(proxy, migration), 30)
    proxy.wait_cutover_ready(migration)
    proxy.cutover(migration)
    assert stores.counts(TENANT)[1] == 52
    predecessor = proxy.take_over()         # and another successor succeeds
    serving(proxy)
    assert ended(predecessor) == 0


def test_a_predecessor_that_dies_leaves_all_to_its_successor(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start(failpoint="takeover.before_release=crash")
    stores.fill({TENANT: 50})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    predecessor = proxy.take_over()
    serving(proxy)
    assert ended(predecessor) != 0
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    wait_until("its runner is back", lambda: has_runner(proxy, migration), 30)
    proxy.wait_cutover_ready(migration)
    proxy.cutover(migration)
    assert stores.counts(TENANT)[1] == 51


def test_with_nobody_to_take_over_from_it_just_starts(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT)
    proxy.launch(options=["-R"])
    proxy.wait_ready()
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert "nobody to take over from" in proxy.log()


def test_a_wrong_configuration_leaves_the_old_process_alone(make_proxy, stores):
    proxy = make_proxy(settings=PATIENT).start()
    old = proxy.process
    with connect(proxy, stores) as conn:
        proxy.settings["pgshunt"]["workers"] = "many"
        proxy.write_files()
        proxy.launch(options=["-R"])
        assert proxy.process.wait(20) == 2
        proxy.process = old
        assert conn.execute("SELECT 1").fetchone() == (1,)
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
