"""position_mode = assign against two real clusters: the target's sequence gives the positions while others draw from it."""
import random
import threading
import time
import uuid

import psycopg
import pytest

import eventstore
from conftest import DB, Crowd, app
from test_migrate_data import append, cut_over, migrate, prepared, writers_of

SEQUENCE = "events_global_position_seq"
PLAIN = ", ".join(f'"{name}"' for name in eventstore.COLUMNS if name != "global_position")


def content(cluster, tenant):
    """The tenant's rows without their positions."""
    return cluster.rows(DB, f"SELECT {PLAIN} FROM events WHERE tenant_id = '{tenant}' ORDER BY event_id")


def positions(cluster, tenant):
    return dict(cluster.rows(DB, f"SELECT event_id, global_position FROM events WHERE tenant_id = '{tenant}'"))


def pairs(cluster, migration):
    """source position → target position, as the target has them written down."""
    return dict(cluster.rows(DB, "SELECT source_position, target_position FROM pgshunt.positions"
                                 f" WHERE migration = '{migration}'"))


def check_moved(stores, data, tenant):
    """The same rows; every pair is the two positions of one event; nobody has a lower position than before."""
    source, target = (positions(cluster, tenant) for cluster in stores)
    assert content(stores[0], tenant) == content(stores[1], tenant)
    known = pairs(stores[1], data.migration)
    assert known == {source[event]: target[event] for event in source}
    assert all(there >= here for here, there in known.items())
    return known


class Resident:
    """A tenant that lives in the target and goes on writing there: single events, many at once, reserved positions."""

    def __init__(self, cluster, chance):
        self.cluster, self.chance, self.tenant = cluster, random.Random(chance), uuid.uuid4()
        self.stopping, self.problems, self.written = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self._run, args=(act,)) for act in (self._appends, self._appends, self._reserves)]

    def _appends(self, conn):
        for _ in range(self.chance.randrange(1, 40)):
            append(conn, self.tenant)
            self.written += 1

    def _reserves(self, conn):
        taken = [row[0] for row in conn.execute(f"SELECT nextval('{SEQUENCE}') FROM generate_series(1, 30)")]
        conn.commit()
        time.sleep(self.chance.random() * 0.2)
        for position in taken:
            conn.execute("""INSERT INTO events (global_position, event_id, aggregate_id, aggregate_type, event_type, tenant_id,
                            version, "timestamp", payload) VALUES (%s, gen_random_uuid(), gen_random_uuid(), 'Order', 'Late',
                            %s, 1, now(), '{}')""", [position, self.tenant])

    def _run(self, act):
        with app(self.cluster) as conn:
            while not self.stopping.is_set():
                try:
                    act(conn)
                    conn.commit()
                except psycopg.Error as problem:
                    self.problems.append(problem)
                    conn.rollback()
                    return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("cache", [1, 20])
def test_every_writer_at_both_ends_and_no_position_collides(stores, start, cache):
    tenant, other = prepared(stores, 3000)
    stores[1].execute(DB, f"ALTER SEQUENCE {SEQUENCE} CACHE {cache}")
    data = start(tenant, batch_size=100, max_bulk_copy_rate=2000, copy_segment_seconds=1, position_mode="assign")
    with Resident(stores[1], cache) as resident, Crowd(stores[0], writers_of(tenant, other), seed=cache) as crowd:
        data("connect")
        data("install")
        data("claim")
        assert data("copy")["done"] == "1"
        data("mirror 1000")
        data("sweep")
        assert data("hash")["violations"] == "0"
        data("mirror 500")
        assert not crowd.problems, crowd.problems[0]
        cut_over(data)
        data("unlock")
    assert resident.problems == [] and resident.written > 100
    known = check_moved(stores, data, tenant)
    assert len(known) > 3000
    data("finish")
    source, target = (cluster.value(DB, f"SELECT last_value FROM {SEQUENCE}") for cluster in stores)
    assert target >= source


@pytest.mark.parametrize("failpoint", ["copier.before_commit", "copier.after_commit", "copier.before_done",
                                       "mirror.before_commit", "mirror.after_commit"])
