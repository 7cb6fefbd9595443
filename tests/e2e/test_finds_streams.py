"""The stream directory: a statement that names a stream and no tenant reaches the store where that stream's tenant lives;
where nobody can say whose it is, it gets an error and never another store's answer."""
import asyncio
import os
import socket
import threading
import uuid

import asyncpg
import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from events import append
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until

PORT = "current_setting('port')::int"
TYPE = "Order"
PROBE = f"SELECT coalesce(max(version), 0), {PORT} FROM events WHERE aggregate_id = %s AND aggregate_type = %s"


def total(proxy, name):
    return next(row["value"] for row in proxy.admin("SHOW TOTALS") if row["name"] == name)


def asked(proxy):
    """(streams that were remembered, streams that the stores were asked for)"""
    return total(proxy, "directory_hits"), total(proxy, "directory_misses")


@pytest.fixture
def streams(proxy, stores):
    """Streams of TENANT and of OTHER, three versions each; then TENANT moves. {tenant: [ids]}"""
    made = {TENANT: [uuid.uuid4() for _ in range(3)], OTHER: [uuid.uuid4() for _ in range(3)]}
    with connect(proxy, stores) as conn:
        for tenant, ids in made.items():
            for stream in ids:
                for version in (1, 2, 3):
                    append(conn, tenant, stream, version)
        for stream in made[TENANT] + made[OTHER]:      # nobody has moved: everything is at home, and nobody is asked
            assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (3, stores.shared.port)
    assert asked(proxy) == (0, 0)
    proxy.move(TENANT, "dedicated")
    return made


# --- reads ------------------------------------------------------------------------------------------------------------

FORMS = [
    PROBE,
    f"SELECT max(version), {PORT} FROM events e WHERE e.aggregate_id = %s AND e.aggregate_type = %s",
    f"SELECT 3, {PORT} FROM events WHERE (aggregate_id, aggregate_type) = (%s, %s) ORDER BY version DESC LIMIT 1",
    f"WITH s AS (SELECT * FROM events WHERE aggregate_id = %s AND aggregate_type = %s) SELECT count(*), {PORT} FROM s",
    f"SELECT count(*), {PORT} FROM events a JOIN events b ON a.aggregate_id = b.aggregate_id AND a.aggregate_type ="
    " b.aggregate_type AND a.version = b.version WHERE a.aggregate_id = %s AND b.aggregate_type = %s",
    f"SELECT version, {PORT} FROM events WHERE aggregate_id = %s AND aggregate_type = %s ORDER BY version DESC LIMIT 1"
    " FOR UPDATE",
]


@pytest.mark.parametrize("mark", ["%s", "%t", "%b"], ids=["open", "text", "binary"])
def test_a_stream_is_read_where_its_tenant_lives(proxy, stores, streams, app, mark):
    before = total(proxy, "unattributed")
    for form in FORMS:
        for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared), (TENANT, stores.dedicated)):
            for stream in streams[tenant]:
                assert app.execute(form.replace("%s", mark), (stream, TYPE)).fetchone() == (3, home.port), form
    assert total(proxy, "unattributed") == before


def test_through_asyncpg(proxy, stores, streams):
    """It asks for a statement's types before it names a value; and pipelines are kept in order."""
    async def story():
        conn = await asyncpg.connect(host=proxy.host, port=proxy.port, user=APP, password=APP_PASSWORD,
                                     database=stores.dbname, ssl=False)
        try:
            seen = []
            for tenant in (TENANT, OTHER, TENANT):
                for stream in streams[tenant]:
                    seen.append(tuple(await conn.fetchrow(
                        f"SELECT max(version), {PORT} FROM events WHERE aggregate_id = $1 AND aggregate_type = $2",
                        stream, TYPE)))
            return seen
        finally:
            await conn.close()
    away, home = (3, stores.dedicated.port), (3, stores.shared.port)
    assert asyncio.run(story()) == [away] * 3 + [home] * 3 + [away] * 3


def test_in_a_pipeline_answers_keep_their_order(proxy, stores, streams, app):
    order = [streams[OTHER][0], streams[TENANT][0], streams[OTHER][1], streams[TENANT][1], streams[TENANT][0]]
    with app.pipeline():
        cursors = [app.execute(PROBE, (stream, TYPE)) for stream in order]
        answers = [cursor.fetchone()[1] for cursor in cursors]
    home, away = stores.shared.port, stores.dedicated.port
    assert answers == [home, away, home, away, away]


