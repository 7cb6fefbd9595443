"""Tables that move with the event table: an outbox with a sequence of its own, snapshots that are found through their
events, emmett's and Marten's streams. Their rows are copied, follow every change, are compared, and live in one store."""
import re
import threading
import uuid

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import append

OUTBOX = f"""
SET ROLE {eventstore.OWNER};
CREATE TABLE event_outbox (id bigserial PRIMARY KEY, event_id uuid NOT NULL, tenant_id uuid, payload jsonb,
                           published_at timestamptz);
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON event_outbox TO {eventstore.APP};
GRANT USAGE, SELECT ON SEQUENCE event_outbox_id_seq TO {eventstore.APP};
"""
SNAPSHOTS = f"""
SET ROLE {eventstore.OWNER};
CREATE TABLE snapshots (aggregate_id uuid, aggregate_type varchar(255), version int, state jsonb,
                        PRIMARY KEY (aggregate_id, aggregate_type));
GRANT SELECT, INSERT, UPDATE, DELETE ON snapshots TO {eventstore.APP};
"""
DECLARED = {"events": {"companion_tables": "event_outbox(key = id),"
                                           " snapshots(parent = events, on = aggregate_type aggregate_id)"}}


@pytest.fixture
def shop(stores, make_proxy):
    for store in (stores.shared, stores.dedicated):
        store.execute(stores.dbname, OUTBOX)
        store.execute(stores.dbname, SNAPSHOTS)
    return make_proxy(settings=DECLARED).start()


def emit(conn, tenant, stream=None, version=1):
    """An event and its outbox row, in one transaction, as the library does it."""
    with conn.transaction():
        event_id, _ = append(conn, tenant, stream=stream, version=version)
        conn.execute("INSERT INTO event_outbox (event_id, tenant_id, payload) VALUES (%s, %s, '{}')",
                     [event_id, uuid.UUID(tenant)])
    return event_id


def snapshot(conn, stream, version):
    conn.execute("INSERT INTO snapshots VALUES (%s, 'Order', %s, '{}') ON CONFLICT (aggregate_id, aggregate_type)"
                 " DO UPDATE SET version = excluded.version", [stream, version])


def test_ids_that_others_are_given_are_not_brought_along(shop, stores):
    """In a store of several tenants the outbox's ids come from its own sequence: one of theirs would be met one day."""
    stores.fill({TENANT: 10})
    with pytest.raises(psycopg.errors.FeatureNotSupported, match='"event_outbox" keeps column "id"'):
        shop.start_migration(TENANT, "dedicated", "position_mode = assign")
    assert shop.admin("SHOW MIGRATIONS ALL") == []


def rows(store, stores, table, columns="*", where="true"):
    return store.rows(stores.dbname, f"SELECT {columns} FROM {table} WHERE {where} ORDER BY 1")


def of_tenant(tenant):
    return (f"EXISTS (SELECT FROM events e WHERE e.aggregate_id = snapshots.aggregate_id AND e.tenant_id = '{tenant}')")


def assert_same(stores, tenant=TENANT):
    for table, where in (("event_outbox", f"tenant_id = '{tenant}'"), ("snapshots", of_tenant(tenant))):
        assert rows(stores.shared, stores, table, where=where) == rows(stores.dedicated, stores, table, where=where), table


