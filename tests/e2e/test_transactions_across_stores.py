"""A transaction whose rows live in two stores: it may read in both and write in one, and ends in both as one. TENANT
has moved to dedicated; OTHER and the tables of no tenant have stayed in shared."""
import asyncio
import contextlib
import os
import signal
import threading
import time
import uuid

import asyncpg
import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from events import INSERT, append
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until

HERE, AWAY = 0, 1                      # indexes of stores.counts()
PORT = "current_setting('port')::int"


@pytest.fixture
def prices(stores, moved):
    """A table of no tenant, with a deferred constraint, which the application may use."""
    stores.shared.execute(stores.dbname, "CREATE TABLE prices (item text PRIMARY KEY DEFERRABLE INITIALLY DEFERRED,"
                                         " cents int); INSERT INTO prices VALUES ('tea', 350);"
                                         "GRANT ALL ON prices TO app")
    return stores


def count(conn, tenant):
    return conn.execute("SELECT count(*) FROM events WHERE tenant_id = %s", [uuid.UUID(tenant)]).fetchone()[0]


def where(conn, tenant):
    return conn.execute(f"SELECT {PORT} FROM events WHERE tenant_id = %s LIMIT 1", [uuid.UUID(tenant)]).fetchone()[0]


def refusal(conn, statement, parameters=None):
    with pytest.raises(psycopg.Error) as refused:
        conn.execute(statement, parameters)
    return refused.value.sqlstate, refused.value.diag.message_primary


def refused_append(conn, tenant):
    return refusal(conn, INSERT, (uuid.uuid4(), uuid.uuid4(), uuid.UUID(tenant), "story", 1, "{}"))


def insert_text(tenant, version=1, stream=None):
    return ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
            f" VALUES (gen_random_uuid(), '{stream or uuid.uuid4()}', 'O', 'P', '{tenant}', {version}, now(), '{{}}')")


def idle_in_transaction(stores, cluster):
    return cluster.value("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename = 'app'"
                                     " AND state LIKE 'idle in transaction%%'", [stores.dbname])


def assert_nothing_open(stores):
    for cluster in (stores.shared, stores.dedicated):
        wait_until("no transaction is left open", lambda: idle_in_transaction(stores, cluster) == 0)


# --- reading here, writing there --------------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_reads_of_default_tables_stand_beside_writes_of_the_moved_tenant(prices, app, end):
    app.execute("BEGIN")
    assert app.execute("SELECT cents FROM prices").fetchone() == (350,)
    append(app, TENANT)
    assert app.execute("SELECT cents FROM prices").fetchone() == (350,)
    append(app, TENANT)
    assert count(app, TENANT) == 202
    assert app.execute(end).statusmessage == end
    assert prices.counts(TENANT)[AWAY] == (202 if end == "COMMIT" else 200)
    assert_nothing_open(prices)
    assert app.execute("SELECT cents FROM prices").fetchone() == (350,)


@pytest.mark.parametrize("reads, writes, column", [(OTHER, TENANT, AWAY), (TENANT, OTHER, HERE)])
def test_one_tenant_is_read_and_the_other_written(stores, moved, app, reads, writes, column):
    seen = count(app, writes)
    with app.transaction():
        assert count(app, reads) > 0
        append(app, writes)
        assert count(app, reads) > 0
    assert stores.counts(writes)[column] == seen + 1
    assert_nothing_open(stores)


def test_a_transaction_begun_before_the_move_joins_the_new_store(proxy, stores, app):
    stores.fill({TENANT: 50, OTHER: 20})
    app.execute("BEGIN")
    app.execute("SET LOCAL work_mem = '7MB'")
    assert where(app, OTHER) == stores.shared.port
    proxy.move(TENANT, "dedicated")
    append(app, TENANT)
    assert app.execute("SHOW work_mem").fetchone() == ("7MB",)
    assert count(app, OTHER) == 20
    app.execute("COMMIT")
    assert stores.counts(TENANT)[AWAY] == 51
    assert_nothing_open(stores)


