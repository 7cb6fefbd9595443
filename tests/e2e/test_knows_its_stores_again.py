"""A migration whose stores are not what they were: restarted, promoted from a standby, or with rows left over from before."""
import os

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until

EVENTS = 300


@pytest.fixture
def filled(proxy, stores):
    stores.fill({TENANT: EVENTS, OTHER: 50})
    return proxy


def dual_write(proxy):
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    return identity


def promote(cluster):
    """What a failover leaves: the same cluster on another timeline."""
    cluster.stop()
    signal = cluster.data / "standby.signal"
    signal.touch()
    if os.geteuid() == 0:
        owner = (cluster.data / "PG_VERSION").stat()
        os.chown(signal, owner.st_uid, owner.st_gid)
    cluster.start()
    assert cluster.value("postgres", "SELECT pg_promote()")
    wait_until("it is a primary", lambda: not cluster.value("postgres", "SELECT pg_is_in_recovery()"), 20)


@pytest.mark.parametrize("name", ["shared", "dedicated"])
def test_after_a_failover_it_asks_for_a_resync(filled, stores, name):
    """A standby may lack what its primary had; nobody can say what, without comparing."""
    identity = dual_write(filled)
    promote(getattr(stores, name))
    with connect(filled, stores) as conn:       # which is noticed when there is something to do, at the cutover at the latest
        append(conn, TENANT)
    seen = filled.wait_state(identity, "paused")
    assert f'store "{name}"' in seen["error_message"] and "timeline" in seen["error_message"], seen
    assert "RESYNC MIGRATION" in str(filled.admin(f"SHOW AUDIT '{identity}'"))
    with connect(filled, stores) as conn:       # the application goes on at the source
        append(conn, TENANT)
    assert stores.counts(TENANT)[0] == EVENTS + 2
    assert filled.admin(f"RESYNC MIGRATION '{identity}'")[0]["state"] == "dual_write"
    filled.wait_cutover_ready(identity)
    filled.cutover(identity)
    source, target = stores.digests(TENANT)
    assert source == target and source[0] == EVENTS + 2


@pytest.mark.parametrize("name", ["shared", "dedicated"])
def test_after_a_crash_it_verifies_again(filled, stores, name):
    identity = dual_write(filled)
    cluster = getattr(stores, name)
    cluster.kill()
    cluster.start()
    with connect(filled, stores) as conn:
        append(conn, TENANT)
    wait_until("it is going to verify again", lambda: "it is verified again" in filled.log(), 30)
    filled.wait_cutover_ready(identity)
    filled.cutover(identity)
    source, target = stores.digests(TENANT)
    assert source == target


def test_rows_left_over_are_refused(filled, stores):
    """After an ABORT nobody has captured what changed: rows in the target may be wrong, and are not believed."""
    identity = dual_write(filled)
    filled.admin(f"ABORT MIGRATION '{identity}'")
    with connect(filled, stores) as conn:
        conn.execute("UPDATE events SET actor_id = 'since then' WHERE tenant_id = %s AND version = 2", [TENANT])
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=f"{EVENTS} events of tenant") as refusal:
        filled.start_migration(TENANT, "dedicated")
    assert "PURGE TARGET" in refusal.value.diag.message_hint
    # As the hint says.
    with psycopg.connect(stores.conninfos()["dedicated"], autocommit=True) as conn:
        conn.execute("SET pgshunt.copier = on")
        assert conn.execute("DELETE FROM events WHERE tenant_id = %s", [TENANT]).rowcount == EVENTS
    identity = dual_write(filled)
    source, target = stores.digests(TENANT)
    assert source == target