def test_companions_are_copied_mirrored_and_switched(shop, stores):
    stream, others = uuid.uuid4(), uuid.uuid4()
    with stores.shared.connect(stores.dbname) as direct, connect(shop, stores) as conn:
        for version in range(1, 8):
            emit(direct, TENANT, stream, version)
        emit(direct, OTHER, others)
        snapshot(direct, stream, 7)
        snapshot(direct, others, 1)
        identity = shop.start_migration(TENANT, "dedicated", "batch_size = 3")
        shop.wait_state(identity, "dual_write")
        # every kind of change, and one that nobody's statement names: a cascade's, a tenant's
        emit(conn, TENANT, stream, 8)
        direct.execute("UPDATE event_outbox SET published_at = now() WHERE tenant_id = %s AND id %% 2 = 0",
                       [uuid.UUID(TENANT)])
        direct.execute("DELETE FROM event_outbox WHERE tenant_id = %s AND id %% 3 = 0", [uuid.UUID(TENANT)])
        direct.execute("UPDATE event_outbox SET tenant_id = %s WHERE id = 1", [uuid.UUID(OTHER)])
        direct.execute("UPDATE event_outbox SET tenant_id = %s WHERE tenant_id = %s AND id > 7",
                       [uuid.UUID(TENANT), uuid.UUID(OTHER)])
        snapshot(direct, stream, 8)
        later = uuid.uuid4()  # a snapshot whose events come later
        snapshot(direct, later, 1)
        append(direct, TENANT, stream=later)
        shop.wait_cutover_ready(identity)
        assert_same(stores)
        assert len(rows(stores.dedicated, stores, "snapshots")) == 2
        shop.cutover(identity)
        given = stores.shared.value(stores.dbname, "SELECT last_value FROM event_outbox_id_seq")
        emit(conn, TENANT, stream, 9)
        assert conn.execute("SELECT max(id) FROM event_outbox WHERE tenant_id = %s", [uuid.UUID(TENANT)]).fetchone()[0] > given
        assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM event_outbox WHERE event_id IN"
                                      f" (SELECT event_id FROM events WHERE tenant_id = '{TENANT}' AND version = 9)") == 1
        with pytest.raises(psycopg.Error, match="tenant_lives_elsewhere|tenant_moved"):
            direct.execute("INSERT INTO event_outbox (event_id, tenant_id) VALUES (%s, %s)",
                           [uuid.uuid4(), uuid.UUID(TENANT)])
        emit(direct, OTHER, others, 2)  # nobody else is refused
        snapshot(direct, others, 2)
    shop.assert_clean_log()


def test_a_relay_publishes_every_row_once(shop, stores):
    """It reads what is not published through pgshunt, publishes, and deletes: before, while and after the tenant moves."""
    published, stop, problems = [], threading.Event(), []

    def relay():
        with connect(shop, stores) as conn:
            while True:
                last = stop.is_set()
                with conn.transaction():
                    found = conn.execute("DELETE FROM event_outbox WHERE tenant_id = %s RETURNING event_id",
                                         [uuid.UUID(TENANT)]).fetchall()
                    published.extend(row[0] for row in found)
                if last:
                    return
                stop.wait(0.005)

    def guarded():
        try:
            relay()
        except psycopg.Error as problem:
            problems.append(problem)

    emitted = []
    with connect(shop, stores) as conn:
        emitted += [emit(conn, TENANT) for _ in range(20)]
        thread = threading.Thread(target=guarded)
        thread.start()
        identity = shop.start_migration(TENANT, "dedicated", "batch_size = 5")
        while shop.state(identity) != "dual_write":
            emitted.append(emit(conn, TENANT))
        emitted += [emit(conn, TENANT) for _ in range(20)]
        shop.wait_cutover_ready(identity)
        shop.cutover(identity)
        emitted += [emit(conn, TENANT) for _ in range(20)]
        stop.set()
        thread.join(30)
    assert not problems
    assert sorted(published) == sorted(emitted)


STREAMS = f"""
SET ROLE {eventstore.OWNER};
CREATE TABLE mt_streams (tenant_id uuid, id uuid, type text, version int NOT NULL, PRIMARY KEY (tenant_id, id));
GRANT SELECT, INSERT, UPDATE, DELETE ON mt_streams TO {eventstore.APP};
CREATE FUNCTION note_stream() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO mt_streams VALUES (NEW.tenant_id, NEW.aggregate_id, NEW.aggregate_type, NEW.version)
  ON CONFLICT (tenant_id, id) DO UPDATE SET version = excluded.version;
  RETURN NULL;
END $$;
CREATE TRIGGER note_stream AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION note_stream();
"""