def test_by_an_event_id(proxy, stores, moved, app):
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
        event_id, _ = append(app, tenant)
        found = app.execute(f"SELECT tenant_id, {PORT} FROM events WHERE event_id = %s", [event_id]).fetchone()
        assert found == (uuid.UUID(tenant), home.port)


def test_several_streams_in_one_statement(proxy, stores, streams, app):
    asking = f"SELECT count(*), max({PORT}) FROM events WHERE aggregate_type = 'Order' AND aggregate_id = ANY(%s)"
    assert app.execute(asking, [streams[TENANT]]).fetchone() == (9, stores.dedicated.port)
    assert app.execute(asking, [streams[OTHER] + [uuid.uuid4()]]).fetchone() == (9, stores.shared.port)
    with pytest.raises(psycopg.Error) as refusal:
        app.execute(asking, [streams[OTHER] + streams[TENANT]])
    assert refusal.value.sqlstate == "0A000" and "cross_store_statement" in str(refusal.value)


def test_where_clients_share_servers(make_proxy, stores):
    """pool_mode = transaction: look-ups have connections of their own, and a probe and its append one server for each store."""
    proxy = make_proxy(settings={"pgshunt": {"pool_mode": "transaction", "default_pool_size": 1, "workers": 1}}).start()
    known, new = {TENANT: uuid.uuid4(), OTHER: uuid.uuid4()}, {TENANT: uuid.uuid4(), OTHER: uuid.uuid4()}
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        for tenant, stream in known.items():
            append(one, tenant, stream)
        proxy.move(TENANT, "dedicated")
        for _ in range(2):
            for conn in (one, two):
                for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
                    assert conn.execute(PROBE, (known[tenant], TYPE)).fetchone() == (1, home.port)
        for lock in (PROBE, LOCK):
            for conn, tenant, home in ((one, TENANT, stores.dedicated), (two, OTHER, stores.shared)):
                stream = uuid.uuid4()
                with conn.transaction():
                    conn.execute(lock, (stream, TYPE))
                    append(conn, tenant, stream)
                assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (1, home.port)


def test_what_is_remembered_is_not_asked_again(make_proxy, stores):
    proxy = make_proxy(settings={"pgshunt": {"workers": 1}}).start()
    stream, other = uuid.uuid4(), uuid.uuid4()
    with connect(proxy, stores) as conn:
        for tenant, its in ((TENANT, stream), (OTHER, other)):
            append(conn, tenant, its)
        proxy.move(TENANT, "dedicated")
        for _ in range(5):
            assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (1, stores.dedicated.port)
            assert conn.execute(PROBE, (other, TYPE)).fetchone() == (1, stores.shared.port)
        hits, misses = asked(proxy)                    # a statement may be decided twice: it waited for a store
        assert hits >= 8 and misses == 2
        new = uuid.uuid4()                             # that nobody has it is true for one statement
        for _ in range(3):
            assert conn.execute(PROBE, (new, TYPE)).fetchone() == (0, stores.shared.port)
        assert asked(proxy) == (hits, 5)
        append(conn, TENANT, new)
        assert conn.execute(PROBE, (new, TYPE)).fetchone() == (1, stores.dedicated.port)


def test_a_commit_shows_whose_a_stream_is(make_proxy, stores):
    """What is written through the proxy is known from then on, and not before it has committed."""
    proxy = make_proxy(settings={"pgshunt": {"workers": 1}}).start()
    with connect(proxy, stores) as conn, connect(proxy, stores) as other:
        append(conn, TENANT)
        proxy.move(TENANT, "dedicated")
        made, undone, lost = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        with conn.transaction():
            append(conn, TENANT, made)
            assert conn.execute(PROBE, (made, TYPE)).fetchone() == (1, stores.dedicated.port)
            assert other.execute(PROBE, (made, TYPE)).fetchone() == (0, stores.shared.port)
        before = asked(proxy)[1]
        assert other.execute(PROBE, (made, TYPE)).fetchone() == (1, stores.dedicated.port)
        assert asked(proxy)[1] == before
        with conn.transaction():
            with pytest.raises(ZeroDivisionError), conn.transaction():
                append(conn, TENANT, undone)
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), conn.transaction():
            append(conn, TENANT, lost)
            raise ZeroDivisionError
        assert asked(proxy)[1] == before
        for stream in (undone, lost):                  # nobody has them: whoever says so was asked
            print(asked(proxy))
            assert other.execute(PROBE, (stream, TYPE)).fetchone() == (0, stores.shared.port)
        assert asked(proxy)[1] == before + 2
        append(other, OTHER, lost)
        assert conn.execute(PROBE, (lost, TYPE)).fetchone() == (1, stores.shared.port)


