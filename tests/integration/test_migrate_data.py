"""The data plane of a migration against two real clusters: whatever writers do past any proxy, and wherever the process
dies, the target ends as the source is."""
import time
import uuid

import psycopg
import pytest

import eventstore
from conftest import DB, Crowd, app, same

INSERT = """INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, "timestamp", payload)
            VALUES (gen_random_uuid(), %s, 'Order', 'Happened', %s, %s, now(), jsonb_build_object('note', %s::text, 'n', random()))"""


def append(conn, tenant, stream=None, version=1, note="ä \\ \" ' \u2028 end"):
    conn.execute(INSERT, [stream or uuid.uuid4(), tenant, version, note])


def pick(conn, tenant, chance, count=1):
    """Some of the tenant's rows, from anywhere in it."""
    return conn.execute(
        """SELECT event_id, aggregate_id, version, global_position FROM events WHERE tenant_id = %s AND global_position >=
           (SELECT min(global_position) + (%s * (max(global_position) - min(global_position)))::bigint FROM events
             WHERE tenant_id = %s) ORDER BY global_position LIMIT %s""",
        [tenant, chance.random(), tenant, count]).fetchall()


def writers_of(tenant, other):
    """Everything a writer may do to a tenant's rows."""

    def appends(conn, chance):
        stream = uuid.uuid4()
        for version in range(1, chance.randrange(2, 6)):
            append(conn, tenant, stream, version)
            if chance.random() < 0.3:
                conn.commit()

    def appends_carelessly(conn, chance):
        conn.execute("SET synchronous_commit = off")
        append(conn, tenant)
        if chance.random() < 0.2:
            conn.rollback()

    def changes(conn, chance):
        for event_id, *_ in pick(conn, tenant, chance, 2):
            conn.execute("UPDATE events SET payload = payload || jsonb_build_object('changed', %s::float8) WHERE event_id = %s",
                         [chance.random(), event_id])

    def deletes_and_writes_again(conn, chance):
        for event_id, stream, version, _ in pick(conn, tenant, chance):
            conn.execute("DELETE FROM events WHERE event_id = %s", [event_id])
            if chance.random() < 0.5:
                conn.commit()
            append(conn, tenant, stream, version, "again")

    def swaps(conn, chance):
        rows = pick(conn, tenant, chance) + pick(conn, tenant, chance)
        if len(rows) < 2 or rows[0][0] == rows[1][0]:
            return
        (a, a_stream, a_version, _), (b, b_stream, b_version, _) = rows
        move = "UPDATE events SET aggregate_id = %s, version = %s WHERE event_id = %s"
        conn.execute(move, [uuid.uuid4(), 1, a])
        conn.execute(move, [a_stream, a_version, b])
        conn.execute(move, [b_stream, b_version, a])

    def renames(conn, chance):
        for event_id, *_ in pick(conn, tenant, chance):
            conn.execute("UPDATE events SET event_id = gen_random_uuid() WHERE event_id = %s", [event_id])

    def waits(conn, chance):
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute("SELECT 1 FROM events LIMIT 1")
        position, = conn.execute("SELECT nextval('events_global_position_seq')").fetchone()
        time.sleep(chance.random() * 1.5)
        conn.execute("""INSERT INTO events (global_position, event_id, aggregate_id, aggregate_type, event_type, tenant_id,
                        version, "timestamp", payload) VALUES (%s, gen_random_uuid(), gen_random_uuid(), 'Order', 'Late',
                        %s, 1, now(), '{}')""", [position, tenant])
        time.sleep(chance.random() * 0.3)

    def gives_and_takes(conn, chance):
        giver, taker = (tenant, other) if chance.random() < 0.5 else (other, tenant)
        for event_id, *_ in pick(conn, giver, chance):
            conn.execute("UPDATE events SET tenant_id = %s WHERE event_id = %s", [taker, event_id])

    def minds_its_own(conn, chance):
        append(conn, other)

    return [appends, appends, appends_carelessly, changes, deletes_and_writes_again, swaps, renames, waits,
            gives_and_takes, minds_its_own]