def test_settings_made_in_one_branch_hold_in_the_others(stores, moved, app):
    show = "SELECT current_setting('work_mem') FROM events WHERE tenant_id = %s LIMIT 1"
    for end, later in (("ROLLBACK", "4MB"), ("COMMIT", "9MB")):
        app.execute("BEGIN")
        assert where(app, OTHER) != where(app, TENANT)
        app.execute("SET work_mem = '9MB'")                            # sent where TENANT lives
        for tenant in (OTHER, TENANT, OTHER):
            assert app.execute(show, [uuid.UUID(tenant)]).fetchone() == ("9MB",)
        app.execute(end)
        for tenant in (OTHER, TENANT):
            assert app.execute(show, [uuid.UUID(tenant)]).fetchone() == (later,)
    app.execute("RESET work_mem")
    for tenant in (OTHER, TENANT):
        assert app.execute(show, [uuid.UUID(tenant)]).fetchone() == ("4MB",)


# --- a second store that would write ----------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_second_store_that_would_write_is_refused_and_nothing_is_committed(prices, app, end):
    app.execute("BEGIN")
    app.execute("UPDATE prices SET cents = 1")
    assert count(app, TENANT) == 200
    state, message = refused_append(app, TENANT)
    assert state == "0A000" and message.startswith("cross_store_transaction")
    assert refusal(app, "SELECT 1")[0] == "25P02"
    assert refusal(app, "SELECT cents FROM prices")[0] == "25P02"
    assert app.execute(end).statusmessage == "ROLLBACK"
    assert app.execute("SELECT cents FROM prices").fetchone() == (350,)
    assert prices.counts(TENANT)[AWAY] == 200
    assert_nothing_open(prices)


def test_in_a_pipeline_nothing_of_it_is_committed(prices, proxy):
    """An implicit transaction: until the Sync both writes are one."""
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, prices.dbname)
        client.send(b"".join(wire.parse(text) + wire.bind() + wire.execute() for text in
                             ("UPDATE prices SET cents = 1", f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'",
                              insert_text(TENANT), "SELECT 1")) + wire.sync() + wire.query("SELECT cents FROM prices"))
        answers = client.until("Z")
        assert [answer.kind for answer in answers] == list("12C12DCEZ")
        assert answers[-2].fields()["C"] == "0A000" and answers[-1].body == b"I"
        assert client.until("Z")[1].values() == [b"350"]
    assert prices.counts(TENANT)[AWAY] == 200
    assert_nothing_open(prices)


def test_a_write_undone_by_rollback_to_savepoint_does_not_count(prices, app):
    app.execute("BEGIN")
    app.execute("SAVEPOINT before")
    app.execute("UPDATE prices SET cents = 1")
    assert refused_append(app, TENANT)[0] == "0A000"
    app.execute("ROLLBACK TO before")
    append(app, TENANT)
    app.execute("COMMIT")
    assert prices.counts(TENANT)[AWAY] == 201
    assert app.execute("SELECT cents FROM prices").fetchone() == (350,)


# --- savepoints -------------------------------------------------------------------------------------------------------

def test_savepoints_are_the_same_in_every_branch(stores, moved, app):
    app.execute("BEGIN")
    append(app, TENANT)
    app.execute("SAVEPOINT one")
    append(app, TENANT)
    assert count(app, OTHER) == 100                                    # joins behind the savepoint
    app.execute("SAVEPOINT two")
    assert refusal(app, f"SELECT 1/0 FROM events WHERE tenant_id = '{OTHER}'")[0] == "22012"
    assert refusal(app, "SELECT 1")[0] == "25P02"
    app.execute("ROLLBACK TO two")
    assert (count(app, OTHER), count(app, TENANT)) == (100, 202)
    append(app, TENANT)
    app.execute("ROLLBACK TO one")
    assert (count(app, TENANT), count(app, OTHER)) == (201, 100)
    assert refusal(app, f"SELECT 1/0 FROM events WHERE tenant_id = '{OTHER}'")[0] == "22012"
    app.execute("ROLLBACK TO one")                                     # said by a branch that joined behind it
    append(app, TENANT)
    app.execute("RELEASE one")
    assert count(app, OTHER) == 100
    assert refusal(app, "ROLLBACK TO one")[0] == "3B001"
    app.execute("ROLLBACK")
    assert stores.counts(TENANT)[AWAY] == 200
    assert_nothing_open(stores)


