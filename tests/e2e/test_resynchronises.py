"""Changes that nobody saw: the tap disabled behind our back, a table rewritten, truncated, a target tampered with. The
migration pauses, RESYNC compares both sides by key, mends the target and goes on; a crash in the middle begins it again."""
import json

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from events import append
from pgcluster import wait_until

EVENTS = 100


@pytest.fixture
def source(stores):
    """The owner of the source's table, past the proxy."""
    with stores.shared.connect(stores.dbname) as conn:
        yield conn


def target(stores):
    conn = psycopg.connect(eventstore.store_conninfo(stores.dedicated, stores.dbname), autocommit=True)
    conn.execute("SET pgshunt.copier = on")
    return conn


def mirrored(proxy, stores):
    stores.fill({TENANT: EVENTS, OTHER: 20})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    return identity


def behind_the_tap(source, *statements):
    """Runs them with every trigger of the table disabled."""
    for statement in ("ALTER TABLE events DISABLE TRIGGER ALL", *statements, "ALTER TABLE events ENABLE TRIGGER ALL"):
        source.execute(statement)


def resync(proxy, identity, more=""):
    return proxy.admin(f"RESYNC MIGRATION '{identity}' {more}")[0]


def finish(proxy, stores, identity):
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    before, after = stores.digests(TENANT)
    assert before == after
    return after[0]


def test_what_was_written_with_the_tap_disabled(proxy, stores, source):
    identity = mirrored(proxy, stores)
    behind_the_tap(source, f"UPDATE events SET payload = '{{\"unseen\": 1}}' WHERE tenant_id = '{TENANT}' AND version = 3",
                   f"DELETE FROM events WHERE tenant_id = '{TENANT}' AND version = 10")
    proxy.wait_state(identity, "paused")
    assert "RESYNC" in proxy.log()
    # While it is paused, both sides can be compared as they are: the tap goes on capturing, the mirror stands still.
    row = resync(proxy, identity)
    assert (row["state"], row["different"], row["tap_reinstalled"]) == ("dual_write", EVENTS // 5, True)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    assert finish(proxy, stores, identity) == EVENTS - EVENTS // 10 + 1
    report = [entry["report"] for entry in json.loads(proxy.admin_psql(f"SHOW REPORT '{identity}' JSON", "-At")[1])["reports"]
              if entry["kind"] == "resync"]
    assert [(entry["missing"], entry["extra"], entry["different"]) for entry in report] == [(0, EVENTS // 10, EVENTS // 10)]
    events = [row["event_type"] for row in proxy.admin(f"SHOW AUDIT '{identity}'")]
    assert {"resync_requested", "migration_paused", "resync_completed", "migration_resumed"} <= set(events)


@pytest.mark.parametrize("statement", ["VACUUM FULL events", "TRUNCATE events"], ids=["rewritten", "truncated"])
def test_a_table_that_is_not_what_it_was(proxy, stores, source, statement):
    """And at the same time somebody writes the tenant past pgshunt."""
    identity = mirrored(proxy, stores)
    source.execute(statement)
    proxy.wait_state(identity, "paused")
    with psycopg.connect(stores.shared.conninfo(stores.dbname, APP, APP_PASSWORD), autocommit=True) as direct:
        append(direct, TENANT)
    resync(proxy, identity)
    assert finish(proxy, stores, identity) == (1 if "TRUNCATE" in statement else EVENTS + 1)


def test_from_a_position(proxy, stores, source):
    """What the tap had captured below it is kept, though the tap is made anew; what nobody saw below it is not looked for."""
    identity = mirrored(proxy, stores)
    proxy.admin(f"PAUSE MIGRATION '{identity}'")
    source.execute(f"UPDATE events SET payload = '{{\"captured\": 1}}' WHERE tenant_id = '{TENANT}' AND global_position < 20")
    behind_the_tap(source, f"UPDATE events SET payload = '{{\"unseen\": 1}}' WHERE tenant_id = '{TENANT}'"
                           " AND global_position > 60")
    changed = source.execute("SELECT count(*) FROM events WHERE tenant_id = %s AND global_position > 60", [TENANT]).fetchone()[0]
    for bad, code in (("FROM POSITION '-1'", "22023"), ("FROM POSITION x", "22023"), ("FROM POSITION 99999999", "22023"),
                      ("FROM POSITION 99999999999999999999", "22023"), ("FROM POSITION", "42601"),
                      ("FROM POSITION '1; DROP TABLE events'", "22023")):
        with pytest.raises(psycopg.Error) as refused:
            resync(proxy, identity, bad)
        assert refused.value.sqlstate == code
        assert proxy.state(identity) == "paused"
    row = resync(proxy, identity, "FROM POSITION 61")
    assert (row["from_position"], row["different"]) == (61, changed)
    finish(proxy, stores, identity)


def test_in_dual_write_it_pauses_and_goes_on_by_itself(proxy, stores):
    """A target that was tampered with is mended, too; VERIFY works while paused, REPAIR does not."""
    identity = mirrored(proxy, stores)
    with target(stores) as conn:
        conn.execute("DELETE FROM events WHERE version = 1; UPDATE events SET actor_id = 'x' WHERE version = 2")
    row = resync(proxy, identity)
    assert (row["state"], row["different"], row["tap_reinstalled"]) == ("dual_write", EVENTS // 5, False)
    proxy.admin(f"PAUSE MIGRATION '{identity}'")
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    verified = proxy.admin(f"VERIFY MIGRATION '{identity}' LEVEL full")[0]
    assert (verified["result"], verified["events"]) == ("passed", EVENTS + 1), "what is captured is the mirror's"
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="paused"):
        proxy.admin(f"REPAIR MIGRATION '{identity}'")
    proxy.admin(f"RESUME MIGRATION '{identity}'")
    assert finish(proxy, stores, identity) == EVENTS + 1


@pytest.mark.parametrize("where", ["after_wish", "before_tap", "after_tap", "after_compare", "after_identity"])
def test_a_crash_begins_it_again(make_proxy, stores, source, where):
    proxy = make_proxy().start()
    identity = mirrored(proxy, stores)
    behind_the_tap(source, f"UPDATE events SET payload = '{{\"unseen\": 1}}' WHERE tenant_id = '{TENANT}' AND version > 5")
    proxy.wait_state(identity, "paused")
    proxy.kill()
    proxy.start(failpoint=f"resync.{where}=crash")
    proxy.wait_state(identity, "paused")
    wait_until("its runner has it", lambda: cut_off(proxy, identity), 20, 0.1)
    proxy.wait_dead()
    proxy.start()
    finish(proxy, stores, identity)


def cut_off(proxy, identity):
    """RESYNC, which the crash answers; True when it was taken."""
    try:
        resync(proxy, identity)
    except psycopg.OperationalError as gone:
        return gone.sqlstate is None or gone.sqlstate == "57P01"
    except psycopg.Error:
        return False
    return True
