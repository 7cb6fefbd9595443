"""Two pgshunt in front of the same stores: a cutover that one of them runs holds the other's writers, too, waits until
those in flight have ended, and lets them go to the new store; whoever dies or freezes in the middle, nothing is lost and
nothing is written to two places."""
import signal
import threading
import time

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import Appender, append, place
from pgcluster import HarnessError, wait_until
from pgshunt import failpoints

SETTINGS = {"control": {"lease_ms": 1000}, "migration": {"mirror_poll_ms": 50}}

# Where whoever runs a cutover may die; the other one goes on with it.
STEPS = [name for name in failpoints() if name in (
    "cutover.after_pause", "cutover.before_close", "cutover.before_others", "cutover.after_others", "cutover.after_close",
    "cutover.before_lock", "cutover.after_drain", "cutover.after_catch_up", "cutover.before_shut",
    "cutover.after_shut", "cutover.before_switch", "cutover.after_switch", "cutover.before_release",
    "cutover.after_release")]


class Pair:
    """The one that runs the migration, the other, and an application at each."""

    def __init__(self, make_proxy, stores):
        self.first, self.second = make_proxy(settings=SETTINGS), make_proxy(settings=SETTINGS)
        self.stores, self.identity, self.appenders = stores, None, []
        stores.fill({TENANT: 500, OTHER: 100})
        self.before = eventstore.digest(stores.shared, stores.dbname, "actor_id = 'importer' AND tenant_id = %s", [TENANT])

    def begin(self, failpoint=None):
        self.second.start()
        self.first.start(failpoint=failpoint)
        for proxy in (self.first, self.second):
            for tenant in (TENANT, OTHER):
                self.appenders.append(Appender(proxy, self.stores, tenant, reconnect=True))
        for appender in self.appenders:
            appender.start()
            appender.wait_appended(3)
        self.identity = self.first.start_migration(TENANT, "dedicated")
        self.first.wait_state(self.identity, "dual_write")
        self.first.wait_cutover_ready(self.identity)

    def finish(self, proxy, home):
        """Who still has a proxy has gone on; everything acknowledged is where it belongs, once."""
        for appender in self.appenders:
            if appender.proxy.running():
                appender.wait_appended(5)
            appender.stop()
            assert not appender.errors, appender.errors
        for appender in self.appenders:
            appender.check(home if appender.tenant == TENANT else self.stores.shared)
        assert self.stores.counts(OTHER)[1] == 0
        assert eventstore.digest(home, self.stores.dbname, "actor_id = 'importer' AND tenant_id = %s",
                                 [TENANT]) == self.before
        assert eventstore.broken_streams(home, self.stores.dbname, TENANT) == []
        with connect(proxy, self.stores) as conn:
            assert place(conn, TENANT)[0] == home.port

    def drive(self, proxy, timeout_s=60):
        """Whatever an operator of `proxy` would do, until the tenant has moved."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                state = proxy.state(self.identity)
                if state == "migrated":
                    return
                assert state in ("dual_write", "cutover_paused"), proxy.migration(self.identity)
                if state == "dual_write" and proxy.check_cutover(self.identity)[0]:
                    proxy.cutover(self.identity)
            except (psycopg.Error, HarnessError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"not migrated: {proxy.migration(self.identity)}\n{proxy.log_tail()}")


@pytest.fixture
def pair(make_proxy, stores):
    return Pair(make_proxy, stores)


def in_background(call):
    """A command whose answer is not what this is about."""
    def run():
        try:
            call()
        except (psycopg.Error, HarnessError):
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def everything(error):
    return " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)))


def test_both_are_held_and_both_are_let_go_to_the_new_store(pair, stores):
    pair.begin()
    pair.first.cutover(pair.identity)
    with connect(pair.second, stores) as conn:      # its acknowledgement is older than the answer
        assert place(conn, TENANT)[0] == stores.dedicated.port
    pair.finish(pair.first, stores.dedicated)
    acks = stores.shared.rows(stores.dbname, "SELECT a.generation = r.generation FROM pgshunt.instance_acks a"
                              " JOIN pgshunt.tenant_routing r USING (tenant_id) WHERE a.instance_id = %s",
                              [socket_name(pair.second)])
    assert acks and all(row[0] for row in acks)


def test_a_transaction_in_flight_at_the_other_one(pair, stores):
    """It is not cut off: the cutover is taken back and names it; when it has ended, the cutover goes through."""
    pair.begin()
    with connect(pair.second, stores, autocommit=False) as slow:
        append(slow, TENANT)
        with pytest.raises(psycopg.Error) as refusal:
            pair.first.cutover(pair.identity)
        assert refusal.value.sqlstate == "57014"
        assert "in flight" in everything(refusal.value) and "pid " in everything(refusal.value)
        append(slow, TENANT)
        slow.commit()
    for appender in pair.appenders:
        appender.wait_appended(2)
    pair.drive(pair.first)
    pair.finish(pair.second, stores.dedicated)


def test_a_row_lock_at_the_other_one(pair, stores):
    """It holds nothing at the source that the tap's lock would wait for: only its instance knows."""
    pair.begin()
    with connect(pair.second, stores, autocommit=False) as slow:
        slow.execute("SELECT * FROM events WHERE tenant_id = %s FOR UPDATE", [TENANT])
        with pytest.raises(psycopg.Error) as refusal:
            pair.first.cutover(pair.identity)
        assert f"instance {socket_name(pair.second)}" in everything(refusal.value), everything(refusal.value)
        slow.rollback()
    pair.drive(pair.first)
    pair.finish(pair.second, stores.dedicated)


