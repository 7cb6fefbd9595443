"""PAUSE and RESUME: the copy or the mirror rests, changes go on being captured, the application notices nothing; what
is resumed goes on where it was, and nothing is lost or doubled. Also when pgshunt dies meanwhile, and when it is pgshunt
that has paused."""
import contextlib

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import Appender, append
from pgcluster import wait_until


def pause(proxy, identity, reason="a story"):
    return proxy.admin(f"PAUSE MIGRATION '{identity}' REASON '{reason}'")[0]


def resume(proxy, identity):
    return proxy.admin(f"RESUME MIGRATION '{identity}' REASON 'go on'")[0]


def route(proxy):
    return proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]


def in_the_middle_of_its_copy(proxy, stores, events=4000):
    stores.fill({TENANT: events, OTHER: 200})
    identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 100, max_bulk_copy_rate = 1000")
    wait_until("some batches are copied", lambda: stores.counts(TENANT)[1] >= 200, 20)
    return identity


def in_dual_write(proxy, stores, events=500, options=None):
    stores.fill({TENANT: events, OTHER: 100})
    identity = proxy.start_migration(TENANT, "dedicated", options)
    proxy.wait_state(identity, "dual_write")
    return identity


def assert_moves(proxy, stores, identity, loaded=False):
    """It comes to its end, and both sides have the same."""
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    source, target = stores.digests(TENANT)
    assert loaded or source == target


def test_in_the_middle_of_a_copy(proxy, stores):
    identity = in_the_middle_of_its_copy(proxy, stores)
    answer = pause(proxy, identity)
    assert (answer["state"], answer["paused_from"]) == ("paused", "bulk_copy")
    copied = stores.counts(TENANT)[1]
    assert 0 < copied < 4000 and copied % 100 == 0, "at the boundary of a batch"
    assert route(proxy)["migration_state"] == "normal"
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    assert stores.counts(TENANT)[1] == copied, "nothing is copied while it rests"
    answer = resume(proxy, identity)
    assert answer["state"] == "bulk_copy"
    assert route(proxy)["migration_state"] == "bulk_copy"
    assert_moves(proxy, stores, identity)
    assert stores.counts(TENANT)[1] == 4001
    paused, resumed = [row for row in proxy.admin(f"SHOW AUDIT '{identity}'")
                       if row["event_type"] in ("migration_paused", "migration_resumed")]
    assert (paused["old_state"], paused["new_state"], resumed["new_state"]) == ("bulk_copy", "paused", "bulk_copy")
    assert "a story" in str(paused["details"]) and "go on" in str(resumed["details"])


def test_in_dual_write_under_load(proxy, stores):
    identity = in_dual_write(proxy, stores)
    appender = Appender(proxy, stores, TENANT)
    appender.start()
    appender.wait_appended(5)
    assert pause(proxy, identity)["paused_from"] == "dual_write"
    before = stores.counts(TENANT)[1]
    appender.wait_appended(10)
    assert stores.counts(TENANT)[1] == before, "the mirror stands still"
    captured = stores.shared.value(stores.dbname, "SELECT count(*) FROM pgshunt.captured")
    assert captured >= 10, "and changes are captured"
    resume(proxy, identity)
    appender.wait_appended(5)
    assert_moves(proxy, stores, identity, loaded=True)
    appender.wait_appended(5)
    appender.stop()
    assert not appender.errors, appender.errors
    appender.check(stores.dedicated)


@pytest.mark.parametrize("phase", ["bulk_copy", "dual_write"])
def test_killed_while_it_rests(proxy, stores, phase):
    identity = (in_the_middle_of_its_copy if phase == "bulk_copy" else in_dual_write)(proxy, stores)
    pause(proxy, identity)
    copied = stores.counts(TENANT)[1]
    proxy.kill()
    stores.shared.execute(stores.dbname, "UPDATE events SET event_type = 'Past' WHERE tenant_id = %s AND version = 1",
                          [TENANT])
    proxy.start()
    wait_until("it is taken up again", lambda: "owner_changed" in
               [row["event_type"] for row in proxy.admin(f"SHOW AUDIT '{identity}'")][-1:], 10)
    assert proxy.migration(identity)["paused_from"] == phase
    assert stores.counts(TENANT)[1] == copied
    resume(proxy, identity)
    assert_moves(proxy, stores, identity)