def lock(data, tries=200):
    for _ in range(tries):
        data("mirror 10")
        if int(data("lag")["entries"]) < 100:
            break
    data("lock_open")
    for _ in range(tries):
        if data("lock 50")["got"] == "1":
            return
        data("mirror 10")
    raise AssertionError("the lock could not be had: " + str(data("holders")))


def cut_over(data):
    lock(data)
    data("drain")
    assert data("behind")["unverified"] == "0"
    data("shut")


def prepared(stores, events=4000):
    tenant, other = uuid.uuid4(), uuid.uuid4()
    eventstore.fill(stores[0], DB, {tenant: events, other: events // 4})
    stores[0].execute(DB, "ALTER SEQUENCE events_global_position_seq CACHE 20")
    return tenant, other


@pytest.mark.parametrize("key", ["event_id", "version"])
def test_target_becomes_the_source_under_every_kind_of_writer(stores, start, key):
    tenant, other = prepared(stores)
    writers = [act for act in writers_of(tenant, other)]
    data = start(tenant, batch_size=100, max_bulk_copy_rate=2000, copy_segment_seconds=1,
                 environment={"KEY_BY_VERSION": "1"} if key == "version" else None)
    with Crowd(stores[0], writers) as crowd:
        data("connect")
        data("install")
        data("claim")
        assert data("copy")["done"] == "1"
        data("mirror 1000")
        report = data("hash")
        assert report["violations"] == "0", report
        data("mirror 1000")
        assert not crowd.problems, crowd.problems[0]
        cut_over(data)
        data("unlock")
        time.sleep(0.5)
    refused = {problem.sqlstate for problem in crowd.problems}
    assert refused <= {"0A000", "40001"} and refused, crowd.problems[:3]
    assert all(count > 2 for count in crowd.counts.values()) and len(crowd.counts) >= 9, crowd.counts
    assert same(stores, tenant)
    assert data("hash")["violations"] == "0"
    data("finish")
    source, target = (cluster.value(DB, "SELECT last_value FROM events_global_position_seq") for cluster in stores)
    assert target >= source


CRASHES = ["tap.before_install", "tap.after_install", "copier.before_commit", "copier.after_commit", "copier.before_done",
           "copier.after_done", "mirror.before_commit", "mirror.after_commit", "mirror.after_entries", "verifier.before_run",
           "tap.before_shut", "tap.after_shut"]


def migrate(data):
    """From wherever it is to the shut tap; None if the process died on the way."""
    for command in ("connect", "install", "claim", "copy", "mirror 300", "hash", "behind", "lock_open"):
        answer = data.answer(command)
        if answer is None:
            return None
        assert answer.endswith("ok"), f"{command}: {answer}"
    while True:
        answer = data.answer("lock 50")
        if answer is None or answer == "got=1 ok":
            break
        data("mirror 10")
    for command in ("drain", "behind", "shut", "unlock"):
        answer = data.answer(command)
        if answer is None:
            return None
        assert answer.endswith("ok"), f"{command}: {answer}"
    return True


@pytest.mark.parametrize("failpoint", CRASHES)
def test_goes_on_after_a_crash(stores, start, failpoint):
    tenant, other = prepared(stores, 1500)
    writers = [act for act in writers_of(tenant, other) if act.__name__ != "waits"]
    with Crowd(stores[0], writers, seed=CRASHES.index(failpoint)) as crowd:
        time.sleep(0.2)
        first = start(tenant, failpoint=f"{failpoint}=crash", batch_size=100)
        assert migrate(first) is None, "it was to die"
        second = start(tenant, migration=first.migration, epoch=2, batch_size=100)
        if failpoint == "tap.after_shut":  # it may have been switched or not: here it was not
            second("connect")
            second("lock_open")
            second("open")
            second("lock_close")
            assert second("state") == {"present": "1", "state": "0", "epoch": "2"}
            time.sleep(0.3)
        assert migrate(second)
        assert same(stores, tenant)
    assert same(stores, tenant)


def test_an_earlier_owner_can_do_nothing_any_more(stores, start):
    tenant, _ = prepared(stores, 1500)
    old = start(tenant, batch_size=100)
    for command in ("connect", "install", "claim", "copy 3", "lock_open"):
        old(command)
    new = start(tenant, migration=old.migration, epoch=2, batch_size=100)
    for command in ("connect", "install", "claim"):
        new(command)
    assert old.fails("copy")[0] == "55000"
    assert new("copy")["done"] == "1"
    assert old("lock 50")["got"] == "1"
    assert old.fails("shut")[0] == "55000"
    # The old one sits on the lock; the new one ends that session first.
    new("lock_open")
    assert new("lock 50")["got"] == "1"
    assert old.fails("shut")[0] in ("57P01", "08006")
    new("drain")
    new("shut")
    assert new("state") == {"present": "1", "state": "1", "epoch": "2"}
    assert new.fails("open 1")[0] == "55000"
    assert same(stores, tenant)


def test_names_the_writer_that_holds_the_lock(stores, start):
    tenant, _ = prepared(stores, 500)
    data = start(tenant)
    for command in ("connect", "install", "claim", "copy"):
        data(command)
    with app(stores[0]) as conn:
        append(conn, tenant)
        data("lock_open")
        assert data("lock 50")["got"] == "0"
        holders = data("holders")
        assert holders["count"] == "1" and holders["pid"] == str(conn.info.backend_pid) and holders["user"] == "app"
        conn.commit()
        assert data("lock 50")["got"] == "1"
        assert data.fails("shut")[0] == "55000"  # what it has written is not mirrored yet
        data("drain")
        data("shut")
    assert same(stores, tenant)


def test_a_prepared_transaction_holds_the_lock(stores, start):
    tenant, _ = prepared(stores, 500)
    data = start(tenant)
    for command in ("connect", "install", "claim", "copy", "lock_open"):
        data(command)
    with app(stores[0]) as conn:
        conn.tpc_begin(conn.xid(1, "late", "payment"))
        append(conn, tenant)
        conn.tpc_prepare()
        assert data("lock 20")["got"] == "0"
        assert data("holders")["prepared"] == "1"
        conn.tpc_commit()
    assert data("lock 20")["got"] == "1"
    data("drain")
    data("shut")
    assert same(stores, tenant)


@pytest.mark.parametrize("accident", [
    "ALTER TABLE events ENABLE TRIGGER USER",
    "ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE events ENABLE TRIGGER ALL",
    "TRUNCATE events",
    "VACUUM FULL events",
    "ALTER TABLE events ADD COLUMN more text",
    "CREATE TABLE child () INHERITS (events)",
])
def test_what_no_trigger_sees_stops_the_mirror(stores, start, accident):
    tenant, _ = prepared(stores, 500)
    data = start(tenant)
    for command in ("connect", "install", "claim", "copy", "mirror"):
        data(command)
    before = eventstore.tenant_digest(stores[1], DB, tenant)
    for statement in accident.split("; "):
        stores[0].execute(DB, statement)
    assert data.fails("mirror")[0] == "55000"
    assert eventstore.tenant_digest(stores[1], DB, tenant) == before
    # Also for whoever comes after a crash and has never seen how it was.
    later = start(tenant, migration=data.migration, epoch=2)
    answers = [later.answer(command) or "" for command in ("connect", "install", "claim", "mirror")]
    assert any(answer.startswith(("error 55000", "error 0A000", "error 42703")) for answer in answers), answers


def test_takes_the_tap_off_without_a_trace(stores, start):
    tenant, other = prepared(stores, 500)
    data = start(tenant)
    data("connect")
    data("install")
    assert data("sound")["sound"] == "1"
    data("remove")
    data("remove")
    assert data("sound")["sound"] == "0"
    left = stores[0].rows(DB, """SELECT tgname::text FROM pg_trigger WHERE tgname LIKE 'pgshunt%' UNION ALL
        SELECT proname::text FROM pg_proc WHERE proname ~ '^tap_[0-9a-f]{16}$' UNION ALL
        SELECT relname::text FROM pg_class WHERE relname ~ '^tap_(state|time)_' UNION ALL
        SELECT tenant FROM pgshunt.tap UNION ALL SELECT key::text FROM pgshunt.captured""")
    assert left == []
    with app(stores[0]) as conn:
        append(conn, tenant)


def test_waits_for_a_transaction_that_has_written_before(stores, start):
    tenant, _ = prepared(stores, 500)
    data = start(tenant)
    data("connect")
    import threading
    with app(stores[0]) as conn, app(stores[0], options="-c statement_timeout=2000") as innocent:
        append(conn, tenant)
        ender = threading.Timer(1.0, conn.commit)
        ender.start()
        begun = time.monotonic()
        install = threading.Thread(target=data, args=("install",))
        install.start()
        worst = 0
        while install.is_alive():
            at = time.monotonic()
            append(innocent, tenant)
            innocent.commit()
            worst = max(worst, time.monotonic() - at)
        assert time.monotonic() - begun > 0.9
        assert worst < 0.5, "others queued behind the tap for too long"
        ender.join()
    data("claim")
    data("copy")
    data("drain")
    assert same(stores, tenant)


def test_two_tenants_at_once_on_one_table(stores, start):
    tenant, other = prepared(stores, 2000)
    # Rows that go from one to the other while both move would stand in each other's way in the target.
    writers = [act for act in writers_of(tenant, other) + writers_of(other, tenant)
               if act.__name__ not in ("waits", "gives_and_takes")]
    with Crowd(stores[0], writers):
        both = [start(tenant, batch_size=100), start(other, batch_size=100)]
        for command in ("connect", "install", "claim", "copy"):
            for data in both:
                data(command)
        for data in both:
            data("mirror 300")
        cut_over(both[0])
        assert same(stores, tenant)
        cut_over(both[1])
    assert same(stores, other)
    assert same(stores, tenant)


def test_a_hostile_tenant_name(stores, start):
    name = "o'neill \\ \"); DROP TABLE events; --"
    for cluster in stores:
        cluster.execute(DB, "ALTER TABLE events ALTER tenant_id TYPE text")
    with app(stores[0]) as conn:
        append(conn, name)
    data = start(name)
    for command in ("connect", "install", "claim", "copy"):
        data(command)
    with app(stores[0]) as conn:
        append(conn, name)
        append(conn, "somebody else")
    data("drain")
    assert data("hash")["violations"] == "0"
    cut_over(data)
    assert same(stores, name)
    assert stores[1].value(DB, "SELECT count(*) FROM events") == 2


def partitioned(cluster):
    cluster.execute(DB, """
        DROP TABLE events;
        CREATE SEQUENCE events_global_position_seq;
        CREATE TABLE events (global_position bigint NOT NULL DEFAULT nextval('events_global_position_seq'),
          event_id uuid PRIMARY KEY, aggregate_id uuid NOT NULL, aggregate_type text NOT NULL, event_type text NOT NULL,
          tenant_id uuid NOT NULL, actor_id text, version integer NOT NULL, "timestamp" timestamptz NOT NULL,
          payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
          payload_bytes integer GENERATED ALWAYS AS (length(payload::text)) STORED) PARTITION BY HASH (event_id);
        CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE INDEX ON events (tenant_id, global_position);
        CREATE INDEX ON events (aggregate_id);
        ALTER TABLE events OWNER TO events_owner; ALTER TABLE events_0 OWNER TO events_owner;
        ALTER TABLE events_1 OWNER TO events_owner; ALTER SEQUENCE events_global_position_seq OWNER TO events_owner;
        GRANT ALL ON events, events_0, events_1 TO app; GRANT ALL ON SEQUENCE events_global_position_seq TO app""")


def test_a_partitioned_table(stores, start):
    for cluster in stores:
        partitioned(cluster)
    tenant, other = uuid.uuid4(), uuid.uuid4()
    with app(stores[0]) as conn:
        for _ in range(300):
            append(conn, tenant)
    data = start(tenant, batch_size=500)
    with Crowd(stores[0], [act for act in writers_of(tenant, other) if act.__name__ not in ("swaps",)]) as crowd:
        for command in ("connect", "install", "claim", "copy", "mirror 500"):
            data(command)
        with app(stores[0]) as conn:  # straight into a partition
            conn.execute("""UPDATE events_0 SET actor_id = 'x' WHERE event_id IN (SELECT event_id FROM events_0 WHERE
                            tenant_id = %s ORDER BY event_id LIMIT 5 FOR UPDATE SKIP LOCKED)""", [tenant])
        assert data("hash")["violations"] == "0"
        assert not crowd.problems, crowd.problems[0]
        cut_over(data)
    assert same(stores, tenant)
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        stores[0].execute(DB, "TRUNCATE events_1")
    # A cutover that is taken back; and then what hangs on a partition is seen, too.
    data("lock_close")
    data("lock_open")
    data("open")
    data("lock_close")
    stores[0].execute(DB, "TRUNCATE events_1")
    assert data.fails("mirror")[0] == "55000"


def test_finds_what_is_not_the_same(stores, start):
    tenant, _ = prepared(stores, 1000)
    data = start(tenant)
    for command in ("connect", "install", "claim", "copy"):
        data(command)
    assert data("hash")["violations"] == "0"
    target = stores[1]
    target.execute(DB, "UPDATE events SET payload = '{}' WHERE event_id = (SELECT event_id FROM events WHERE version = 7 LIMIT 1)")
    target.execute(DB, "DELETE FROM events WHERE event_id = (SELECT event_id FROM events WHERE version = 9 LIMIT 1)")
    target.execute(DB, """INSERT INTO events SELECT -1, gen_random_uuid(), gen_random_uuid(), aggregate_type, event_type,
        tenant_id, actor_id, version, "timestamp", payload, created_at FROM events WHERE version = 3 LIMIT 1""")
    report = data("hash")
    assert report["violations"] == "3", report
    with app(stores[0]) as conn:
        append(conn, tenant)
    data("mirror")
    target.execute(DB, "DELETE FROM events WHERE global_position = (SELECT max(global_position) FROM events)")
    state, message = data.fails("behind")
    assert state == "XX001" and "missing in the target" in message


def test_refuses_rows_that_are_in_the_target_already(stores, start):
    tenant, _ = prepared(stores, 100)
    with app(stores[1]) as conn:
        append(conn, tenant)
    data = start(tenant)
    data("connect")
    data("install")
    assert data.fails("claim")[0] == "55000"


@pytest.mark.parametrize("damage, state", [
    ("ALTER TABLE events DROP COLUMN actor_id", "42703"),
    ("ALTER TABLE events ALTER actor_id TYPE varchar(20)", "42804"),
    ("ALTER TABLE events ADD COLUMN more text NOT NULL", "42703"),
    ("ALTER TABLE events DROP CONSTRAINT events_event_id_key", "42P10"),
    ("DROP TABLE events", "42P01"),
    ("REVOKE SET ON PARAMETER session_replication_role FROM pgshunt", "42501"),
])
def test_refuses_a_target_that_does_not_fit(stores, start, damage, state):
    stores[1].execute(DB, damage)
    try:
        answer = start(uuid.uuid4()).fails("connect")
        assert answer[0] == state, answer
    finally:
        stores[1].execute(DB, "GRANT SET ON PARAMETER session_replication_role TO pgshunt")


def test_hidden_writers_are_named_until_they_ring(stores, start):
    tenant, _ = prepared(stores, 100)
    data = start(tenant)
    for command in ("connect", "install", "claim", "copy"):
        data(command)
    with app(stores[0], application_name="cron") as conn:
        append(conn, tenant)
        conn.commit()
        data("mirror")
        hidden = data("hidden")
        assert hidden == {"count": "1", "pid": str(conn.info.backend_pid), "application": "cron", "entries": "1"}
        assert data(f"hidden {conn.info.backend_pid}")["count"] == "0"


def test_a_source_killed_with_unflushed_commits_knows_no_less_than_the_target(stores, start):
    tenant, other = prepared(stores, 1000)
    writers = [act for act in writers_of(tenant, other) if act.__name__ in ("appends_carelessly", "changes")]
    data = start(tenant, batch_size=50)
    for command in ("connect", "install", "claim", "copy"):
        data(command)
    with Crowd(stores[0], [writers[0]] * 4 + writers[1:]) as crowd:
        data("mirror 500")
        stores[0].kill()
        crowd.stopping.set()
    stores[0].start()
    there, here = (set(cluster.rows(DB, "SELECT event_id FROM events WHERE tenant_id = %s", [tenant]))
                   for cluster in reversed(stores))
    assert there - here == set(), "the target knows events that the source has lost"
    assert data.fails("mirror")[0][:2] in ("08", "57")
    data("connect")
    data("drain")
    assert data("hash")["violations"] == "0"
    assert same(stores, tenant)


def test_a_target_that_goes_away_costs_nothing(stores, start):
    tenant, other = prepared(stores, 1000)
    data = start(tenant, batch_size=50)
    for command in ("connect", "install", "claim", "copy"):
        data(command)
    with Crowd(stores[0], writers_of(tenant, other)[:6]) as crowd:
        data("mirror 200")
        stores[1].kill()
        failed = data.answer("mirror 200")
        assert failed.startswith("error ") and failed[6:8] in ("08", "57"), failed
        time.sleep(0.3)
        assert not crowd.problems, crowd.problems[0]
        stores[1].start()
        data("connect")
        data("claim")
        data("mirror 200")
    data("drain")
    assert same(stores, tenant)


def test_an_interrupted_copy_goes_on_where_it_stopped(stores, start):
    tenant, _ = prepared(stores, 3000)
    data = start(tenant, batch_size=100)
    for command in ("connect", "install", "claim"):
        data(command)
    assert data("copy 4") == {"done": "0", "events": "400"}
    assert data("copy 1") == {"done": "0", "events": "500"}
    data("disconnect")
    data("connect")
    data("claim")
    assert data("copy") == {"done": "1", "events": "3000"}
    assert same(stores, tenant)


def test_an_empty_tenant(stores, start):
    tenant, _ = prepared(stores, 10)
    data = start(uuid.uuid4())
    for command in ("connect", "install", "claim"):
        data(command)
    assert data("copy") == {"done": "1", "events": "0"}
    assert data("hash")["violations"] == "0"
    data("drain")


@pytest.mark.parametrize("what", ["query", "copy_out", "copy_in", "pipeline"])
def test_what_is_given_up_leaves_the_connection_usable(stores, start, what):
    data = start(uuid.uuid4())
    data("connect")
    answer = data(f"give_up {what}")
    assert answer["good"] == "0" and answer["state"] == ("none" if what == "copy_in" else "57014"), answer
    assert answer["broken"] == "0" and answer["serves"] == "1" and int(answer["ms"]) < 2000, answer
    assert data("state")["present"] == "0"


@pytest.mark.parametrize("what", ["query", "copy_out", "pipeline"])
def test_a_frozen_server_costs_the_connection_and_no_more(stores, start, what):
    data = start(uuid.uuid4())
    data("connect")
    stores[0].freeze()
    try:
        answer = data(f"give_up {what}")
    finally:
        stores[0].thaw()
    assert answer["state"] == "57014" and answer["broken"] == "1" and int(answer["ms"]) < 6000, answer
    data("connect")
    assert data("state")["present"] == "0"