def socket_name(proxy):
    """SHOW INSTANCES' name of a proxy."""
    return next(row["instance_id"] for row in proxy.admin("SHOW INSTANCES") if row["pid"] == proxy.process.pid)


def test_the_other_one_is_frozen(pair, stores):
    """No cutover without its word, until its lease has run out; awake again, it writes nothing to the old store."""
    pair.begin()
    name = socket_name(pair.second)
    pair.second.freeze()
    with pytest.raises(psycopg.Error) as refusal:
        pair.first.cutover(pair.identity)
    assert refusal.value.sqlstate == "57014" and name in everything(refusal.value), everything(refusal.value)
    pair.drive(pair.first)
    pair.second.thaw()
    wait_until("it answers again", lambda: pair.second.state(pair.identity) == "migrated", 20)
    pair.finish(pair.second, stores.dedicated)


def test_the_other_one_is_killed_in_the_middle(pair, stores):
    """Its lease runs out, and the writers of the one that is left go on."""
    pair.begin()
    slow = connect(pair.second, stores, autocommit=False)
    append(slow, TENANT)
    cutover = in_background(lambda: pair.first.cutover(pair.identity))
    time.sleep(0.1)
    pair.second.kill()
    cutover.join(30)
    slow.close()
    pair.drive(pair.first)
    pair.finish(pair.first, stores.dedicated)


@pytest.mark.parametrize("name", STEPS)
def test_the_one_that_runs_it_is_killed_and_the_other_takes_over(pair, stores, name):
    pair.begin(failpoint=f"{name}=crash")
    while pair.first.running():                # on a busy machine one may be taken back before it comes there
        with pytest.raises((psycopg.Error, HarnessError)):
            pair.first.cutover(pair.identity)
        time.sleep(0.2)
    assert pair.first.wait_dead() == -signal.SIGKILL
    pair.drive(pair.second)
    pair.finish(pair.second, stores.dedicated)


@pytest.mark.parametrize("name", [name for name in STEPS if name in (
    "cutover.after_close", "cutover.after_drain", "cutover.before_shut", "cutover.after_shut",
    "cutover.before_switch", "cutover.after_switch")])
