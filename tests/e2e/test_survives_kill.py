"""kill -9 of the proxy at every named place, then a start: the migration goes on and ends complete, or is back in
dual_write and can be cut over; no acknowledged event is lost, doubled or in a wrong store."""
import os
import signal
import time
import zlib

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import Appender, append, place
from pgcluster import HarnessError, wait_until
from pgshunt import MIGRATION_ENDS, failpoints

# Places that a migration without trouble does not pass, or passes when it is migrated already;
# test_dies_on_the_way_back.py, test_guards_its_stores.py and test_resynchronises.py go there (and the life "mend" of every statement).
NOT_ON_THE_WAY = ("cutover.after_others", "cutover.after_rehearsal", "cutover.before_rehearsal", "cutover.after_reopen", "cutover.after_settle", "cutover.before_others",
                  "cutover.before_reopen", "cutover.before_settle",
                  "guard.after_entry", "guard.after_let_in", "guard.after_tap_gone", "guard.before_entry",
                  "guard.before_let_in", "repair.after_capture", "repair.before_capture", "resync.after_compare",
                  "resync.after_identity", "resync.after_tap", "resync.after_wish", "resync.before_tap", "resync.before_wish", "guard.before_tap_gone",
                  "runner.after_abort_written", "runner.after_pause", "runner.after_resume", "runner.before_abort",
                  "runner.after_obey", "runner.before_clean_up", "runner.before_pause", "runner.before_resume", "runner.before_rolled_back",
                  "takeover.after_release", "takeover.after_sockets", "takeover.before_release")

EVENTS = 2000


def walked(name):
    """An error that lasts takes its time: by default one place in four is walked, by `./tests/run.sh failpoints` all."""
    return os.environ.get("PGSHUNT_WALK") == "all" or zlib.crc32(name.encode()) % 4 == 0


@pytest.fixture
def life(make_proxy, stores):
    """A migration under load whose proxy may die at any moment."""
    return Life(make_proxy(), stores)