def test_a_savepoint_released_and_made_again(stores, moved, app):
    app.execute("BEGIN")
    for _ in range(3):
        for tenant in (TENANT, OTHER):
            app.execute("SAVEPOINT s")
            assert count(app, tenant) > 0
            app.execute("RELEASE s")
    app.execute("SAVEPOINT s")
    append(app, TENANT)
    app.execute("SAVEPOINT s")
    append(app, TENANT)
    assert count(app, OTHER) == 100
    app.execute("ROLLBACK TO s")
    app.execute("RELEASE s")
    assert count(app, TENANT) == 201
    app.execute("ROLLBACK TO s")
    assert count(app, TENANT) == 200
    app.execute("RELEASE s")
    assert refusal(app, "RELEASE s")[0] == "3B001"
    assert app.execute("COMMIT").statusmessage == "ROLLBACK"


# --- how it ends ------------------------------------------------------------------------------------------------------

def test_a_commit_that_fails_fails_as_a_whole(prices, app):
    app.execute("BEGIN")
    assert count(app, TENANT) == 200
    app.execute("INSERT INTO prices VALUES ('tea', 1)")                # a deferred constraint
    app.execute("SAVEPOINT a")
    assert count(app, TENANT) == 200
    assert refusal(app, "COMMIT")[0] == "23505"
    assert app.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert_nothing_open(prices)
    assert count(app, TENANT) == 200


def test_an_error_in_a_reading_branch_rolls_the_writing_one_back(stores, moved, app):
    app.execute("BEGIN")
    append(app, TENANT)
    assert refusal(app, f"SELECT 1/0 FROM events WHERE tenant_id = '{OTHER}'")[0] == "22012"
    assert refusal(app, f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'")[0] == "25P02"
    assert app.execute("COMMIT").statusmessage == "ROLLBACK"
    assert stores.counts(TENANT)[AWAY] == 200
    assert_nothing_open(stores)


def test_chained_transactions(stores, moved, app):
    app.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    append(app, TENANT)
    assert count(app, OTHER) == 100
    app.execute("COMMIT AND CHAIN")
    assert stores.counts(TENANT)[AWAY] == 201
    append(app, OTHER)                                                 # another writing branch than before
    assert count(app, TENANT) == 201
    assert app.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)
    app.execute("ROLLBACK AND CHAIN")
    assert count(app, OTHER) == 100
    app.execute("COMMIT")
    assert (stores.counts(OTHER)[HERE], stores.counts(TENANT)[AWAY]) == (100, 201)
    assert_nothing_open(stores)


def test_under_serializable_a_branch_that_cannot_commit_fails_the_whole(prices, app, proxy):
    """Write skew in shared, where what the transaction wrote has been rolled back to a savepoint: PostgreSQL remembers
    it all the same, and says so at COMMIT. What was written in dedicated must not be committed then."""
    app.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
    assert app.execute("SELECT cents FROM prices").fetchone() == (350,)
    with connect(proxy, prices) as other:
        other.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        assert count(other, OTHER) == 100
        app.execute("SAVEPOINT a")
        app.execute("UPDATE events SET actor_id = 'x' WHERE tenant_id = %s", [uuid.UUID(OTHER)])
        app.execute("ROLLBACK TO a")
        append(app, TENANT)
        other.execute("UPDATE prices SET cents = 351")
        other.execute("COMMIT")
    assert refusal(app, "COMMIT")[0] == "40001"
    assert app.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert prices.counts(TENANT)[AWAY] == 200
    assert_nothing_open(prices)
    append(app, TENANT)
    assert prices.counts(TENANT)[AWAY] == 201


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_prepared_transaction_is_found_by_its_name(prices, proxy, app, end):
    """By whatever session, after a restart of the proxy too: the stores are asked."""
    app.execute("BEGIN")
    assert app.execute("SELECT cents FROM prices").fetchone() == (350,)
    append(app, TENANT)
    app.execute("PREPARE TRANSACTION 'it''s away'")
    assert_nothing_open(prices)
    app.execute("BEGIN")
    app.execute("UPDATE prices SET cents = 351")
    assert count(app, TENANT) == 200
    app.execute("PREPARE TRANSACTION 'here'")
    assert_nothing_open(prices)
    app.close()
    proxy.stop()
    proxy.start()
    with connect(proxy, prices) as later:
        assert refusal(later, f"{end} PREPARED 'nobody'")[0] == "42704"
        later.execute(f"{end} PREPARED 'it''s away'")
        assert refusal(later, f"{end} PREPARED 'it''s away'")[0] == "42704"
        later.execute(f"{end} PREPARED 'here'", prepare=True)
        assert count(later, TENANT) == (201 if end == "COMMIT" else 200)
        assert later.execute("SELECT cents FROM prices").fetchone() == (351 if end == "COMMIT" else 350,)
    for cluster in (prices.shared, prices.dedicated):
        assert cluster.value(prices.dbname, "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()") == 0