def test_a_crash_leaves_rows_and_pairs_or_neither(stores, start, failpoint):
    tenant, other = prepared(stores, 1500)
    writers = [act for act in writers_of(tenant, other) if act.__name__ != "waits"]
    settings = {"batch_size": 100, "position_mode": "assign"}
    with Crowd(stores[0], writers, seed=len(failpoint)) as crowd:
        time.sleep(0.2)
        first = start(tenant, failpoint=f"{failpoint}=crash", **settings)
        assert migrate(first) is None, "it was to die"
        second = start(tenant, migration=first.migration, epoch=2, **settings)
        assert migrate(second)
        second("sweep")
        check_moved(stores, second, tenant)
    assert crowd.counts


def test_a_row_that_changes_during_the_copy_keeps_its_place(stores, start):
    tenant, _ = prepared(stores, 1000)
    data = start(tenant, batch_size=50, position_mode="assign")
    for command in ("connect", "install", "claim"):
        data(command)
    # Captured before the scan comes to them: the mirror brings them last.
    stores[0].execute(DB, f"UPDATE events SET payload = '{{}}' WHERE tenant_id = '{tenant}' AND version = 7")
    gone = stores[0].execute(DB, f"DELETE FROM events WHERE tenant_id = '{tenant}' AND version = 9")
    assert data("copy 3")["done"] == "0"
    stores[0].execute(DB, f"UPDATE events SET payload = '{{\"again\": 1}}' WHERE tenant_id = '{tenant}' AND version = 8")
    assert data("copy")["done"] == "1"
    before = pairs(stores[1], data.migration)
    data("mirror 10")
    data("sweep")
    known = check_moved(stores, data, tenant)
    assert [known[source] for source in sorted(known)] == sorted(known.values()), gone
    assert known.items() <= before.items()
    # Mirrored again and again: they stay where they are.
    for version in (1, 7, 8):
        stores[0].execute(DB, f"UPDATE events SET payload = '{{\"v\": 2}}' WHERE tenant_id = '{tenant}' AND version = {version}")
    data("drain")
    assert check_moved(stores, data, tenant) == known
    # Moved to the end of the source's order: to the end of the target's, too.
    stores[0].execute(DB, f"UPDATE events SET global_position = nextval('{SEQUENCE}') WHERE tenant_id = '{tenant}' AND version = 1")
    data("drain")
    moved = check_moved(stores, data, tenant)
    fresh = moved.keys() - known.keys()
    assert len(fresh) == 20 and min(moved[source] for source in fresh) > max(known.values())


def test_places_of_rows_that_go_during_the_copy_are_given_up(stores, start):
    tenant, _ = prepared(stores, 300)
    data = start(tenant, batch_size=50, position_mode="assign")
    for command in ("connect", "install", "claim"):
        data(command)
    stores[0].execute(DB, f"UPDATE events SET payload = '{{}}' WHERE tenant_id = '{tenant}' AND version < 5")
    assert data("copy")["done"] == "1"
    stores[0].execute(DB, f"DELETE FROM events WHERE tenant_id = '{tenant}' AND version < 5")
    data("mirror 10")
    reserved = "SELECT count(*) FROM pgshunt.positions WHERE reserved"
    assert stores[1].value(DB, reserved) > 0
    data("sweep")
    assert stores[1].value(DB, reserved) == 0
    check_moved(stores, data, tenant)


def test_a_long_batch_is_several_blocks(stores, start):
    tenant, _ = prepared(stores, 25000)
    data = start(tenant, batch_size=1000000, position_mode="assign")
    for command in ("connect", "install", "claim"):
        data(command)
    assert data("copy") == {"done": "1", "events": "25000"}
    known = check_moved(stores, data, tenant)
    assert [known[source] for source in sorted(known)] == sorted(known.values())


def test_a_sequence_that_the_source_overtakes_is_moved_again(stores, start):
    tenant, _ = prepared(stores, 100)
    data = start(tenant, position_mode="assign")
    for command in ("connect", "install", "claim", "copy"):
        data(command)
    stores[0].execute(DB, f"SELECT setval('{SEQUENCE}', 50000000)")
    with app(stores[0]) as conn:
        append(conn, tenant)
    with app(stores[1]) as resident:  # a writer that has drawn and not ended holds it up, for an instant at a time
        resident.execute(f"SELECT nextval('{SEQUENCE}')")
        threading.Timer(0.5, resident.commit).start()
        data("drain")
    known = check_moved(stores, data, tenant)
    assert max(known) > 50000000
