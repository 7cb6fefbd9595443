"""Whatever an application does to its rows while they are copied, and afterwards: source and target become equal, row by
row. Acts go through the proxy; test_hidden_writers.py has those that go past it."""
import contextlib
import uuid

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until

PHASES = ["bulk_copy", "dual_write"]
EVENTS = 300
# Scans of a hundred rows: what happens between two of them must not matter. Slow enough to be caught in the middle.
SLOWLY = "batch_size = 2, max_bulk_copy_rate = 300"


class Move:
    """A migration of TENANT that can be held still in the middle of its copy."""

    def __init__(self, proxy, stores):
        self.proxy, self.stores, self.identity = proxy, stores, None
        self.holder = contextlib.ExitStack()

    def begin(self, phase, options=SLOWLY):
        if phase == "dual_write":
            self.identity = self.proxy.start_migration(TENANT, "dedicated")
            self.proxy.wait_state(self.identity, "dual_write")
        else:
            self.identity = self.proxy.start_migration(TENANT, "dedicated", options)
            self.hold()
        return self

    def hold(self):
        """Every transaction that writes rows first takes the cursor's row: whoever has it holds the copy still."""
        conn = self.holder.enter_context(self.stores.dedicated.connect(self.stores.dbname, autocommit=False))

        def begun():
            there = conn.execute("SELECT to_regclass('pgshunt.copy_cursor')").fetchone()[0]
            done = there and conn.execute("SELECT events FROM pgshunt.copy_cursor FOR UPDATE").fetchone()
            if done and done[0] > 0:
                return done
            conn.rollback()
            return None
        copied, = wait_until("rows are copied", begun, 30, 0.005)
        assert copied < EVENTS, "the copy was to be caught in its middle"

    def release(self):
        self.holder.close()

    def equal(self, timeout_s=30):
        """Waits until both sides are equal; the number of rows."""
        self.release()
        self.proxy.wait_state(self.identity, "dual_write")

        def same():
            source, target = self.stores.digests(TENANT)
            return source if source == target else None
        try:
            return wait_until("source and target are equal", same, timeout_s, 0.05)[0]
        except Exception:
            raise AssertionError(f"not equal: {self.difference()}\n{self.proxy.log_tail()}") from None

    def difference(self):
        rows = "SELECT event_id, actor_id, event_type, global_position, version, e::text FROM events e WHERE tenant_id = %s"
        source, target = (set(cluster.rows(self.stores.dbname, rows, [TENANT]))
                          for cluster in (self.stores.shared, self.stores.dedicated))
        return {"only in the source": [row[:5] for row in source - target][:10],
                "only in the target": [row[:5] for row in target - source][:10]}

    def finish(self):
        """To the end: cut over. The number of rows."""
        rows = self.equal()
        self.proxy.wait_cutover_ready(self.identity)
        self.proxy.cutover(self.identity)
        self.proxy.wait_state(self.identity, "migrated")
        source, target = self.stores.digests(TENANT)
        assert source == target
        return rows


@pytest.fixture
def move(proxy, stores):
    stores.fill({TENANT: EVENTS, OTHER: 100})
    made = Move(proxy, stores)
    yield made
    made.release()


# --- acts: each leaves its name in actor_id, so that a difference says whose it is ------------------------------------

COLUMNS = "event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version, timestamp, payload"
NEW = f"gen_random_uuid(), gen_random_uuid(), 'Order', 'New', '{TENANT}', %(act)s, 1, now(), '{{}}'"
# Some of the first rows, which have been copied, and some of the last, which have not.
SOME = (f"event_id IN ((SELECT event_id FROM events WHERE tenant_id = '{TENANT}' AND actor_id = 'importer'"
        " ORDER BY global_position OFFSET %(at)s LIMIT 3)"
        f" UNION ALL (SELECT event_id FROM events WHERE tenant_id = '{TENANT}' AND actor_id = 'importer'"
        " ORDER BY global_position DESC OFFSET %(at)s LIMIT 3))")


