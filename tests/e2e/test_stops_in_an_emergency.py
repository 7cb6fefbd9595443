"""Whatever a migration is doing: EMERGENCY STOP, or an UPDATE by hand, ends it at once. Gates open, the tap goes, the
tenant stays at its source, nothing is lost; and it says what happened. RESUME WRITES only calls a cutover off."""
import threading
import time

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import Appender, append, place
from pgcluster import wait_until
from pgshunt import os_user

# As operators have them in their runbook, to be typed into psql as they are.
ROUTING = ("UPDATE tenant_routing SET migration_state = 'normal', target_store_id = NULL, updated_at = NOW()"
           " WHERE migration_state != 'normal';")
MIGRATIONS = ("UPDATE tenant_migrations SET state = 'failed', error_message = 'Emergency stop - manual intervention'"
              " WHERE state NOT IN ('migrated', 'failed', 'rolled_back');")
BY_HAND = {"routing": [ROUTING], "migrations": [MIGRATIONS], "routing, migrations": [ROUTING, MIGRATIONS],
           "migrations, routing": [MIGRATIONS, ROUTING]}


def by_hand(stores, statements):
    for statement in statements:
        stores.shared.psql(stores.dbname, "-c", "SET search_path = pgshunt", "-c", statement)


def in_bulk_copy(proxy, stores):
    stores.fill({TENANT: 4000, OTHER: 100})
    identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 100, max_bulk_copy_rate = 300")
    wait_until("a batch is copied", lambda: stores.counts(TENANT)[1] >= 100, 20)
    return identity


def in_dual_write(proxy, stores):
    stores.fill({TENANT: 300, OTHER: 100})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    return identity


class Blocked:
    """A cutover that waits for a transaction: its gates are closed, a write is held."""

    def __init__(self, proxy, stores):
        self.proxy, self.stores, self.outcome = proxy, stores, []
        self.identity = in_dual_write(proxy, stores)
        proxy.wait_cutover_ready(self.identity)
        proxy.accept_shapes()
        self.slow = connect(proxy, stores, autocommit=False)
        append(self.slow, TENANT)
        self.cutover = threading.Thread(target=self._cutover)
        self.cutover.start()
        wait_until("the cutover has begun", lambda: proxy.state(self.identity) == "cutover_paused", 10, 0.02)
        self.held = threading.Thread(target=self._write)
        self.held.start()
        wait_until("a write is held", lambda: any(row["held"] for row in proxy.admin("SHOW CLIENTS")), 10, 0.05)

    def _cutover(self):
        try:
            self.proxy.admin(f"CUTOVER MIGRATION '{self.identity}' WITH (cutover_timeout_ms = 30000)")
            self.outcome.append(None)
        except psycopg.Error as error:
            self.outcome.append(error)

    def _write(self):
        with connect(self.proxy, self.stores) as conn:
            append(conn, TENANT)

    def end(self):
        """The write that was held has gone through long before the cutover's time was over."""
        begun = time.monotonic()
        self.held.join(5)
        assert not self.held.is_alive(), "the write is still held"
        self.cutover.join(10)
        assert not self.cutover.is_alive() and time.monotonic() - begun < 8
        self.slow.commit()
        self.slow.close()
        return self.outcome[0]


def taps(stores):
    return stores.shared.value(stores.dbname, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgshunt_tap%'")


def assert_stopped(proxy, stores, identity, message):
    wait_until("it is failed", lambda: proxy.state(identity) == "failed", 5, 0.05)
    assert message in proxy.migration(identity)["error_message"]
    wait_until("its tap is gone", lambda: taps(stores) == 0, 10)
    wait_until("and that is written down", lambda: proxy.migration(identity).get("settled_at"), 10)
    route = proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]
    assert (route["store_id"], route["migration_state"], route["active_migration_id"]) == ("shared", "normal", None)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT)[0] == stores.shared.port


def assert_can_be_tried_again(proxy, stores, identity):
    proxy.admin(f"ABORT MIGRATION '{identity}' REASON 'once more' PURGE TARGET")
    assert proxy.state(identity) == "rolled_back"
    assert stores.counts(TENANT)[1] == 0
    proxy.move(TENANT, "dedicated")
    source, target = stores.digests(TENANT)
    assert source == target


