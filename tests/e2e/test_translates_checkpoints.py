"""Positions that the target gives: TRANSLATE POSITION, and checkpoints of subscriptions, after which nobody misses an event."""
import random
import uuid

import psycopg
import pytest

import eventstore
from conftest import NOBODY, OTHER, TENANT, connect
from events import append
from pgcluster import wait_until
from test_shares_a_store import mappings, positions, wait_settled

SETTINGS = {"migration": {"position_mode": "auto"},
            "events": {"checkpoint_table": "projection_checkpoints(name=projection_name, position=global_position)",
                       "checkpoint_pattern": "^[a-z]+-([0-9a-f-]{36})$"}}
CHECKPOINTS = ("CREATE TABLE projection_checkpoints (projection_name text PRIMARY KEY, global_position bigint);"
               f" GRANT ALL ON projection_checkpoints TO {eventstore.APP}, {eventstore.PGSHUNT}")


def checkpoints(stores):
    return dict(stores.shared.rows(stores.dbname, "SELECT projection_name, global_position FROM projection_checkpoints"))


def late_writers(stores, chance, count=40):
    """Transactions that commit in another order than their positions: some long open, over each other."""
    waiting = []
    for _ in range(count):
        conn = psycopg.connect(stores.shared.conninfo(stores.dbname, eventstore.APP, eventstore.APP_PASSWORD))
        for _ in range(chance.randrange(1, 4)):
            append(conn, TENANT)
        waiting.append(conn)
        while len(waiting) > chance.randrange(1, 9):
            done = waiting.pop(chance.randrange(len(waiting)))
            done.commit()
            done.close()
            yield
    while waiting:
        done = waiting.pop(chance.randrange(len(waiting)))
        done.commit()
        done.close()
        yield


@pytest.mark.parametrize("seed", [1, 2])
def test_no_subscription_misses_an_event_whatever_the_order(make_proxy, stores, seed):
    stores.fill({TENANT: 60, OTHER: 300})
    stores.shared.execute(stores.dbname, CHECKPOINTS)
    chance = random.Random(seed)
    proxy = make_proxy(settings=SETTINGS).start()
    before = late_writers(stores, chance, 10)
    next(before)
    # Some of them are open while the tap is put in, some write while the copy and the mirror run.
    for _ in before:
        pass
    identity = proxy.start_migration(TENANT, "dedicated", "position_mode = assign, batch_size = 20")
    proxy.wait_state(identity, "dual_write")
    for _ in late_writers(stores, chance):
        if chance.random() < 0.5:
            wait_until("the mirror comes to it", lambda: proxy.admin(f"SHOW LAG '{identity}'")[0]["entries"] == 0, 20, 0.02)
    source = positions(stores.shared, stores.dbname, TENANT)
    seen = sorted(source.values())
    # A subscription at every place: before the first event, at each, between two, behind the last.
    places = sorted({0, seen[0] - 1, *seen, *(position + 1 for position in seen), seen[-1] + 1000})
    names = {place: "".join("abcdefghij"[int(digit)] for digit in str(place)) + f"-{TENANT}" for place in places}
    with stores.shared.connect(stores.dbname) as conn:
        for place, name in names.items():
            conn.execute("INSERT INTO projection_checkpoints VALUES (%s, %s)", [name, place])
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    with connect(proxy, stores) as app:
        fresh = [append(app, TENANT)[1] for _ in range(3)]
    wait_settled(proxy, identity)
    target, now = positions(stores.dedicated, stores.dbname, TENANT), checkpoints(stores)
    order = [target[event] for event in sorted(source, key=source.get)]
    assert order != sorted(order), "nobody committed late: this story proves nothing"
    assert mappings(stores, identity) == {event: (source[event], target[event]) for event in source}
    for place, name in names.items():
        unread = [target[event] for event in source if source[event] > place]
        assert all(position > now[name] for position in unread + fresh), (place, now[name])
        assert now[name] == (min(unread) - 1 if unread else max(order)), place
        if place >= seen[0]:
            assert proxy.admin(f"TRANSLATE POSITION '{identity}' {place} NEAREST")[0]["checkpoint"] == now[name]
    # Each is touched once.
    assert {row["action"] for row in proxy.admin(f"MIGRATE SUBSCRIPTIONS '{identity}'")} == {"moved"}
    assert checkpoints(stores) == now
    audited = [row for row in proxy.admin(f"SHOW AUDIT '{identity}'") if row["event_type"] == "subscription_migrated"]
    assert len(audited) == len(places)