def run(*statements):
    def act(conn, name):
        with conn.transaction():
            for statement in statements:
                conn.execute(statement, {"act": name, "at": 5})
    return act


def upserts(conn, name):
    insert = f"INSERT INTO events ({COLUMNS}) SELECT {COLUMNS} FROM events WHERE {SOME} ON CONFLICT (event_id)"
    conn.execute(f"{insert} DO UPDATE SET actor_id = %(act)s, version = events.version + 5000", {"act": name, "at": 2})
    assert conn.execute(f"{insert} DO NOTHING", {"act": name, "at": 2}).rowcount == 0


def merges(conn, name):
    conn.execute(
        "MERGE INTO events e USING (SELECT event_id, row_number() OVER () AS n FROM events WHERE " + SOME +
        "                           UNION ALL SELECT gen_random_uuid(), 0) AS s ON e.event_id = s.event_id"
        " WHEN MATCHED AND s.n %% 3 = 0 THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET actor_id = %(act)s, payload = '{\"merged\": true}'"
        f" WHEN NOT MATCHED THEN INSERT ({COLUMNS}) VALUES ({NEW})", {"act": name, "at": 1})


def copies(conn, name):
    with conn.cursor().copy(f"COPY events ({COLUMNS}) FROM STDIN") as rows:
        for version in range(1, 120):
            rows.write_row((uuid.uuid4(), uuid.uuid5(uuid.NAMESPACE_OID, name), "Copied", "New", TENANT, name, version, "2024-01-01", "{}"))


def rolls_back_to_a_savepoint(conn, name):
    with conn.transaction():
        append(conn, TENANT, actor=name)
        conn.execute("SAVEPOINT a")
        conn.execute(f"UPDATE events SET actor_id = 'undone' WHERE {SOME}", {"at": 0})
        append(conn, TENANT, actor="undone")
        conn.execute("SAVEPOINT b")
        conn.execute(f"DELETE FROM events WHERE {SOME}", {"at": 0})
        conn.execute("ROLLBACK TO a")
        append(conn, TENANT, actor=name)


def rolls_back(conn, name):
    with conn.transaction(force_rollback=True):
        conn.execute(f"DELETE FROM events WHERE {SOME}", {"at": 0})
        append(conn, TENANT, actor="undone")


def fails_half_way(conn, name):
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(f"INSERT INTO events ({COLUMNS}) SELECT gen_random_uuid(), '{uuid.UUID(int=9)}', 'Order', 'New',"
                     f" '{TENANT}', 'undone', n % 5, now(), '{{}}' FROM generate_series(1, 9) n")


def writes_large_and_strange_values(conn, name):
    for payload in ('{"long": "%s"}' % ("0123456789" * 200_000), '"\\\\ \\n \\t \\" ÿ € 𝄞"', "null", "1e400"):
        append(conn, TENANT, payload=payload, actor=name)
    conn.execute("UPDATE events SET actor_id = NULL WHERE actor_id = %s AND payload = 'null'", [name])


def takes_reserved_positions(conn, name):
    low = conn.execute(f"SELECT min(global_position) FROM events WHERE tenant_id = '{TENANT}'").fetchone()[0]
    for position in (low - 500, low - 501, -7):
        conn.execute(f"INSERT INTO events (global_position, {COLUMNS}) VALUES ({position}, {NEW})", {"act": name})


def has_its_own_settings(conn, name):
    with conn.transaction():
        for setting in ("DateStyle = 'SQL, DMY'", "bytea_output = escape", "extra_float_digits = -15",
                        "IntervalStyle = iso_8601", "TimeZone = 'Asia/Kathmandu'", "client_encoding = 'LATIN1'",
                        "search_path = pg_catalog, public"):
            conn.execute(f"SET LOCAL {setting}")
        append(conn, TENANT, payload='{"é": "à"}', actor=name)
        conn.execute(f"UPDATE public.events SET actor_id = %(act)s WHERE {SOME}", {"act": name, "at": 30})