class Life:
    def __init__(self, proxy, stores):
        self.proxy, self.stores = proxy, stores
        self.identity = None
        stores.fill({TENANT: EVENTS, OTHER: 200})
        self.before = eventstore.digest(stores.shared, stores.dbname, "actor_id = 'importer' AND tenant_id = %s", [TENANT])

    def begin(self, failpoint=None, migrate=True):
        self.proxy.start(failpoint=failpoint)
        self.appenders = [Appender(self.proxy, self.stores, tenant, reconnect=True) for tenant in (TENANT, OTHER)]
        for appender in self.appenders:
            appender.start()
            appender.wait_appended(3)
        if migrate:
            self.identity = self.proxy.start_migration(TENANT, "dedicated", "batch_size = 200, max_bulk_copy_rate = 4000")

    def push(self):
        """Does whatever an operator would do next, until migrated or until the proxy is gone; whether it is gone."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                if self._step():
                    return False
            except (psycopg.Error, OSError, HarnessError):
                if not self.proxy.running():
                    return True
            time.sleep(0.05)
        raise AssertionError(f"neither migrated nor dead: {self.proxy.admin('SHOW MIGRATIONS ALL')}\n{self.proxy.log_tail()}")

    def _step(self):
        """One step; whether it is done."""
        if self.identity is None:
            rows = self.proxy.admin("SHOW MIGRATIONS ALL")
            active = [row for row in rows if row["state"] not in ("failed", "rolled_back")]
            self.identity = str(active[0]["id"]) if active else self.proxy.start_migration(TENANT, "dedicated")
        state = self.proxy.state(self.identity)
        if state == "migrated":
            return True
        assert state not in MIGRATION_ENDS, f"{state}: {self.proxy.migration(self.identity)}"
        if state == "dual_write" and self.proxy.check_cutover(self.identity)[0]:
            self.proxy.cutover(self.identity)
        return False

    def finish(self):
        """Applications go on for a moment; then what they were told is compared with the stores."""
        for appender in self.appenders:
            appender.wait_appended(5)
            appender.stop()
            assert not appender.errors, appender.errors
        home = {TENANT: self.stores.dedicated, OTHER: self.stores.shared}
        for appender in self.appenders:
            appender.check(home[appender.tenant])
        digest = eventstore.digest(self.stores.dedicated, self.stores.dbname,
                                   "actor_id = 'importer' AND tenant_id = %s", [TENANT])
        assert digest == self.before
        assert self.stores.counts(OTHER)[1] == 0
        with connect(self.proxy, self.stores) as conn:
            assert place(conn, TENANT)[0] == self.stores.dedicated.port


@pytest.mark.parametrize("name", [name for name in failpoints() if name not in NOT_ON_THE_WAY])
def test_killed_at(life, name):
    life.begin(failpoint=f"{name}=crash", migrate=False)
    assert life.push(), f"the proxy was to die at {name}, but the migration never came there"
    assert life.proxy.wait_dead() == -signal.SIGKILL
    life.proxy.start()
    assert not life.push()
    life.finish()


@pytest.mark.parametrize("name", [name for name in failpoints() if name not in NOT_ON_THE_WAY and walked(name)])
def test_an_error_at(life, name):
    """The step fails whenever it is tried: whatever becomes of the migration, no client notices and nothing is lost."""
    life.begin(failpoint=f"{name}=error", migrate=False)
    deadline = time.monotonic() + 25
    try:
        while time.monotonic() < deadline and life.proxy.running() and not life._step():
            time.sleep(0.1)
    except (psycopg.Error, AssertionError):
        pass
    assert life.proxy.running()
    for appender in life.appenders:
        appender.wait_appended(3)
    life.proxy.stop()
    life.identity = None
    life.proxy.start()
    assert not life.push()
    life.finish()


@pytest.mark.parametrize("moment_ms", [0, 50, 150, 300, 600, 900])
def test_killed_somewhere_in_the_copy(life, moment_ms):
    life.begin()
    time.sleep(moment_ms / 1000)
    life.proxy.kill()
    life.proxy.start()
    assert not life.push()
    life.finish()


@pytest.mark.parametrize("moment_ms", [0, 100, 400])
def test_killed_in_dual_write(life, moment_ms):
    life.begin()
    life.proxy.wait_state(life.identity, "dual_write")
    time.sleep(moment_ms / 1000)
    life.proxy.kill()
    life.proxy.start()
    assert not life.push()
    life.finish()


def test_killed_again_and_again(life):
    life.begin()
    for _ in range(5):
        time.sleep(0.25)
        life.proxy.kill()
        life.proxy.start()
    assert not life.push()
    life.finish()


def test_ended_politely_in_the_middle(life):
    """SIGTERM while copying: it ends at once, and the next start goes on."""
    life.begin()
    time.sleep(0.2)
    life.proxy.stop()
    life.proxy.start()
    assert not life.push()
    life.finish()


def test_what_writes_past_a_dead_proxy_is_captured(life):
    """The tap needs no proxy: what is written to the source while pgshunt is gone arrives all the same."""
    life.begin()
    life.proxy.wait_state(life.identity, "dual_write")
    life.proxy.kill()
    stores = life.stores
    with psycopg.connect(stores.shared.conninfo(stores.dbname, eventstore.APP, eventstore.APP_PASSWORD),
                         autocommit=True) as direct:
        told = [append(direct, TENANT, actor="direct")[0] for _ in range(20)]
        direct.execute("UPDATE events SET event_type = 'Past' WHERE tenant_id = %s AND version = 7 AND"
                       " actor_id = 'importer'", [TENANT])
    life.before = eventstore.digest(stores.shared, stores.dbname, "actor_id = 'importer' AND tenant_id = %s", [TENANT])
    life.proxy.start()
    assert not life.push()
    life.finish()
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM events WHERE event_id = ANY(%s)", [told]) == 20


def test_a_frozen_proxy_that_wakes_up(life):
    """SIGSTOP for longer than its lease, then SIGCONT: it goes on, or it finds that it may not."""
    life.begin()
    life.proxy.wait_state(life.identity, "dual_write")
    life.proxy.freeze()
    time.sleep(4)
    life.proxy.thaw()
    wait_until("it answers again", lambda: life.proxy.state(life.identity), 20)
    assert not life.push()
    life.finish()