def test_what_is_not_moved_is_named_and_left_alone(make_proxy, stores):
    stores.fill({TENANT: 50, OTHER: 50})
    stores.shared.execute(stores.dbname, CHECKPOINTS + "; ALTER TABLE projection_checkpoints ALTER global_position TYPE text")
    proxy = make_proxy(settings=SETTINGS).start()
    source = sorted(positions(stores.shared, stores.dbname, TENANT).values())
    put = {f"orders-{TENANT}": str(source[9]), f"padded-{TENANT}": "%012d" % source[19], f"broken-{TENANT}": "12:7",
           f"empty-{TENANT}": None, f"orders-{OTHER}": str(source[9]), "everything": str(source[9]),
           f"far-{TENANT}": "9" * 25}
    with stores.shared.connect(stores.dbname) as conn:
        for name, position in put.items():
            conn.execute("INSERT INTO projection_checkpoints VALUES (%s, %s)", [name, position])
    identity = proxy.start_migration(TENANT, "dedicated", "position_mode = assign, migrate_subscriptions = off")
    proxy.wait_state(identity, "dual_write")
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin(f"MIGRATE SUBSCRIPTIONS '{identity}'")
    assert refused.value.sqlstate == "55000"
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    wait_settled(proxy, identity)
    assert checkpoints(stores) == put
    plan = {row["subscription"]: row for row in proxy.admin(f"PLAN SUBSCRIPTIONS '{identity}'")}
    assert checkpoints(stores) == put
    assert f"orders-{OTHER}" not in plan
    assert {name: row["action"] for name, row in plan.items()} == {
        f"orders-{TENANT}": "translate", f"padded-{TENANT}": "translate", f"broken-{TENANT}": "left",
        f"empty-{TENANT}": "left", "everything": "left", f"far-{TENANT}": "left"}
    assert "not a number" in plan[f"broken-{TENANT}"]["why"] and "several" in plan["everything"]["why"]
    done = {row["subscription"]: row for row in proxy.admin(f"MIGRATE SUBSCRIPTIONS '{identity}'")}
    known = {here: there for here, there in mappings(stores, identity).values()}
    now = checkpoints(stores)
    assert now == {**put, f"orders-{TENANT}": str(known[source[10]] - 1), f"padded-{TENANT}": "%012d" % (known[source[20]] - 1)}
    assert done[f"padded-{TENANT}"]["action"] == "moved"
    # A subscription that has gone on in the target is not taken for one that is behind.
    stores.shared.execute(stores.dbname, "DELETE FROM pgshunt.migration_subscriptions;"
                          f" UPDATE projection_checkpoints SET global_position = '{known[source[30]]}' WHERE projection_name = 'orders-{TENANT}'")
    again = {row["subscription"]: row for row in proxy.admin(f"MIGRATE SUBSCRIPTIONS '{identity}'")}
    assert again[f"orders-{TENANT}"]["action"] == "left" and "already" in again[f"orders-{TENANT}"]["why"]


def test_translates_positions(make_proxy, stores):
    stores.fill({TENANT: 51, OTHER: 50})
    stores.shared.execute(stores.dbname, "DELETE FROM events WHERE global_position = (SELECT global_position FROM events"
                          f" WHERE tenant_id = '{TENANT}' ORDER BY 1 OFFSET 20 LIMIT 1)")
    proxy = make_proxy(settings=SETTINGS).start()
    kept = proxy.move(OTHER, "dedicated")
    row, = proxy.admin(f"TRANSLATE POSITION '{kept}' 17")
    assert (row["source_position"], row["target_position"], row["exact"]) == (17, 17, True)
    identity = proxy.move(TENANT, "dedicated")
    wait_settled(proxy, identity)
    known = mappings(stores, identity)
    for event, (here, there) in list(known.items())[:10]:
        row, = proxy.admin(f"TRANSLATE POSITION '{identity}' {here}")
        assert (row["target_position"], row["event_id"], row["exact"]) == (there, event, True)
    places = sorted(here for here, _ in known.values())
    gap = next(place for place in range(places[0], places[-1]) if place not in places)
    row, = proxy.admin(f"TRANSLATE POSITION '{identity}' {gap} NEAREST")
    before = max(place for place in places if place < gap)
    assert (row["source_position"], row["exact"]) == (before, False)
    assert row["target_position"] == dict(known.values())[before]
    for position, state, said in ((gap, "42704", "no event"), (places[-1] + 1, "42704", "behind"), (places[0] - 1, "42704", "before"),
                                  (f"{places[0] - 1} NEAREST", "42704", "before"), ("9" * 30, "22P02", "not a position"),
                                  ("'1; DROP TABLE events'", "22P02", "not a position")):
        with pytest.raises(psycopg.Error) as refused:
            proxy.admin(f"TRANSLATE POSITION '{identity}' {position}")
        assert refused.value.sqlstate == state and said in str(refused.value), position
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin(f"TRANSLATE POSITION '{uuid.UUID(NOBODY)}' 1")
    assert refused.value.sqlstate == "42704"
    shown = proxy.migration(identity)
    assert (shown["mapped_positions"], shown["mapping_complete"]) == ("50", "true")
    assert (int(shown["mapped_source_min"]), int(shown["mapped_source_max"])) == (places[0], places[-1])
    for command in ("PLAN", "MIGRATE"):
        with pytest.raises(psycopg.Error) as refused:  # there is no such table
            proxy.admin(f"{command} SUBSCRIPTIONS '{identity}'")
        assert refused.value.sqlstate == "42P01" and "checkpoint_table" in refused.value.diag.message_hint