def test_a_stream_that_changes_hands(proxy, stores, streams, app):
    """Deleted, and written again by another tenant: every loop learns it."""
    stream = streams[TENANT][0]
    others = [connect(proxy, stores) for _ in range(6)]
    for conn in others:
        assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (3, stores.dedicated.port)
    stores.shared.execute(stores.dbname, "ALTER TABLE events DISABLE TRIGGER USER")        # as PURGE SOURCE will
    stores.shared.execute(stores.dbname, "DELETE FROM events WHERE aggregate_id = %s", [stream])
    app.execute("DELETE FROM events WHERE aggregate_id = %s AND aggregate_type = %s", (stream, TYPE))
    append(app, OTHER, stream)
    for conn in others:
        wait_until("the loop has heard of it", lambda: conn.execute(PROBE, (stream, TYPE)).fetchone()
                   == (1, stores.shared.port), 10, 0.05)
        conn.close()


def test_what_stands_around_must_not_contradict(proxy, stores, streams, app):
    app.execute(f"SET app.tenant_id = '{TENANT}'")
    assert app.execute(PROBE, (streams[TENANT][0], TYPE)).fetchone() == (3, stores.dedicated.port)
    assert app.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone() == (0, stores.dedicated.port)
    with pytest.raises(psycopg.Error) as refusal:
        app.execute(PROBE, (streams[OTHER][0], TYPE))
    assert refusal.value.sqlstate == "0A000" and "setting" in str(refusal.value)


# --- transactions -----------------------------------------------------------------------------------------------------

LEVELS = [psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ,
          psycopg.IsolationLevel.SERIALIZABLE]


@pytest.mark.parametrize("level", LEVELS, ids=[level.name.lower() for level in LEVELS])
def test_the_version_is_probed_then_the_event_appended(proxy, stores, streams, level):
    """As eventsource-py does it: no tenant in the probe. An old stream, then a new one of the tenant that has moved."""
    with connect(proxy, stores, autocommit=False) as conn:
        conn.isolation_level = level
        for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
            for stream in (streams[tenant][0], uuid.uuid4()):
                for _ in range(3):
                    version = conn.execute(PROBE, (stream, TYPE)).fetchone()[0]
                    append(conn, tenant, stream, version + 1)
                    assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (version + 1, home.port)
                    conn.commit()
                rows = home.value(stores.dbname, "SELECT count(*) FROM events WHERE aggregate_id = %s", [stream])
                assert rows == (6 if stream in streams[tenant] else 3)


LOCK = "SELECT version FROM events WHERE aggregate_id = %s AND aggregate_type = %s ORDER BY version DESC LIMIT 1 FOR UPDATE"


@pytest.mark.parametrize("level", LEVELS, ids=[level.name.lower() for level in LEVELS])
def test_a_lock_that_finds_nothing_binds_no_transaction(proxy, stores, streams, level):
    """The probe may lock what it finds. Of a new stream it finds nothing, at the default store; the event then goes
    where its tenant lives, and both ends of the transaction end with it."""
    with connect(proxy, stores, autocommit=False) as conn:
        conn.isolation_level = level
        for mark in ("%s", "%b"):
            for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
                stream = uuid.uuid4()
                for version in (1, 2):
                    found = conn.execute(LOCK.replace("%s", mark), (stream, TYPE)).fetchone()
                    assert found == (None if version == 1 else (version - 1,))
                    append(conn, tenant, stream, version)
                    conn.commit()
                rows = home.value(stores.dbname, "SELECT count(*) FROM events WHERE aggregate_id = %s", [stream])
                assert rows == 2
        stream = uuid.uuid4()
        with conn.pipeline():                          # nobody waits for the probe's answer
            assert conn.execute(LOCK, (stream, TYPE)).fetchone() is None
            conn.execute(LOCK, (stream, TYPE))
            append(conn, TENANT, stream)
        conn.rollback()
        conn.execute("SAVEPOINT a")
        conn.execute(LOCK, (stream, TYPE))
        conn.execute("ROLLBACK TO a")
        append(conn, TENANT, stream)
        conn.commit()
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM events WHERE aggregate_id = %s", [stream]) == 1