@pytest.mark.parametrize("ways", BY_HAND, ids=lambda ways: ways.replace(", ", "-then-"))
def test_by_hand_in_dual_write_under_load(proxy, stores, ways):
    identity = in_dual_write(proxy, stores)
    appender = Appender(proxy, stores, TENANT)
    appender.start()
    appender.wait_appended(5)
    by_hand(stores, BY_HAND[ways])
    assert_stopped(proxy, stores, identity,
                   "Emergency stop - manual" if ways.startswith("migrations") else "by hand")
    appender.wait_appended(5)
    appender.stop()
    assert not appender.errors, appender.errors
    appender.check(stores.shared)
    entries = {row["event_type"]: row for row in proxy.admin(f"SHOW AUDIT '{identity}'")}
    changed = "migration_changed_by_hand" if ways.startswith("migrations") else "route_changed_by_hand"
    assert entries[changed]["operator"] == entries["migration_failed"]["operator"] == "postgres"
    assert (entries["migration_failed"]["old_state"], entries["migration_failed"]["new_state"]) == (
        "dual_write", "failed")
    assert_can_be_tried_again(proxy, stores, identity)


@pytest.mark.parametrize("ways", BY_HAND, ids=lambda ways: ways.replace(", ", "-then-"))
def test_by_hand_in_the_middle_of_a_cutover(proxy, stores, ways):
    blocked = Blocked(proxy, stores)
    by_hand(stores, BY_HAND[ways])
    outcome = blocked.end()
    assert outcome is not None and outcome.sqlstate == "55000", outcome
    assert_stopped(proxy, stores, blocked.identity, "")
    assert_can_be_tried_again(proxy, stores, blocked.identity)


@pytest.mark.parametrize("place_of_stop", ["cutover.before_shut", "cutover.after_shut"])
@pytest.mark.parametrize("ways", ["routing", "migrations"])
def test_by_hand_around_the_point_of_return(make_proxy, stores, place_of_stop, ways):
    """The tap is about to be shut, or is: the switch finds nothing to switch, and the tap opens before the gates do."""
    proxy = make_proxy(settings={"migration": {"cutover_timeout_ms": 20000, "write_hold_timeout_ms": 22000}})
    proxy.start(failpoint=f"{place_of_stop}=sleep:2000")
    identity = in_dual_write(proxy, stores)
    proxy.wait_cutover_ready(identity)
    proxy.accept_shapes()
    refusals = []

    def cutover():
        try:
            proxy.cutover(identity, accept=False)
        except psycopg.Error as error:
            refusals.append(error)
    thread = threading.Thread(target=cutover)
    thread.start()
    wait_until("the cutover has begun", lambda: proxy.state(identity) == "cutover_paused", 10, 0.02)
    time.sleep(0.5)
    by_hand(stores, BY_HAND[ways])
    thread.join(20)
    assert refusals and refusals[0].sqlstate in ("55000", "57014"), refusals
    assert_stopped(proxy, stores, identity, "")


@pytest.mark.parametrize("ways", ["routing", "migrations"])
def test_by_hand_while_pgshunt_is_down(make_proxy, stores, ways):
    """Killed between the shutting of the tap and the switch, and stopped by hand before it is started again."""
    proxy = make_proxy()
    proxy.start(failpoint="cutover.after_shut=crash")
    identity = in_dual_write(proxy, stores)
    proxy.wait_cutover_ready(identity)
    with pytest.raises(psycopg.Error):
        proxy.cutover(identity)
    proxy.wait_dead()
    by_hand(stores, BY_HAND[ways])
    proxy.start()
    assert_stopped(proxy, stores, identity, "")


def test_by_hand_in_a_copy_and_while_it_rests(proxy, stores):
    identity = in_bulk_copy(proxy, stores)
    by_hand(stores, [MIGRATIONS])
    assert_stopped(proxy, stores, identity, "Emergency stop - manual")
    proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.admin(f"PAUSE MIGRATION '{identity}'")
    by_hand(stores, [MIGRATIONS, ROUTING])
    assert_stopped(proxy, stores, identity, "Emergency stop - manual")


