"""The bulk copy goes on where it was, whatever breaks and at whatever byte; it keeps to its rate and to young snapshots, and
takes little memory."""
import random
import time

import pytest
from psycopg.conninfo import make_conninfo

from conftest import OTHER, TENANT
from cuttinglink import CuttingLink
from pgcluster import wait_until

EVENTS = 2000


def equal(proxy, stores, identity):
    """In dual_write, and both sides are equal; what the migration says it has copied."""
    proxy.wait_state(identity, "dual_write")
    source, target = stores.digests(TENANT)
    assert source == target
    return int(proxy.migration(identity)["events_copied"])


def by_link(stores, name, link):
    conninfos = stores.conninfos()
    conninfos[name] = make_conninfo(conninfos[name], host=link.host, port=link.port)
    return conninfos


@pytest.mark.parametrize("direction", ["from", "to"])
@pytest.mark.parametrize("end", ["shared", "dedicated"])
def test_a_link_that_breaks_at_any_byte(make_proxy, stores, end, direction):
    stores.fill({TENANT: EVENTS, OTHER: 50})
    cluster = getattr(stores, end)
    cuts = random.Random(f"{end} {direction}")
    with CuttingLink(cluster.host, cluster.port) as link:
        proxy = make_proxy(conninfos=by_link(stores, end, link),
                           settings={"control": {"conninfo": stores.conninfos()["shared"]}}).start()
        identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 50, max_bulk_copy_rate = 4000")
        wait_until("rows are copied", lambda: copied(stores) > 0, 30, 0.005)
        # One way go rows, the other way a few bytes a batch.
        longest = 4 if (end, direction) in (("shared", "from"), ("dedicated", "to")) else 1.7
        link.cut_after([int(20 * 10 ** cuts.uniform(0, longest)) for _ in range(4)], from_server=direction == "from")
        with cluster.connect(stores.dbname) as superuser:       # those that are there already
            superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE"
                              " 'pgshunt migration%' AND datname = current_database()")
        # However often it has to begin anew: exactly the rows there are, none counted twice.
        assert equal(proxy, stores, identity) == EVENTS
        assert link.broken > 0


def copied(stores):
    if stores.dedicated.value(stores.dbname, "SELECT to_regclass('pgshunt.copy_cursor') IS NULL"):
        return 0
    return stores.dedicated.value(stores.dbname, "SELECT coalesce(sum(events), 0)::int FROM pgshunt.copy_cursor")


def test_killed_again_and_again(make_proxy, stores):
    stores.fill({TENANT: EVENTS, OTHER: 50})
    proxy = make_proxy().start()
    identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 20, max_bulk_copy_rate = 2000")
    seen = 0
    for _ in range(4):
        seen = wait_until("it goes on", lambda: copied(stores) > seen and copied(stores), 30, 0.003)
        proxy.kill()
        proxy.start()
    assert seen < EVENTS
    assert equal(proxy, stores, identity) == EVENTS


def test_it_keeps_to_its_rate(proxy, stores):
    """At no moment has it copied more than its allowance since the start, and one batch."""
    stores.fill({TENANT: 600})
    begun = time.monotonic()
    identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 30, max_bulk_copy_rate = 300")
    samples = []
    while proxy.state(identity) != "dual_write":
        there = copied(stores)
        samples.append((time.monotonic() - begun, there))
        time.sleep(0.02)
    assert max(there - 300 * elapsed for elapsed, there in samples) <= 30, samples
    assert len({there for _, there in samples}) > 5, "it went on by and by"


def test_no_snapshot_lasts(proxy, stores):
    """A copy of several seconds with segments of one: its transaction at the source is begun again and again."""
    stores.fill({TENANT: 900})
    identity = proxy.start_migration(
        TENANT, "dedicated", "batch_size = 10, max_bulk_copy_rate = 300, copy_segment_seconds = 1")
    seen = set()
    while proxy.state(identity) != "dual_write":
        seen.update(stores.shared.rows(
            stores.dbname, "SELECT xact_start FROM pg_stat_activity WHERE query LIKE '%%COPY (%%' AND backend_xmin IS NOT NULL"
            " AND application_name LIKE 'pgshunt migration%%' AND datname = current_database()"))
        time.sleep(0.02)
    assert len(seen) > 1, seen
    assert equal(proxy, stores, identity) == 900