LOCKS = {
    "a row": (LOCK, 0),
    "a row that it skips": (LOCK.replace(" LIMIT 1", "").replace(" FOR", " OFFSET 1 FOR"), 0),
    "a row further in": ("SELECT 1 FROM (SELECT version FROM events WHERE aggregate_id = %s AND aggregate_type = %s"
                         " FOR UPDATE) s WHERE version < 0", 0),
    "a row, and says so later": (LOCK.replace(" LIMIT 1", ""), 1),
    "a table": ("LOCK TABLE events IN SHARE MODE", 0),
    "a key": ("SELECT pg_advisory_xact_lock(7) FROM events WHERE aggregate_id = %s AND aggregate_type = %s FOR UPDATE", 0),
}


@pytest.mark.parametrize("what", LOCKS, ids=[name.replace(" ", "_").replace(",", "") for name in LOCKS])
def test_a_lock_that_was_taken_binds_it(make_proxy, stores, what):
    """What may hold a lock is a writer: the other store's write is refused."""
    locking, limit = LOCKS[what]
    proxy = make_proxy(settings={"routing": {"unattributed_writes": "default_store"}}).start()
    stream = uuid.uuid4()
    with connect(proxy, stores) as conn:
        append(conn, OTHER, stream)
        append(conn, TENANT)
        proxy.move(TENANT, "dedicated")
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        client.send(wire.query("BEGIN"))
        client.until("Z")
        locking = locking.replace("%s", f"'{stream}'", 1).replace("%s", f"'{TYPE}'")
        client.send(wire.parse(locking) + wire.bind() + (wire.execute(rows=limit) if limit else b"") + wire.execute() +
                    wire.sync())
        assert [answer for answer in client.until("Z") if answer.kind == "E"] == []
        client.send(wire.query("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
                               f" timestamp, payload) VALUES (gen_random_uuid(), gen_random_uuid(), '{TYPE}', 'X',"
                               f" '{TENANT}', 1, now(), '{{}}')"))
        refusal = client.until("Z")[0].fields()
        assert refusal["C"] == "0A000" and refusal["M"].startswith("cross_store_transaction"), refusal


@pytest.mark.parametrize("level", LEVELS, ids=[level.name.lower() for level in LEVELS])
def test_a_move_between_probe_and_append(proxy, stores, level):
    stream, new = uuid.uuid4(), uuid.uuid4()
    with connect(proxy, stores) as conn:
        append(conn, TENANT, stream)
    with connect(proxy, stores, autocommit=False) as conn:
        conn.isolation_level = level
        assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (1, stores.shared.port)
        assert conn.execute(PROBE, (new, TYPE)).fetchone() == (0, stores.shared.port)
        proxy.move(TENANT, "dedicated")
        if level == psycopg.IsolationLevel.READ_COMMITTED:
            assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (1, stores.dedicated.port)
            append(conn, TENANT, stream, 2)
            append(conn, TENANT, new, 1)
            conn.commit()
            assert stores.counts(TENANT)[1] == 3
        else:
            assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (1, stores.shared.port)
            with pytest.raises(psycopg.Error) as refusal:
                append(conn, TENANT, stream, 2)
            assert refusal.value.sqlstate == "40001"
            conn.rollback()
            assert stores.counts(TENANT)[1] == 1


def test_a_transaction_reads_what_it_has_written(proxy, stores, streams):
    """The directory knows committed streams only; the transaction knows its own tenant."""
    with connect(proxy, stores, autocommit=False) as conn:
        stream = uuid.uuid4()
        append(conn, TENANT, stream)
        assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (1, stores.dedicated.port)
        conn.rollback()
        assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (0, stores.shared.port)


