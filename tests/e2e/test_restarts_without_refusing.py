"""A restart (`pgshunt -R`) that no application notices: no connection is refused, no transaction is lost, and a migration
goes on in the new process."""
import threading
import time

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from events import Appender, append, place
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


def in_the_way(proxy, migration):
    return [row["check"] for row in proxy.check_cutover(migration)[1] if not row["ok"]]


def control_of_its_own(stores):
    """A control database that can be lost without a store."""
    eventstore.create_database(stores.shared, f"{stores.dbname}_control", table=False)
    return {"conninfo": eventstore.store_conninfo(stores.shared, f"{stores.dbname}_control")}


def lose_control(stores):
    name = f"{stores.dbname}_control"
    stores.shared.execute("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    stores.shared.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def find_control(stores):
    stores.shared.execute("postgres", f"ALTER DATABASE {stores.dbname}_control ALLOW_CONNECTIONS true")


def home(stores, tenant):
    rows = stores.shared.rows(stores.dbname, "SELECT store_id FROM pgshunt.tenant_routing WHERE tenant_id = %s", [tenant])
    return rows[0][0] if rows else None


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
        wait_until("nothing else is in the way", lambda: in_the_way(proxy, migration) == ["processes"], 30)
        with pytest.raises(psycopg.Error, match="earlier process") as refused:
            proxy.cutover(migration)
        assert refused.value.sqlstate == "55006"
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


def test_a_cutover_under_way_ends_before_the_new_process_has_control(make_proxy, stores):
    """It has been committed and not been published when the successor asks: both processes go by the new route."""
    proxy = make_proxy(settings=PATIENT).start(failpoint="cutover.after_switch=sleep:2000")
    stores.fill({TENANT: 100})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    proxy.wait_cutover_ready(migration)
    with connect(proxy, stores, autocommit=False) as busy:
        busy.execute("SELECT 1")
        answers = []
        cutover = threading.Thread(target=lambda: answers.append(proxy.cutover(migration)))
        cutover.start()                                     # the operator is connected to the old process
        wait_until("it is committed", lambda: home(stores, TENANT) == "dedicated")
        predecessor = proxy.take_over()
        serving(proxy)
        cutover.join(20)
        assert [row["state"] for row in answers[0]] == ["migrated"]
        append(busy, TENANT)
        busy.commit()
        with connect(proxy, stores) as new:
            append(new, TENANT)
        assert ended(predecessor) == 0
    assert stores.counts(TENANT) == (100, 102)


@pytest.mark.parametrize("control", ["there", "away for a while"])
def test_a_route_changed_by_hand_reaches_both_processes(make_proxy, stores, control):
    """An operator moves a tenant that has nothing yet, while the old process has transactions to end."""
    settings = {**PATIENT, "control": control_of_its_own(stores)}
    proxy = make_proxy(settings=settings).start()
    with connect(proxy, stores, autocommit=False) as old, connect(proxy, stores, autocommit=False) as older:
        append(old, OTHER)
        older.execute("SELECT 1")
        predecessor = proxy.take_over()
        serving(proxy)
        if control != "there":
            lose_control(stores)
            with connect(proxy, stores) as new:             # both go on by what they know
                append(new, OTHER)
            append(old, OTHER, version=2)
            find_control(stores)
        stores.shared.execute(f"{stores.dbname}_control", "INSERT INTO pgshunt.tenant_routing (tenant_id, store_id)"
                              " VALUES (%s, 'dedicated')", [TENANT])
        with connect(proxy, stores) as new:
            wait_until("the new one knows", lambda: place(new, TENANT)[0] == stores.dedicated.port)
            append(new, TENANT)

        assert predecessor.poll() is None
        wait_until("the old one knows", lambda: place(old, TENANT)[0] == stores.dedicated.port)
        append(older, TENANT)
        older.commit()
        old.commit()
        assert ended(predecessor) == 0
    assert stores.counts(TENANT) == (0, 2)


def test_the_control_database_is_away_during_a_restart(make_proxy, stores):
    """The new process does not serve before it has read the routes; the old one serves until then."""
    settings = {**PATIENT, "control": control_of_its_own(stores)}
    proxy = make_proxy(settings=settings).start()
    stores.fill({TENANT: 50})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    with connect(proxy, stores) as conn:
        lose_control(stores)
        predecessor = proxy.take_over(ready=False)
        wait_until("the old one has given up control", lambda: "migrations are the successor's" in proxy.log(), 20)
        wait_until("the new one has tried", lambda: "the control database" in proxy.log_since_start(), 20)
        for _ in range(3):
            append(conn, TENANT)                            # who is connected …
            with connect(proxy, stores) as new:             # … and who comes
                append(new, TENANT)
            time.sleep(0.3)
        assert predecessor.poll() is None
        find_control(stores)
        serving(proxy)
        assert ended(predecessor) == 0
    proxy.wait_state(migration, "dual_write")
    proxy.wait_cutover_ready(migration)
    proxy.cutover(migration)
    assert stores.counts(TENANT)[1] == 56


def test_a_successor_that_finds_no_control_database_and_dies(make_proxy, stores):
    """The old process has control again, and may cut over."""
    settings = {**PATIENT, "control": control_of_its_own(stores)}
    proxy = make_proxy(settings=settings).start()
    stores.fill({TENANT: 50})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    lose_control(stores)
    old = proxy.take_over(ready=False)
    wait_until("the old one has given up control", lambda: "migrations are the successor's" in proxy.log(), 20)
    proxy.kill()
    proxy.process = old
    wait_until("it goes on", lambda: "has given up" in proxy.log(), 20)
    with connect(proxy, stores) as conn:
        held = threading.Thread(target=append, args=(conn, TENANT))
        held.start()
        find_control(stores)
        held.join(20)
    wait_until("its runner is back", lambda: has_runner(proxy, migration), 30)
    proxy.wait_cutover_ready(migration)
    proxy.cutover(migration)
    assert stores.counts(TENANT)[1] == 51


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


def test_a_successor_is_killed_while_the_old_process_ends(make_proxy, stores):
    """A third one would not know of the first, whose clients' writes it had to hold: it is kept out until that has ended."""
    proxy = make_proxy(settings=PATIENT).start()
    with connect(proxy, stores, autocommit=False) as busy:
        append(busy, OTHER)
        first = proxy.take_over()
        serving(proxy)
        proxy.kill()
        for options in ([], ["-R"]):
            proxy.launch(options=options)
            assert proxy.process.wait(20) == 1
            assert "another instance holds the lock" in proxy.log_since_start()
        append(busy, OTHER, version=2)
        busy.commit()
        assert ended(first) == 0
    proxy.start()
    with connect(proxy, stores) as new:
        append(new, OTHER)
    assert stores.counts(OTHER)[0] == 3


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