# --- lost servers -----------------------------------------------------------------------------------------------------

def terminate(stores, cluster):
    """Every backend of the application in that store, and nothing else."""
    cluster.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                                " AND usename = 'app'", [stores.dbname])


@pytest.mark.parametrize("lost", ["reading", "writing"])
def test_a_lost_branch_loses_the_transaction(stores, moved, app, lost):
    app.execute("BEGIN")
    append(app, TENANT)
    assert count(app, OTHER) == 100
    terminate(stores, stores.shared if lost == "reading" else stores.dedicated)
    wait_until("the other branch is rolled back", lambda: idle_in_transaction(stores, stores.shared) == 0
               and idle_in_transaction(stores, stores.dedicated) == 0)
    state, _ = refusal(app, "COMMIT")
    assert state in ("57P01", "08006")
    assert app.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert stores.counts(TENANT)[AWAY] == 200
    assert count(app, TENANT) == 200 and count(app, OTHER) == 100      # the session goes on


@pytest.mark.parametrize("lost", ["reading", "writing"])
def test_a_store_lost_between_the_ends_of_a_serializable_transaction(stores, moved, app, lost):
    """The reading branch is asked to end first, and its backend is halted there: either store is lost meanwhile. The
    writing one must not be told COMMIT, and nobody may hear that it was."""
    app.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
    append(app, TENANT)
    assert count(app, OTHER) == 100
    (halted,), = stores.shared.rows("postgres", "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = 'app'"
                                    " AND state = 'idle in transaction'", [stores.dbname])
    os.kill(halted, signal.SIGSTOP)
    told = []
    commit = threading.Thread(target=lambda: told.append(refusal(app, "COMMIT")))
    try:
        commit.start()
        time.sleep(0.5)
        assert not told, "the reading branch ends first"
        if lost == "writing":
            terminate(stores, stores.dedicated)
            wait_until("it is gone", lambda: idle_in_transaction(stores, stores.dedicated) == 0)
        else:
            stores.shared.kill()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(halted, signal.SIGCONT)
    commit.join(20)
    if lost == "reading":
        stores.shared.start()
    assert told and told[0][0] in ("57P01", "57P02", "08006", "08007"), told
    assert app.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    wait_until("nothing is left open", lambda: idle_in_transaction(stores, stores.dedicated) == 0)
    assert stores.counts(TENANT)[AWAY] == 200
    assert count(app, TENANT) == 200 and count(app, OTHER) == 100      # the session goes on


def test_a_commit_whose_answer_is_lost_is_in_doubt(stores, moved, app):
    """The constraint trigger holds the COMMIT up; its backend is killed meanwhile."""
    stores.dedicated.execute(stores.dbname, """
        CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.actor_id = 'slow') EXECUTE FUNCTION linger()""")
    app.execute("BEGIN")
    assert count(app, OTHER) == 100
    append(app, TENANT, actor="slow")

    def committing():
        return stores.dedicated.value("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query = 'COMMIT'"
                                      " AND state = 'active'", [stores.dbname])

    async def story():
        commit = asyncio.to_thread(refusal, app, "COMMIT")
        task = asyncio.ensure_future(commit)
        await asyncio.to_thread(wait_until, "the COMMIT runs", committing)
        await asyncio.to_thread(terminate, stores, stores.dedicated)
        return await task
    state, message = asyncio.run(story())
    assert state == "08007", message
    assert app.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert_nothing_open(stores)
    assert count(app, TENANT) == 200