def test_a_transaction_about_several_tenants_means_none_of_them(proxy, stores, moved):
    """What names no tenant belongs to the transaction's, if there is one."""
    with connect(proxy, stores, autocommit=False) as conn:
        asking = f"SELECT {PORT} FROM events LIMIT 1"
        append(conn, TENANT)
        assert conn.execute(asking).fetchone()[0] == stores.dedicated.port
        conn.rollback()
        conn.execute("SELECT 1 FROM events WHERE tenant_id = %s LIMIT 1", [uuid.UUID(OTHER)])
        conn.execute("SELECT 1 FROM events WHERE tenant_id = %s LIMIT 1", [uuid.UUID(TENANT)])
        with pytest.raises(psycopg.Error) as refusal:
            conn.execute("UPDATE events SET actor_id = 'x' WHERE version = 1")
        assert refusal.value.sqlstate == "0A000" and "several tenants" in str(refusal.value)


# --- writes -----------------------------------------------------------------------------------------------------------

def test_a_stream_is_changed_and_deleted_where_it_lives(proxy, stores, streams, app):
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
        stream = streams[tenant][0]
        changed = app.execute(f"UPDATE events SET actor_id = 'x' WHERE aggregate_id = %s AND aggregate_type = %s"
                              f" RETURNING {PORT}", (stream, TYPE)).fetchall()
        assert changed == [(home.port,)] * 3
        assert app.execute("DELETE FROM events WHERE aggregate_id = %s AND aggregate_type = %s",
                           (stream, TYPE)).rowcount == 3
        assert home.value(stores.dbname, "SELECT count(*) FROM events WHERE aggregate_id = %s", [stream]) == 0
    assert app.execute("DELETE FROM events WHERE aggregate_id = %s AND aggregate_type = 'Order'",
                       [uuid.uuid4()]).rowcount == 0


# --- stores that cannot say -------------------------------------------------------------------------------------------

def test_a_store_that_might_know_is_down(proxy, stores, streams, app):
    stores.dedicated.stop()
    assert app.execute(PROBE, (streams[OTHER][0], TYPE)).fetchone() == (3, stores.shared.port)
    for stream in (streams[TENANT][0], uuid.uuid4()):
        with pytest.raises(psycopg.Error) as refusal:
            app.execute(PROBE, (stream, TYPE))
        assert refusal.value.sqlstate in ("08001", "57P01", "08006") and "dedicated" in str(refusal.value)
    assert app.execute(PROBE, (streams[OTHER][1], TYPE)).fetchone() == (3, stores.shared.port)
    stores.dedicated.start()
    new = uuid.uuid4()
    wait_until("the store is asked again", lambda: answer(app, new) == (0, stores.shared.port), 20, 0.1)
    assert app.execute(PROBE, (streams[TENANT][1], TYPE)).fetchone() == (3, stores.dedicated.port)


def answer(conn, stream):
    try:
        return conn.execute(PROBE, (stream, TYPE)).fetchone()
    except psycopg.Error as problem:
        return problem.sqlstate


def test_a_store_that_does_not_answer(make_proxy, stores):
    """In time there is an error; who cancels does not wait for it; who goes leaves nothing behind."""
    proxy = make_proxy(settings={"routing": {"directory_timeout_ms": 400}}).start()
    stream, other = uuid.uuid4(), uuid.uuid4()
    with connect(proxy, stores) as conn:
        append(conn, TENANT, stream)
        append(conn, OTHER, other)
        proxy.move(TENANT, "dedicated")
        assert conn.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone()[0] == 0
        stores.dedicated.freeze()
        try:
            with pytest.raises(psycopg.Error) as refusal:
                conn.execute(PROBE, (uuid.uuid4(), TYPE))
            assert refusal.value.sqlstate == "08001" and "store_unavailable" in str(refusal.value)
            assert conn.execute(PROBE, (other, TYPE)).fetchone() == (1, stores.shared.port)
        finally:
            stores.dedicated.thaw()
        new = uuid.uuid4()
        wait_until("the store is asked again", lambda: answer(conn, new) == (0, stores.shared.port), 20, 0.1)
        assert conn.execute(PROBE, (stream, TYPE)).fetchone() == (1, stores.dedicated.port)