@pytest.mark.parametrize("place", ["runner.before_pause", "runner.after_pause", "runner.before_resume",
                                   "runner.after_resume"])
def test_killed_on_the_way(make_proxy, stores, place):
    proxy = make_proxy()
    proxy.start(failpoint=f"{place}=crash")
    identity = in_the_middle_of_its_copy(proxy, stores, 1500)
    with contextlib.suppress(psycopg.Error):       # the answer may come before the end does
        pause(proxy, identity)
        resume(proxy, identity)
    proxy.wait_dead()
    proxy.start()
    wait_until("it is taken up again", lambda: "owner_changed" in
               [row["event_type"] for row in proxy.admin(f"SHOW AUDIT '{identity}'")][-1:], 10)
    if proxy.state(identity) == "paused":
        resume(proxy, identity)
    assert_moves(proxy, stores, identity)


def test_aborted_while_it_rests(proxy, stores):
    identity = in_the_middle_of_its_copy(proxy, stores)
    pause(proxy, identity)
    proxy.admin(f"ABORT MIGRATION '{identity}' REASON 'no more' PURGE TARGET")
    assert proxy.state(identity) == "rolled_back"
    assert stores.counts(TENANT)[1] == 0
    assert stores.shared.value(stores.dbname, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgshunt_tap%'") == 0
    with connect(proxy, stores) as conn:
        append(conn, TENANT)


def refused(proxy, command):
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin(command)
    assert refusal.value.sqlstate == "55000", command
    return refusal.value.diag


def test_what_is_not_to_be_had_of_a_paused_migration(proxy, stores):
    identity = in_dual_write(proxy, stores)
    assert "RESUME MIGRATION" not in refused(proxy, f"RESUME MIGRATION '{identity}'").message_hint
    pause(proxy, identity)
    assert "RESUME MIGRATION" in refused(proxy, f"CUTOVER MIGRATION '{identity}'").message_hint
    assert "RESUME MIGRATION" in refused(proxy, f"CUTOVER MIGRATION '{identity}' FORCE").message_hint
    assert "RESUME MIGRATION" in refused(proxy, f"PAUSE MIGRATION '{identity}'").message_hint
    checks = {row["check"]: row["ok"] for row in proxy.admin(f"CHECK CUTOVER '{identity}'")}
    assert checks["state"] is False
    assert len(proxy.admin(f"SHOW LAG '{identity}'")) == 1
    with pytest.raises(psycopg.Error) as refusal:
        proxy.start_migration(TENANT, "dedicated")
    assert refusal.value.sqlstate == "23505", "it is still the tenant's one migration"


def test_a_target_that_is_down_does_not_keep_it_from_pausing(proxy, stores):
    identity = in_the_middle_of_its_copy(proxy, stores)
    stores.dedicated.kill()
    assert pause(proxy, identity)["state"] == "paused"
    stores.dedicated.start()
    resume(proxy, identity)
    assert_moves(proxy, stores, identity)


def test_paused_by_itself_and_mended(proxy, stores):
    """The source's table is changed under the migration: it pauses, says why, and goes on when that is mended."""
    identity = in_the_middle_of_its_copy(proxy, stores)
    stores.shared.execute(stores.dbname, "ALTER TABLE events ADD COLUMN more text")
    wait_until("it pauses", lambda: proxy.state(identity) == "paused", 20)
    shown = proxy.migration(identity)
    assert shown["error_recoverability"] == "recoverable" and shown["error_message"]
    assert route(proxy)["migration_state"] == "normal"
    stores.shared.execute(stores.dbname, "ALTER TABLE events DROP COLUMN more")
    resume(proxy, identity)
    assert_moves(proxy, stores, identity)
    assert proxy.migration(identity).get("error_message") is None