# --- a tenant that moves under a transaction --------------------------------------------------------------------------

@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_tenant_moves_under_a_transaction_that_has_read(proxy, stores, app, level):
    stores.fill({TENANT: 50, OTHER: 20})
    app.execute(f"BEGIN ISOLATION LEVEL {level}")
    assert where(app, TENANT) == stores.shared.port
    proxy.move(TENANT, "dedicated")
    with connect(proxy, stores) as another:
        append(another, TENANT)
    if level == "READ COMMITTED":
        assert (where(app, TENANT), count(app, TENANT)) == (stores.dedicated.port, 51)
        append(app, TENANT)
        app.execute("COMMIT")
        assert stores.counts(TENANT)[AWAY] == 52
    else:
        assert (where(app, TENANT), count(app, TENANT)) == (stores.shared.port, 50)
        state, message = refused_append(app, TENANT)
        assert state == "40001" and message.startswith("tenant_moved")
        assert app.execute("COMMIT").statusmessage == "ROLLBACK"
        append(app, TENANT)
        assert stores.counts(TENANT)[AWAY] == 52
    assert_nothing_open(stores)


# --- pipelines --------------------------------------------------------------------------------------------------------

def test_a_pipeline_keeps_its_order_across_stores(prices, app):
    """psycopg's pipeline mode: libpq sends everything before it has read an answer."""
    with app.pipeline():
        with app.transaction():
            cursors = []
            for _ in range(3):
                cursors.append(app.execute("SELECT 'price', cents FROM prices"))
                cursors.append(app.execute("SELECT 'away', count(*) FROM events WHERE tenant_id = %s", [uuid.UUID(TENANT)]))
                cursors.append(app.execute(insert_text(TENANT) + " RETURNING 'wrote', 1"))
        seen = [cursor.fetchone() for cursor in cursors]
    assert seen == [answer for turn in range(3) for answer in (("price", 350), ("away", 200 + turn), ("wrote", 1))]
    assert prices.counts(TENANT)[AWAY] == 203
    assert_nothing_open(prices)


def test_one_sync_ends_an_implicit_transaction_in_every_store(prices, proxy):
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, prices.dbname)
        texts = (insert_text(TENANT), "SELECT cents FROM prices", f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'",
                 f"SELECT count(*) FROM events WHERE tenant_id = '{OTHER}'")
        client.send(b"".join(wire.parse(text) + wire.bind() + wire.execute() for text in texts) + wire.sync())
        answers = client.until("Z")
        assert [answer.kind for answer in answers] == list("12C12DC12DC12DCZ")
        assert [answer.values()[0] for answer in answers if answer.kind == "D"] == [b"350", b"201", b"100"]
        assert answers[-1].body == b"I"
        # An error in a reading store: the write in the other must not be committed.
        texts = (insert_text(TENANT), "SELECT cents / 0 FROM prices", insert_text(TENANT))
        client.send(b"".join(wire.parse(text) + wire.bind() + wire.execute() for text in texts) + wire.sync())
        assert [answer.kind for answer in client.until("Z")] == list("12C12EZ")
    assert prices.counts(TENANT)[AWAY] == 201
    assert_nothing_open(prices)