def test_a_client_that_waits_for_the_directory_may_cancel(make_proxy, stores):
    proxy = make_proxy(settings={"routing": {"directory_timeout_ms": 60000}}).start()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        proxy.move(TENANT, "dedicated")
        assert conn.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone()[0] == 0
        stores.dedicated.freeze()
        try:
            waits = threading.Thread(target=cancel_when_it_waits, args=(proxy, conn))
            waits.start()
            with pytest.raises(psycopg.Error) as refusal:
                conn.execute(PROBE, (uuid.uuid4(), TYPE))
            assert refusal.value.sqlstate == "57014"
            waits.join()
            left = connect(proxy, stores)              # goes away while it waits
            gone = threading.Thread(target=close_when_it_waits, args=(proxy, left))
            gone.start()
            with pytest.raises(psycopg.Error):
                left.execute(PROBE, (uuid.uuid4(), TYPE))
            gone.join()
        finally:
            stores.dedicated.thaw()
        assert conn.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone() == (0, stores.shared.port)


def wait_for_the_directory(proxy):
    wait_until("a client waits for the directory",
               lambda: any("directory" in (row["waits_for"] or "") for row in clients(proxy)), 20, 0.05)


def clients(proxy):
    return [{**row, "waits_for": " ".join(str(value) for value in row.values())} for row in proxy.admin("SHOW CLIENTS")]


def cancel_when_it_waits(proxy, conn):
    wait_for_the_directory(proxy)
    conn.cancel()


def close_when_it_waits(proxy, conn):
    wait_for_the_directory(proxy)
    duplicate = socket.socket(fileno=os.dup(conn.fileno()))
    duplicate.shutdown(socket.SHUT_RDWR)
    duplicate.close()


def test_the_connection_for_look_ups_is_made_again(proxy, stores, streams, app):
    """Its store restarts, its backend is ended, the table changes: the next look-up works."""
    ending = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
              " WHERE application_name = 'pgshunt stream directory'")
    assert app.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone() == (0, stores.shared.port)
    for cluster in (stores.shared, stores.dedicated):
        assert cluster.value(stores.dbname, ending) >= 1
    assert app.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone() == (0, stores.shared.port)
    assert app.execute(PROBE, (streams[TENANT][0], TYPE)).fetchone() == (3, stores.dedicated.port)
    stores.dedicated.stop()
    stores.dedicated.start()
    assert app.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone() == (0, stores.shared.port)
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, "ALTER TABLE events ALTER aggregate_type TYPE text")
    assert app.execute(PROBE, (uuid.uuid4(), TYPE)).fetchone() == (0, stores.shared.port)
    proxy.admin("RELOAD")
    assert app.execute(PROBE, (streams[TENANT][0], TYPE)).fetchone() == (3, stores.dedicated.port)


# --- where a stream does not tell a tenant ----------------------------------------------------------------------------

def test_a_unique_key_with_the_tenant_in_it_tells_nothing(proxy, stores, streams, app):
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, "ALTER TABLE events DROP CONSTRAINT uq_events_aggregate_version,"
                        " ADD UNIQUE (tenant_id, aggregate_id, aggregate_type, version)")
    asking = f"EXPLAIN ROUTE UPDATE events SET actor_id = 'x' WHERE aggregate_id = '{streams[TENANT][0]}'" \
             " AND aggregate_type = 'Order'"
    wait_until("the columns have been read again",
               lambda: "several tenants" in str(proxy.admin(asking)), 20, 0.1)
    with pytest.raises(psycopg.Error) as refusal:
        app.execute("UPDATE events SET actor_id = 'x' WHERE aggregate_id = %s AND aggregate_type = %s",
                    (streams[TENANT][0], TYPE))
    assert refusal.value.sqlstate == "0A000" and "several tenants" in str(refusal.value)


def test_the_connections_to_ask_are_there_before_the_switch(proxy, stores):
    """A tenant in dual_write is about to live elsewhere: its first look-up behind the switch waits for no login. When it
    stays after all, they go."""
    stores.fill({TENANT: 50, OTHER: 20})
    asking = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
              " AND application_name = 'pgshunt stream directory'")

    def opened():
        return [cluster.value(stores.dbname, asking) for cluster in (stores.shared, stores.dedicated)]
    assert opened() == [0, 0]
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    wait_until("every loop has one to each store", lambda: opened() == [2, 2], 10)
    proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
    wait_until("nobody has one any more", lambda: opened() == [0, 0], 10)
