"""REHEARSE CUTOVER holds the tenant's writes as a cutover would, measures every step, and goes back; CUTOVER … WHEN
READY waits for what is missing, tries again after a cutover that was taken back, and ends when it is cancelled."""
import signal
import threading
import time

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import Appender, append, place
from pgcluster import HarnessError, wait_until
from pgshunt import failpoints

STEPS = ["close_gates_ms", "lock_ms", "mirror_ms", "verify_ms", "target_ms", "shut_tap_ms", "switch_ms", "release_ms"]


@pytest.fixture
def ready(proxy, stores):
    """The id of a migration that is ready for its cutover."""
    stores.fill({TENANT: 500, OTHER: 100})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    return identity


def audited(stores, event):
    return stores.shared.rows(stores.dbname, "SELECT details, operator FROM pgshunt.migration_audit_log"
                              " WHERE event_type = %s ORDER BY id", [event])


def test_measures_every_step_and_changes_nothing(proxy, stores, ready):
    appenders = [Appender(proxy, stores, TENANT) for _ in range(2)]
    for appender in appenders:
        appender.start()
        appender.wait_appended(5)
    rows = proxy.admin(f"REHEARSE CUTOVER '{ready}' TIMES 5")
    assert [row["n"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(row["result"] == "ok" and row["blocked_by"] is None for row in rows), rows
    for row in rows:
        assert all(row[step] > 0 for step in STEPS if step != "verify_ms"), row
        assert sum(row[step] for step in STEPS) <= row["pause_ms"] * 1.05 + 1, row
    assert proxy.state(ready) == "dual_write"
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT)[0] == stores.shared.port
    # The target's guard has let nobody in, and the source's tap is open.
    assert stores.dedicated.rows(stores.dbname, "SELECT FROM pgshunt.tenancy WHERE tenant = %s AND lives_here",
                                 [TENANT]) == []
    shown = proxy.migration(ready)
    assert shown["rehearsal_rehearsals"] == "5" and shown["rehearsal_blocked"] == "0"
    assert float(shown["rehearsal_pause_ms_max"]) == max(row["pause_ms"] for row in rows)
    (details, operator), = audited(stores, "cutover_rehearsed")
    assert details["rehearsals"] == 5 and operator
    assert len(audited(stores, "cutover_initiated")) == 5
    assert all(details["rehearsal"] for details, _ in audited(stores, "cutover_initiated"))
    for appender in appenders:
        appender.wait_appended(5)
    proxy.wait_cutover_ready(ready)
    proxy.cutover(ready)
    for appender in appenders:
        appender.wait_appended(5)
        appender.stop()
        assert not appender.errors, appender.errors
        appender.check(stores.dedicated)


def test_says_who_would_hold_it_up(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False, application_name="monthly-report") as slow:
        slow.execute("SELECT * FROM events WHERE tenant_id = %s FOR UPDATE", [TENANT])
        row, = proxy.admin(f"REHEARSE CUTOVER '{ready}'")
        assert row["result"] == "would be rolled back"
        assert "monthly-report" in row["blocked_by"] and "FOR UPDATE" in row["blocked_by"], row["blocked_by"]
        slow.rollback()
    row, = proxy.admin(f"REHEARSE CUTOVER '{ready}'")
    assert row["result"] == "ok"
    assert proxy.state(ready) == "dual_write"


@pytest.mark.parametrize("times", ["0", "101", "-1", "many"])
def test_refuses_numbers_that_make_no_sense(proxy, stores, ready, times):
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin(f"REHEARSE CUTOVER '{ready}' TIMES {times}")
    assert refusal.value.sqlstate in ("22023", "42601")
    assert audited(stores, "cutover_initiated") == []


def test_is_refused_before_dual_write_and_after_the_move(proxy, stores):
    stores.fill({TENANT: 500, OTHER: 100})
    identity = proxy.start_migration(TENANT, "dedicated", "max_bulk_copy_rate = 100, batch_size = 10")
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin(f"REHEARSE CUTOVER '{identity}'")
    assert refusal.value.sqlstate == "55000"
    proxy.admin(f"ABORT MIGRATION '{identity}'")
    proxy.wait_state(identity, "rolled_back")
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin(f"REHEARSE CUTOVER '{identity}'")
    assert refusal.value.sqlstate == "55000"


def test_two_instances_are_both_rehearsed(make_proxy, stores):
    first, second = make_proxy(), make_proxy()
    first.start()
    second.start()
    stores.fill({TENANT: 200})
    identity = first.start_migration(TENANT, "dedicated")
    first.wait_state(identity, "dual_write")
    first.wait_cutover_ready(identity)
    row, = first.admin(f"REHEARSE CUTOVER '{identity}'")
    assert row["result"] == "ok" and row["others_ms"] > 0
    with connect(second, stores, autocommit=False) as slow:
        append(slow, TENANT)
        row, = first.admin(f"REHEARSE CUTOVER '{identity}'")
        assert row["result"] == "would be rolled back" and "pid " in row["blocked_by"]
        slow.commit()
    with connect(second, stores) as conn:
        append(conn, TENANT)


@pytest.mark.parametrize("name", [name for name in failpoints() if name in (
    "cutover.before_rehearsal", "cutover.after_pause", "cutover.after_close", "cutover.after_drain",
    "cutover.after_catch_up", "cutover.after_rehearsal")])
def test_killed_in_a_rehearsal(make_proxy, stores, name):
    proxy = make_proxy().start(failpoint=f"{name}=crash")
    stores.fill({TENANT: 200})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    with pytest.raises((psycopg.Error, HarnessError)):
        proxy.admin(f"REHEARSE CUTOVER '{identity}'")
    assert proxy.wait_dead() == -signal.SIGKILL
    proxy.start()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT) == (stores.shared.port, 201)
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    source, target = stores.digests(TENANT)
    assert source == target