ACTS = {
    "updates": run(f"UPDATE events SET actor_id = %(act)s, payload = '{{\"u\": 1}}' WHERE {SOME}"),
    "updates_keys": run(f"UPDATE events SET event_id = gen_random_uuid(), actor_id = %(act)s WHERE {SOME}"),
    "updates_a_key_and_back": run(
        f"CREATE TEMPORARY TABLE was ON COMMIT DROP AS SELECT event_id AS id, gen_random_uuid() AS other FROM events WHERE {SOME}",
        "UPDATE events SET event_id = other, actor_id = %(act)s FROM was WHERE event_id = id",
        "UPDATE events SET event_id = id FROM was WHERE event_id = other"),
    "updates_positions": run(
        f"UPDATE events SET global_position = global_position + 100000, actor_id = %(act)s WHERE {SOME}"),
    "deletes": run(f"DELETE FROM events WHERE {SOME}"),
    "deletes_and_writes_again": run(
        f"CREATE TEMPORARY TABLE again ON COMMIT DROP AS SELECT * FROM events WHERE {SOME}",
        "DELETE FROM events USING again WHERE events.event_id = again.event_id",
        f"INSERT INTO events ({COLUMNS}) SELECT event_id, aggregate_id, aggregate_type, 'Again', tenant_id, %(act)s,"
        " version, timestamp, payload FROM again"),
    "gives_away_and_takes_back": run(
        f"CREATE TEMPORARY TABLE lent ON COMMIT DROP AS SELECT event_id AS id FROM events WHERE {SOME}",
        f"UPDATE events SET tenant_id = '{OTHER}' FROM lent WHERE event_id = id",
        f"UPDATE events SET tenant_id = '{TENANT}', actor_id = %(act)s FROM lent WHERE event_id = id"),
    "gives_away_and_takes_over": run(
        f"UPDATE events SET tenant_id = '{OTHER}', actor_id = %(act)s WHERE {SOME}",
        f"UPDATE events SET tenant_id = '{TENANT}' WHERE tenant_id = '{OTHER}' AND version = 9"),
    "upserts": upserts,
    "merges": merges,
    "copies": copies,
    "rolls_back_to_a_savepoint": rolls_back_to_a_savepoint,
    "rolls_back": rolls_back,
    "fails_half_way": fails_half_way,
    "writes_large_and_strange_values": writes_large_and_strange_values,
    "takes_reserved_positions": takes_reserved_positions,
    "has_its_own_settings": has_its_own_settings,
}


@pytest.mark.parametrize("phase", PHASES)
def test_every_act(move, proxy, stores, phase):
    with connect(proxy, stores) as conn:
        for name, act in ACTS.items():          # before the tap stands, it is nobody's business
            if name in ("updates", "copies"):
                act(conn, f"{name} before")
        move.begin(phase)
        for name, act in ACTS.items():
            act(conn, name)
            if phase == "dual_write":
                move.equal()
        with stores.shared.connect(stores.dbname) as superuser:
            superuser.execute("SET session_replication_role = replica")    # an ENABLE ALWAYS trigger fires all the same
            append(superuser, TENANT, actor="replica")
    move.finish()
    undone = "SELECT count(*) FROM events WHERE actor_id = 'undone'"
    assert stores.dedicated.value(stores.dbname, undone) == 0


@pytest.mark.parametrize("phase", PHASES)
def test_cached_sequence_values_in_any_order(move, proxy, stores, phase):
    """CACHE 50: a session hands out low positions long after others have used higher ones."""
    stores.shared.execute(stores.dbname, "ALTER SEQUENCE events_global_position_seq CACHE 50")
    with connect(proxy, stores) as early, connect(proxy, stores) as late:
        low = append(early, TENANT)[1]
        high = append(late, TENANT)[1]
        move.begin(phase)
        assert low + 1 < append(late, TENANT)[1]
        assert append(early, TENANT)[1] < high
    assert move.finish() == EVENTS + 4