def test_streams_that_an_append_updates_follow(make_proxy, stores):
    """As Marten's and emmett's appends do it: no statement of the application names the streams' table."""
    for store in (stores.shared, stores.dedicated):
        store.execute(stores.dbname, STREAMS)
    shop = make_proxy(settings={"events": {"companion_tables": "mt_streams"}}).start()
    stream, versions = uuid.uuid4(), iter(range(1, 100))
    with connect(shop, stores) as conn:
        for _ in range(5):
            append(conn, TENANT, stream, next(versions))
        append(conn, OTHER)
        identity = shop.start_migration(TENANT, "dedicated", "batch_size = 2")
        shop.wait_state(identity, "dual_write")
        for _ in range(5):
            append(conn, TENANT, stream, next(versions))
        append(conn, TENANT)
        shop.wait_cutover_ready(identity)
        where = f"tenant_id = '{TENANT}'"
        assert (rows(stores.shared, stores, "mt_streams", "id, tenant_id, type, version", where)
                == rows(stores.dedicated, stores, "mt_streams", "id, tenant_id, type, version"))
        shop.cutover(identity)
        append(conn, TENANT, stream, next(versions))
    assert stores.dedicated.value(stores.dbname, f"SELECT version FROM mt_streams WHERE id = '{stream}'") == 11


def test_a_companion_that_differs_stops_a_start(make_proxy, stores):
    stores.shared.execute(stores.dbname, OUTBOX)
    stores.dedicated.execute(stores.dbname, OUTBOX.replace("payload jsonb", "payload text"))
    shop = make_proxy(settings={"events": {"companion_tables": "event_outbox"}}).start()
    with connect(shop, stores) as conn:
        emit(conn, TENANT)
    with pytest.raises(psycopg.errors.DatatypeMismatch, match="payload.*jsonb"):
        shop.start_migration(TENANT, "dedicated")


def test_rows_that_are_in_the_way_are_named(shop, stores):
    stores.dedicated.execute(stores.dbname, "INSERT INTO event_outbox (event_id, tenant_id) VALUES (%s, %s)",
                             [uuid.uuid4(), uuid.UUID(TENANT)])
    with connect(shop, stores) as conn:
        emit(conn, TENANT)
    with pytest.raises(psycopg.Error, match="1 rows of tenant .*event_outbox"):
        shop.start_migration(TENANT, "dedicated")


def test_purge_takes_companions_along(shop, stores):
    stream = uuid.uuid4()
    with connect(shop, stores) as conn, stores.shared.connect(stores.dbname) as direct:
        emit(conn, TENANT, stream)
        snapshot(direct, stream, 1)
        identity = shop.start_migration(TENANT, "dedicated")
        shop.wait_state(identity, "dual_write")
        shop.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
        for table in ("events", "event_outbox", "snapshots"):
            assert rows(stores.dedicated, stores, table) == [], table
        assert stores.shared.value(stores.dbname, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgshunt_tap%'") == 0
        identity = shop.start_migration(TENANT, "dedicated")
        shop.wait_state(identity, "dual_write")
    assert_same(stores)


@pytest.mark.parametrize("change, hidden", [
    ("ALTER TABLE event_outbox ADD surprise int", "event_outbox.*has changed"),
    ("ALTER TABLE event_outbox DISABLE TRIGGER USER", "tap on .* has changed"),
    ("TRUNCATE event_outbox", "event_outbox.*truncated|event_outbox.*has changed"),
])
def test_what_no_trigger_sees_of_a_companion_pauses(shop, stores, change, hidden):
    with connect(shop, stores) as conn:
        emit(conn, TENANT)
        identity = shop.start_migration(TENANT, "dedicated")
        shop.wait_state(identity, "dual_write")
        stores.shared.execute(stores.dbname, change)
        shop.wait_state(identity, "paused")
    assert re.search(hidden, shop.migration(identity)["error_message"])