# --- WHEN READY -------------------------------------------------------------------------------------------------------

class Patient(threading.Thread):
    """An operator who types CUTOVER … WHEN READY, and hears notices."""

    def __init__(self, proxy, identity, words=""):
        super().__init__(daemon=True)
        self.conn = proxy.admin_connect()
        self.notices, self.row, self.error = [], None, None
        self.conn.add_notice_handler(lambda diag: self.notices.append(diag.message_primary))
        self.command = f"CUTOVER MIGRATION '{identity}' {words}WHEN READY"
        self.start()

    def run(self):
        try:
            self.row = self.conn.execute(self.command).fetchone()
        except psycopg.Error as error:
            self.error = error

    def heard(self, text):
        wait_until(f"a notice says {text!r}: {self.notices}", lambda: any(text in notice for notice in self.notices), 20)


def test_waits_until_it_is_ready_and_then_moves(proxy, stores):
    stores.fill({TENANT: 600, OTHER: 50})
    identity = proxy.start_migration(TENANT, "dedicated", "max_bulk_copy_rate = 300, batch_size = 50")
    patient = Patient(proxy, identity)
    patient.heard("waiting for dual_write: it is bulk_copy")
    patient.join(60)
    assert patient.error is None and patient.row["state"] == "migrated" and patient.row["pause_ms"] > 0
    assert proxy.state(identity) == "migrated"


def test_tries_again_after_it_was_taken_back(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False) as slow:
        append(slow, TENANT)
        patient = Patient(proxy, ready)
        patient.heard("trying again")
        assert any("pid " in notice for notice in patient.notices)
        assert patient.is_alive()
        slow.commit()
    patient.join(60)
    assert patient.error is None and patient.row["state"] == "migrated", patient.error
    assert stores.counts(TENANT) == (501, 501)


def test_ends_when_it_is_cancelled(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False) as slow:
        append(slow, TENANT)
        patient = Patient(proxy, ready)
        patient.heard("trying again")
        patient.conn.cancel()
        patient.join(20)
        assert patient.error is not None and patient.error.sqlstate == "57014"
        slow.commit()
    time.sleep(2)
    assert proxy.state(ready) == "dual_write"


def test_says_what_it_waits_for_and_force_does_not_wait_for_it(make_proxy, stores):
    """A feed that nobody has accepted is waited for; the migration that is aborted meanwhile ends it."""
    proxy = make_proxy().start()
    stores.fill({TENANT: 100, OTHER: 50})
    with connect(proxy, stores) as conn:
        conn.execute("SELECT count(*) FROM events").fetchone()
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    patient = Patient(proxy, identity, "FORCE ")
    patient.heard("feed")
    proxy.admin(f"ABORT MIGRATION '{identity}'")
    patient.join(30)
    assert patient.error is not None and patient.error.sqlstate == "55000" and "rolled_back" in str(patient.error)


@pytest.mark.parametrize("words", ["WHEN READY FORCE", "READY", "WHEN", "FORCE WHEN READY WITH (cutover_timeout_ms = soon)"])
def test_words_in_another_order_are_refused(proxy, stores, ready, words):
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin(f"CUTOVER MIGRATION '{ready}' {words}")
    assert refusal.value.sqlstate in ("42601", "22023"), refusal.value
    assert proxy.state(ready) == "dual_write"