def test_a_slow_coordinator_wakes_up_after_another_took_over(pair, stores, name):
    """Frozen just before a step, it is too late for all of them: epochs and its lost lock refuse what it tries."""
    pair.begin(failpoint=f"{name}=sleep:1500")
    order = in_background(lambda: pair.first.cutover(pair.identity))
    wait_until("the cutover is under way", lambda: pair.second.state(pair.identity) != "dual_write", 10)
    time.sleep(0.3)
    pair.first.freeze()
    pair.drive(pair.second)
    before = written_down(stores)
    pair.first.thaw()
    order.join(30)
    wait_until("it knows where the tenant lives", lambda: pair.first.admin(f"SHOW ROUTE '{TENANT}'")[0]["store_id"]
               == "dedicated", 20)
    pair.finish(pair.first, stores.dedicated)
    if name != "cutover.after_switch":      # what it had switched itself, it may report
        assert written_down(stores) == before


def written_down(stores):
    """Everything about the migration that a late coordinator could change; the tidying up after it goes on meanwhile."""
    return (stores.shared.rows(stores.dbname, "SELECT store_id, migration_state, generation FROM pgshunt.tenant_routing"),
            stores.shared.rows(stores.dbname, "SELECT state, owner_instance, cutover_report FROM"
                               " pgshunt.tenant_migrations"),
            stores.shared.value(stores.dbname, "SELECT count(*) FROM pgshunt.migration_audit_log WHERE event_type NOT IN"
                                " ('source_settled', 'owner_changed')"))


def test_an_instance_that_starts_in_the_middle_holds_from_its_first_statement(make_proxy, stores):
    """Its gates are closed before it serves anybody."""
    first = make_proxy(settings=SETTINGS)
    first.start(failpoint="cutover.before_switch=sleep:2500")
    stores.fill({TENANT: 200})
    identity = first.start_migration(TENANT, "dedicated")
    first.wait_state(identity, "dual_write")
    first.wait_cutover_ready(identity)
    order = in_background(lambda: first.cutover(identity))
    second = make_proxy(settings=SETTINGS)
    time.sleep(0.5)
    second.start()
    with connect(second, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT) == (stores.dedicated.port, 201)
    order.join(30)
    assert first.state(identity) == "migrated"
    assert stores.counts(TENANT) == (200, 201)


def test_what_the_other_one_writes_rings_the_doorbell(make_proxy, stores):
    """The mirror does not wait for its timer, and takes nobody for a hidden writer."""
    slowly = {"control": {"lease_ms": 1000}, "migration": {"mirror_poll_ms": 60000}}
    first, second = make_proxy(settings=slowly), make_proxy(settings=slowly)
    first.start()
    second.start()
    stores.fill({TENANT: 100})
    identity = first.start_migration(TENANT, "dedicated")
    first.wait_state(identity, "dual_write")
    with connect(second, stores) as conn:
        for _ in range(3):
            event_id, _ = append(conn, TENANT)
            wait_until("it is mirrored", lambda: stores.dedicated.value(
                stores.dbname, "SELECT count(*) FROM events WHERE event_id = %s", [event_id]) == 1, 10, 0.05)
        checks = {row["check"]: row for row in first.check_cutover(identity)[1]}
        assert checks["hidden_writers"]["status"] == "ok", checks["hidden_writers"]
        assert checks["instances"]["status"] == "ok", checks["instances"]


def test_check_cutover_names_an_instance_that_does_not_answer(make_proxy, stores):
    patient = {"control": {"lease_ms": 20000}}
    first, second = make_proxy(settings=patient), make_proxy(settings=patient)
    first.start()
    second.start()
    stores.fill({TENANT: 100})
    identity = first.start_migration(TENANT, "dedicated")
    first.wait_state(identity, "dual_write")
    first.wait_cutover_ready(identity)
    name = socket_name(second)
    second.freeze()
    try:
        with pytest.raises(psycopg.Error):
            first.cutover(identity)
        row = next(row for row in first.check_cutover(identity)[1] if row["check"] == "instances")
        assert row["status"] == "blocker" and name in row["found"], row
    finally:
        second.thaw()
    first.wait_cutover_ready(identity)
    first.cutover(identity)