@pytest.mark.parametrize("skipped", ["ROLLBACK TO a", "RELEASE a", "COMMIT"])
def test_what_a_pipeline_skips_is_not_remembered(stores, moved, proxy, skipped):
    """PostgreSQL ignores it after an error; the write before it is alive after ROLLBACK TO, and counts."""
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        for text in ("BEGIN", "SAVEPOINT a", insert_text(OTHER), "SAVEPOINT b"):
            client.send(wire.query(text))
            assert client.until("Z")[-1].body == b"T"
        client.send(b"".join(wire.parse(text) + wire.bind() + wire.execute() for text in ("SELECT nonsense", skipped))
                    + wire.sync())
        assert [m.kind for m in client.until("Z")] == list("EZ")
        client.send(wire.query("ROLLBACK TO b") + wire.query(insert_text(TENANT)) + wire.query("ROLLBACK TO a")
                    + wire.query(insert_text(TENANT)) + wire.query("COMMIT"))
        assert client.until("Z")[-1].body == b"T"
        assert client.until("Z")[0].fields()["M"].startswith("cross_store_transaction")
        assert client.until("Z")[-1].body == b"T"                      # and a is there still
        assert [m.kind for m in client.until("Z") + client.until("Z")] == list("CZCZ")
    assert (stores.counts(OTHER)[HERE], stores.counts(TENANT)[AWAY]) == (100, 201)
    assert_nothing_open(stores)


def test_a_setting_committed_in_a_pipeline_that_then_fails_lasts(stores, moved, proxy):
    """The SET lasts in the server although the pipeline failed: what goes by it must not be placed by the old value."""
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        client.send(wire.query(f"SET app.tenant_id = '{OTHER}'"))
        client.until("Z")
        client.send(b"".join(wire.parse(text) + wire.bind() + wire.execute() for text in
                             ("BEGIN", f"SET app.tenant_id = '{TENANT}'", "COMMIT", "SELECT 1/0")) + wire.sync())
        assert [m.kind for m in client.until("Z")][-2:] == list("EZ")
        client.send(wire.query("SELECT inet_server_port(), count(*) FROM events GROUP BY 1"))
        (port, _), = [m.values() for m in client.until("Z") if m.kind == "D"]
    assert int(port) == stores.dedicated.port


def test_a_setting_rolled_back_in_a_pipeline_that_goes_well_is_not_kept(stores, moved, proxy):
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        client.send(wire.query(f"SET app.tenant_id = '{OTHER}'"))
        client.until("Z")
        client.send(b"".join(wire.parse(text) + wire.bind() + wire.execute() for text in
                             ("BEGIN", f"SET app.tenant_id = '{TENANT}'", "ROLLBACK", "BEGIN", "COMMIT")) + wire.sync())
        assert client.until("Z")[-1].body == b"I"
        client.send(wire.query("SELECT inet_server_port(), count(*) FROM events GROUP BY 1"))
        (port, _), = [m.values() for m in client.until("Z") if m.kind == "D"]
    assert int(port) == stores.shared.port


def test_queries_sent_without_waiting_are_answered_in_order(prices, proxy):
    texts = ["BEGIN", insert_text(TENANT), "SELECT cents FROM prices", "SAVEPOINT a",
             f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'", "SELECT cents / 0 FROM prices", "SELECT 1",
             "ROLLBACK TO a", "SELECT cents FROM prices", "COMMIT", f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'",
             "SELECT cents FROM prices"]
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, prices.dbname)
        client.send(b"".join(wire.query(text) for text in texts))
        answers = [client.until("Z") for _ in texts]
    assert "".join(answer[-1].body.decode() for answer in answers) == "TTTTTEETTIII"
    assert [m.values() for answer in answers for m in answer if m.kind == "D"] == [[b"350"], [b"201"], [b"350"], [b"201"], [b"350"]]
    assert [m.fields()["C"] for answer in answers for m in answer if m.kind == "E"] == ["22012", "25P02"]
    assert_nothing_open(prices)


def test_asyncpg_across_stores(prices, proxy):
    async def story():
        conn = await asyncpg.connect(host=proxy.host, port=proxy.port, user=APP, password=APP_PASSWORD,
                                     database=prices.dbname, ssl=False)
        counting = "SELECT count(*) FROM events WHERE tenant_id = $1"
        try:
            async with conn.transaction():
                assert await conn.fetchval("SELECT cents FROM prices WHERE item = $1", "tea") == 350
                await conn.execute(insert_text(TENANT))
                with pytest.raises(asyncpg.DivisionByZeroError):
                    async with conn.transaction():
                        await conn.execute(insert_text(TENANT))
                        await conn.fetchval("SELECT cents / $1 FROM prices", 0)
                assert await conn.fetchval(counting, uuid.UUID(TENANT)) == 201
                assert await conn.fetchval(counting, uuid.UUID(OTHER)) == 100
            with pytest.raises(asyncpg.FeatureNotSupportedError):
                async with conn.transaction():
                    await conn.execute("UPDATE prices SET cents = $1", 1)
                    await conn.execute(insert_text(TENANT))
            return await conn.fetchrow("SELECT cents, (SELECT 1) FROM prices"), await conn.fetchval(counting, uuid.UUID(TENANT))
        finally:
            await conn.close()
    assert asyncio.run(story()) == ((350, 1), 201)
    assert_nothing_open(prices)