# --- prepared transactions --------------------------------------------------------------------------------------------

def prepare(conn, name):
    conn.execute("BEGIN")
    append(conn, TENANT, actor=name)
    conn.execute(f"PREPARE TRANSACTION '{name}'")


def test_prepared_before_the_start(move, proxy, stores):
    """Its row is older than the tap, and not committed yet: the tap waits for it."""
    with connect(proxy, stores) as conn:
        prepare(conn, "early")
        move.identity = proxy.start_migration(TENANT, "dedicated")
        wait_until("the log says who is in the way", lambda: "prepared transaction" in proxy.log(), 20)
        append(conn, TENANT)                    # nobody queues behind the tap
        conn.execute("COMMIT PREPARED 'early'")
        assert move.finish() == EVENTS + 2


@pytest.mark.parametrize("end, rows", [("COMMIT", 1), ("ROLLBACK", 0)])
@pytest.mark.parametrize("phase", PHASES)
def test_prepared_in_the_middle(move, proxy, stores, phase, end, rows):
    with connect(proxy, stores) as conn:
        move.begin(phase)
        prepare(conn, "middle")
        if phase == "bulk_copy":
            move.equal()                        # what is only prepared is in neither
        conn.execute(f"{end} PREPARED 'middle'")
        assert move.finish() == EVENTS + rows


def test_prepared_across_the_cutover(move, proxy, stores):
    """It holds the tenant's lock: no cutover passes it, and the one that tries says who was in the way."""
    move.begin("dual_write")
    with connect(proxy, stores) as conn:
        prepare(conn, "late")
        with pytest.raises(psycopg.Error) as refusal:
            proxy.admin(f"CUTOVER MIGRATION '{move.identity}' FORCE")
        said = " ".join(filter(None, (refusal.value.diag.message_primary, refusal.value.diag.message_detail,
                                      refusal.value.diag.message_hint)))
        assert "prepared" in said or "late" in said, said
        append(conn, TENANT)                    # taken back: the application never noticed
        conn.execute("COMMIT PREPARED 'late'")
        assert move.finish() == EVENTS + 2


# --- what no trigger sees ---------------------------------------------------------------------------------------------

# By event_id, so that it can be the key; some of what may come has no partition yet.
PARTITIONED = """
ALTER TABLE events RENAME TO whole;
CREATE TABLE events (LIKE whole INCLUDING DEFAULTS) PARTITION BY RANGE (event_id);
CREATE TABLE events_low PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('80000000-0000-0000-0000-000000000000');
CREATE TABLE events_high PARTITION OF events FOR VALUES FROM ('80000000-0000-0000-0000-000000000000') TO
  ('f0000000-0000-0000-0000-000000000000');
ALTER TABLE events ADD PRIMARY KEY (event_id);
CREATE INDEX ON events (tenant_id, global_position);
CREATE INDEX ON events (aggregate_id, aggregate_type, version);
INSERT INTO events SELECT * FROM whole WHERE event_id < 'f0000000-0000-0000-0000-000000000000';
CREATE TABLE spare (LIKE events INCLUDING DEFAULTS);
INSERT INTO spare SELECT * FROM whole WHERE event_id >= 'f0000000-0000-0000-0000-000000000000';
ALTER TABLE events OWNER TO events_owner; ALTER TABLE events_low OWNER TO events_owner;
ALTER TABLE events_high OWNER TO events_owner; ALTER TABLE spare OWNER TO events_owner;
GRANT ALL ON events, events_low, events_high TO app;
"""

