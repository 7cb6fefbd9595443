"""The bulk copy goes on where it was, whatever breaks and at whatever byte; it keeps to its rate and to young snapshots, and
takes little memory."""
import random
import time

import pytest
from psycopg.conninfo import make_conninfo

import eventstore
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


@pytest.mark.parametrize("workers", [1, 4])
def test_killed_again_and_again(make_proxy, stores, workers):
    stores.fill({TENANT: EVENTS, OTHER: 50})
    proxy = make_proxy().start()
    identity = proxy.start_migration(
        TENANT, "dedicated", f"batch_size = 20, max_bulk_copy_rate = 2000, copy_workers = {workers}")
    seen = 0
    for _ in range(4):
        seen = wait_until("it goes on", lambda: copied(stores) > seen and copied(stores), 30, 0.003)
        proxy.kill()
        proxy.start()
    assert seen < EVENTS
    assert equal(proxy, stores, identity) == EVENTS


@pytest.mark.parametrize("workers", [1, 3])
def test_it_keeps_to_its_rate(proxy, stores, workers):
    """At no moment has it copied more than its allowance since the start, and one batch of each worker."""
    stores.fill({TENANT: 600})
    begun = time.monotonic()
    identity = proxy.start_migration(
        TENANT, "dedicated", f"batch_size = 30, max_bulk_copy_rate = 300, copy_workers = {workers}")
    samples = []
    while proxy.state(identity) != "dual_write":
        there = eventstore.count(stores.dedicated, stores.dbname, TENANT)
        samples.append((time.monotonic() - begun, there))
        time.sleep(0.02)
    assert max(there - 300 * elapsed for elapsed, there in samples) <= 30 * workers, samples
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


def test_several_workers_share_the_positions(make_proxy, stores):
    """Each has its part and its cursor; what they have copied adds up; one that loses its connection stops nobody for long."""
    stores.fill({TENANT: EVENTS, OTHER: 50})
    proxy = make_proxy(settings={"migration": {"copy_workers": 4}}).start()
    identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 20, max_bulk_copy_rate = 1500")
    parts = "SELECT worker, position, high, events FROM pgshunt.copy_cursor ORDER BY worker"
    wait_until("all have begun", lambda: copied(stores) and all(
        events > 0 for *_, events in stores.dedicated.rows(stores.dbname, parts)), 30, 0.01)
    before = stores.dedicated.rows(stores.dbname, parts)
    assert len(before) == 4
    sessions = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgshunt migration%'"
                " AND datname = current_database()")
    # One session is the runner's own; whoever's it is, that part goes on from its cursor.
    assert len(stores.shared.rows(stores.dbname, f"{sessions} ORDER BY backend_start DESC LIMIT 1")) == 1
    assert len(stores.dedicated.rows(stores.dbname, f"{sessions} ORDER BY backend_start LIMIT 1")) == 1
    assert equal(proxy, stores, identity) == EVENTS
    after = stores.dedicated.rows(stores.dbname, parts)
    assert [row[2] for row in after[1:]] == [row[2] for row in before[1:]], "the parts stayed"
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