# --- cursors and portals stay where they were opened ------------------------------------------------------------------

def test_cursors_are_fetched_where_they_were_declared(prices, app):
    app.execute("BEGIN")
    for name, tenant in (("here", OTHER), ("away", TENANT)):
        app.execute(f"DECLARE {name} CURSOR FOR SELECT {PORT}, version FROM events WHERE tenant_id = '{tenant}'")
    for _ in range(3):
        for name, cluster in (("here", prices.shared), ("away", prices.dedicated)):
            assert app.execute(f"FETCH 1 FROM {name}").fetchone()[0] == cluster.port
        append(app, TENANT)
    app.execute("MOVE 1 IN here")
    app.execute("CLOSE here")
    assert app.execute("FETCH 1 FROM away").fetchone()[0] == prices.dedicated.port
    assert refusal(app, "FETCH 1 FROM here")[0] == "34000"
    app.execute("ROLLBACK")
    app.execute("BEGIN")
    app.execute(f"DECLARE held CURSOR WITH HOLD FOR SELECT {PORT} FROM events WHERE tenant_id = '{OTHER}'")
    append(app, TENANT)
    app.execute("COMMIT")
    assert app.execute("FETCH 1 FROM held").fetchone() == (prices.shared.port,)
    assert prices.counts(TENANT)[AWAY] == 201


def test_a_cursor_goes_on_when_its_tenant_moves(proxy, stores, app):
    stores.fill({TENANT: 50})
    app.execute("BEGIN")
    app.execute(f"DECLARE c CURSOR FOR SELECT {PORT} FROM events WHERE tenant_id = '{TENANT}'")
    assert app.execute("FETCH 1 FROM c").fetchone() == (stores.shared.port,)
    proxy.move(TENANT, "dedicated")
    assert where(app, TENANT) == stores.dedicated.port                 # READ COMMITTED
    assert app.execute("FETCH ALL FROM c").fetchall() == [(stores.shared.port,)] * 49
    append(app, TENANT)
    app.execute("COMMIT")
    assert stores.counts(TENANT)[AWAY] == 51


def test_portals_are_executed_where_they_were_bound(prices, proxy):
    reading = "SELECT current_setting('port') FROM events WHERE tenant_id = '{}'"
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, prices.dbname)
        client.send(wire.query("BEGIN"))
        client.until("Z")
        client.send(wire.parse(reading.format(OTHER)) + wire.bind(portal="here") + wire.parse(reading.format(TENANT))
                    + wire.bind() + wire.parse("SELECT cents FROM prices") + wire.bind(portal="p")
                    + b"".join(wire.execute(name, 1) for name in ("here", "", "here", "p", "")) + wire.sync())
        answers = client.until("Z")
        here, away = str(prices.shared.port).encode(), str(prices.dedicated.port).encode()
        assert [m.values()[0] for m in answers if m.kind == "D"] == [here, away, here, b"350", away]
        client.send(wire.describe("P", "here") + wire.execute("here", 2) + wire.close("P", "here") + wire.execute("here")
                    + wire.sync())
        assert [m.kind for m in client.until("Z")] == list("TDDs3EZ")


def test_a_snapshot_that_is_shared_stays_in_its_store(stores, moved, app):
    app.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert where(app, OTHER) == stores.shared.port
    app.execute("SELECT pg_export_snapshot()")
    state, message = refusal(app, f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'")
    assert state == "0A000" and "snapshot" in message
    app.execute("ROLLBACK")