# What is done, and what the migration says was changed.
ACCIDENTS = {
    "VACUUM FULL events": "rewritten",
    "ALTER TABLE events ALTER version TYPE bigint": "columns",
    "ALTER TABLE events ADD COLUMN more text": "columns",
    "ALTER TABLE events DROP COLUMN created_at": "columns",
    "TRUNCATE events": "truncated",
    "ALTER TABLE events DISABLE TRIGGER USER": "tap",
    "ALTER TABLE events DISABLE TRIGGER ALL": "tap",
    "ALTER TABLE events ENABLE TRIGGER USER": "tap",           # turns ALWAYS off
    "ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE events ENABLE TRIGGER ALL": "tap",
    "CREATE TABLE child () INHERITS (events)": "partitions",
}


def meets(move, proxy, stores, accident, told, hint="RESYNC MIGRATION"):
    """The accident happens; the migration pauses, says what was changed and what to type; clients go on."""
    for statement in accident.split("; "):
        stores.shared.execute(stores.dbname, statement)
    move.release()
    seen = proxy.wait_state(move.identity, "paused")
    assert told in seen["error_message"], seen
    assert seen["error_recoverability"] == "recoverable"
    assert hint in str(proxy.admin(f"SHOW AUDIT '{move.identity}'"))
    assert proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]["store_id"] == "shared"


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_an_accident_while_rows_are_mirrored(move, proxy, stores, accident):
    move.begin("dual_write")
    meets(move, proxy, stores, accident, ACCIDENTS[accident])
    with connect(proxy, stores) as conn:
        append(conn, TENANT)


@pytest.mark.parametrize("accident", ["ALTER TABLE events ENABLE TRIGGER USER",
                                      "ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE events ENABLE TRIGGER ALL"])
def test_an_accident_in_the_middle_of_the_copy(move, proxy, stores, accident):
    """Without a lock: a transaction of the copy would be waited for. The snapshot that is being read does not know it."""
    move.begin("bulk_copy")
    meets(move, proxy, stores, accident, ACCIDENTS[accident], "PURGE TARGET, then START again")
    proxy.admin(f"ABORT MIGRATION '{move.identity}' PURGE TARGET")
    move.identity = proxy.start_migration(TENANT, "dedicated")
    assert move.equal() == EVENTS


PARTITION_ACCIDENTS = {
    "ALTER TABLE events ATTACH PARTITION spare FOR VALUES FROM ('f0000000-0000-0000-0000-000000000000') TO (MAXVALUE)":
        "partitions",
    "CREATE TABLE events_new PARTITION OF events DEFAULT": "partitions",
    "ALTER TABLE events DETACH PARTITION events_low": "partitions",
    "DROP TABLE events_low": "partitions",
    "TRUNCATE events_low": "truncated",
    "VACUUM FULL events_low": "rewritten",
}


@pytest.mark.parametrize("accident", PARTITION_ACCIDENTS, ids=lambda accident: " ".join(accident.split()[:5]))
def test_an_accident_to_a_partition(move, proxy, stores, accident):
    stores.shared.execute(stores.dbname, PARTITIONED)
    move.begin("dual_write")
    meets(move, proxy, stores, accident, PARTITION_ACCIDENTS[accident])


def test_rows_that_change_their_partition(move, proxy, stores):
    """From a source of partitions to a target without."""
    stores.shared.execute(stores.dbname, PARTITIONED)
    there = stores.counts(TENANT)[0]
    move.begin("dual_write")
    with connect(proxy, stores) as conn:
        swap = ("UPDATE events SET event_id = (CASE WHEN event_id < '80000000-0000-0000-0000-000000000000' THEN '9' ELSE '1' END"
                " || substr(event_id::text, 2))::uuid WHERE tenant_id = %s AND version < 4")
        assert conn.execute(swap, [TENANT]).rowcount > 10
        conn.execute("UPDATE events_low SET actor_id = 'by the partition' WHERE tenant_id = %s", [TENANT])
    assert move.finish() == there