def test_the_command_stops_everything(proxy, stores):
    identity = in_bulk_copy(proxy, stores)
    stopped = proxy.admin("EMERGENCY STOP REASON 'the disk is full'")
    assert [(str(row["id"]), row["tenant_id"], row["old_state"], row["state"], row["store_id"]) for row in stopped] == [
        (identity, TENANT, "bulk_copy", "failed", "shared")]
    assert_stopped(proxy, stores, identity, "Emergency stop: the disk is full")
    entry = [row for row in proxy.admin(f"SHOW AUDIT '{identity}'") if row["event_type"] == "migration_failed"][0]
    assert entry["operator"] == os_user() and "the disk is full" in str(entry["details"])
    assert proxy.admin("EMERGENCY STOP") == []
    assert_can_be_tried_again(proxy, stores, identity)


def test_the_command_of_one_tenant_in_its_cutover(proxy, stores):
    blocked = Blocked(proxy, stores)
    assert proxy.admin(f"EMERGENCY STOP TENANT '{OTHER}'") == []
    assert [row["old_state"] for row in proxy.admin(f"EMERGENCY STOP TENANT '{TENANT}'")] == ["cutover_paused"]
    assert blocked.end().sqlstate == "55000"
    assert_stopped(proxy, stores, blocked.identity, "Emergency stop")


def test_what_has_moved_is_not_touched(proxy, stores, moved):
    assert proxy.admin("EMERGENCY STOP") == []
    by_hand(stores, [ROUTING, MIGRATIONS])
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT)[0] == stores.dedicated.port


def test_resume_writes_calls_a_cutover_off(proxy, stores):
    blocked = Blocked(proxy, stores)
    answer = proxy.admin(f"RESUME WRITES TENANT '{TENANT}'")[0]
    assert (answer["tenant_id"], str(answer["migration_id"]), answer["state"]) == (
        TENANT, blocked.identity, "dual_write")
    assert answer["pause_ms"] > 0 and answer["blocked_writers"] >= 1
    error = blocked.end()
    assert error.sqlstate == "57014" and "RESUME WRITES" in error.diag.message_detail
    proxy.wait_cutover_ready(blocked.identity)
    proxy.cutover(blocked.identity)
    source, target = stores.digests(TENANT)
    assert source == target


def test_resume_writes_is_harmless(proxy, stores):
    identity = in_dual_write(proxy, stores)
    for tenant, migration in ((TENANT, identity), (OTHER, "None")):
        answer = proxy.admin(f"RESUME WRITES TENANT '{tenant}'")[0]
        assert (str(answer["migration_id"]), answer["pause_ms"], answer["blocked_writers"]) == (migration, 0, 0)
    assert proxy.state(identity) == "dual_write"


def test_an_abort_in_the_middle_of_a_cutover(proxy, stores):
    blocked = Blocked(proxy, stores)
    aborting = threading.Thread(target=lambda: proxy.admin(f"ABORT MIGRATION '{blocked.identity}' REASON 'enough'"))
    aborting.start()
    blocked.end()
    aborting.join(20)
    proxy.wait_state(blocked.identity, "rolled_back")


def test_aborting_what_has_failed_long_ago_harms_nobody(proxy, stores):
    """The tenant has moved since, by another migration: neither its rows nor its tap are the failed one's to touch."""
    identity = in_bulk_copy(proxy, stores)
    proxy.admin("EMERGENCY STOP")
    assert_stopped(proxy, stores, identity, "Emergency stop")
    stores.dedicated.psql(stores.dbname, "-c", "SET pgshunt.copier = on", "-c",
                          "ALTER TABLE events DISABLE TRIGGER USER", "-c", "DELETE FROM events", "-c",
                          "ALTER TABLE events ENABLE TRIGGER USER", "-c",
                          "ALTER TABLE events ENABLE ALWAYS TRIGGER pgshunt_tenancy_guard")
    proxy.move(TENANT, "dedicated")
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
    assert refusal.value.sqlstate == "55000"
    assert stores.counts(TENANT)[1] == 4001
    proxy.admin(f"ABORT MIGRATION '{identity}'")
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT)[0] == stores.dedicated.port
