"""A server that restarts under its clients, or ends a session for being silent: PostgreSQL's own words, and the session
goes on where nothing of it is lost. And the proxy's own timeouts."""
import contextlib
import os
import signal
import time

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from events import append, place
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until
from test_listens import heard, listening, notify

TOLD = ("57P01", "57P02", "08006")


@pytest.fixture
def few(proxy, stores):
    stores.fill({TENANT: 20, OTHER: 10})
    proxy.move(TENANT, "dedicated")
    return proxy


def code(conn, statement):
    with pytest.raises(psycopg.Error) as refusal:
        conn.execute(statement)
    return refusal.value.sqlstate


def restart(cluster, mode):
    cluster.stop(mode)
    cluster.start()


def closed(conn):
    """The connection's end, as it comes unasked: its words (libpq keeps no more of it)."""
    try:
        conn.execute("SELECT 1")
    except psycopg.OperationalError as end:
        return str(end) if conn.closed else "still open"
    return "still open"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_an_idle_session_at_home_is_told_once(few, stores, mode):
    with connect(few, stores) as conn:
        conn.execute("SET work_mem = '7MB'")
        conn.execute(f"PREPARE p (uuid) AS SELECT count(*), current_setting('work_mem') FROM events WHERE tenant_id = $1")
        listening(conn).execute("LISTEN news")
        restart(stores.shared, mode)
        assert code(conn, "SELECT 1") in TOLD
        assert conn.execute(f"EXECUTE p ('{OTHER}')").fetchone() == (10, "7MB")
        conn.execute("SELECT 1")
        wait_until("it listens again", lambda: notify(stores.shared, stores, "news", "x") or heard(conn, 1, 1), 20)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_store_left_behind_is_opened_again_silently(few, stores, mode):
    with connect(few, stores) as conn:
        conn.execute("SET work_mem = '7MB'")
        assert place(conn, TENANT) == (stores.dedicated.port, 20)
        for last in (OTHER, TENANT):
            place(conn, last)
            restart(stores.dedicated, mode)
            asking = f"SELECT count(*), current_setting('work_mem') FROM events WHERE tenant_id = '{TENANT}'"
            assert conn.execute(asking).fetchone() == (20, "7MB")


@pytest.mark.parametrize("tenant", [TENANT, OTHER])
def test_a_transaction_is_lost_and_the_next_one_is_not(few, stores, tenant):
    cluster = stores.dedicated if tenant == TENANT else stores.shared
    with connect(few, stores) as conn:
        conn.execute("BEGIN")
        append(conn, tenant)
        restart(cluster, "fast")
        assert code(conn, "SELECT 1") in TOLD
        conn.execute("ROLLBACK")
        count = place(conn, tenant)[1]
        append(conn, tenant)
        assert place(conn, tenant) == (cluster.port, count + 1)
    assert count == (20 if tenant == TENANT else 10)


def test_a_statement_that_runs_is_answered(few, stores):
    with connect(few, stores) as conn:
        stores.dedicated.execute(stores.dbname, "SELECT 1")
        with pytest.raises(psycopg.OperationalError) as end:
            conn.execute(f"SELECT pg_terminate_backend(pg_backend_pid()) FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
        assert end.value.sqlstate == "57P01"
        assert place(conn, TENANT) == (stores.dedicated.port, 20)


def insert(tenant, version):
    return ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
            f" VALUES (gen_random_uuid(), gen_random_uuid(), 'lost', 'P', '{tenant}', {version}, now(), '{{}}')")


def versions(stores):
    return sorted(version for cluster in (stores.shared, stores.dedicated)
                  for (version,) in cluster.rows(stores.dbname, "SELECT version FROM events WHERE aggregate_type = 'lost'"))


def said(form, *statements):
    if form == "simple":
        return b"".join(map(wire.query, statements))
    return b"".join(wire.parse(one) + wire.bind() + wire.execute() + wire.sync() for one in statements)


def answers(raw, count):
    """What each message was answered: SQLSTATE or command tag, and the status behind it."""
    told = []
    for _ in range(count):
        seen = raw.until("Z")
        words = [m.fields()["C"] if m.kind == "E" else m.body.rstrip(b"\0").decode() for m in seen if m.kind in "EC"]
        told.append((words[0] if words else "", seen[-1].body.decode()))
    return told


@pytest.mark.parametrize("form", ["simple", "extended"])
@pytest.mark.parametrize("tenant", [TENANT, OTHER])
def test_nothing_of_a_lost_transaction_runs_on_its_own(few, stores, tenant, form):
    """What was sent behind the loss, before the client could know of it: the block has failed until its end."""
    with wire.RawClient(few.port) as raw:
        raw.login(APP, APP_PASSWORD, stores.dbname)
        raw.send(said(form, "BEGIN", insert(tenant, 1)))
        assert answers(raw, 2) == [("BEGIN", "T"), ("INSERT 0 1", "T")]
        restart(stores.dedicated if tenant == TENANT else stores.shared, "fast")
        raw.send(said(form, insert(tenant, 2), insert(tenant, 3), "COMMIT", insert(tenant, 4)))
        told = answers(raw, 4)
        assert told[0][0] in TOLD and told[0][1] == "E"
        assert told[1:] == [("25P02", "E"), ("ROLLBACK", "I"), ("INSERT 0 1", "I")]
    assert versions(stores) == [4]


@pytest.mark.parametrize("form", ["simple", "extended"])
@pytest.mark.parametrize("tenant", [TENANT, OTHER])
def test_a_commit_of_a_lost_transaction_is_an_error(few, stores, tenant, form):
    with wire.RawClient(few.port) as raw:
        raw.login(APP, APP_PASSWORD, stores.dbname)
        raw.send(said(form, "BEGIN", insert(tenant, 1)))
        answers(raw, 2)
        restart(stores.dedicated if tenant == TENANT else stores.shared, "fast")
        raw.send(said(form, "COMMIT", insert(tenant, 2)))
        told = answers(raw, 2)
        assert told[0][0] in TOLD and told[0][1] == "I"
        assert told[1] == ("INSERT 0 1", "I")
    assert versions(stores) == [2]


@pytest.mark.parametrize("form", ["simple", "extended"])
@pytest.mark.parametrize("tenant", [TENANT, OTHER])
def test_a_block_sent_ahead_is_lost_as_a_whole(few, stores, tenant, form):
    """The server goes in the middle of what it has been sent, and of what it has not."""
    end = f"SELECT pg_terminate_backend(pg_backend_pid()) FROM events WHERE tenant_id = '{tenant}' LIMIT 1"
    with wire.RawClient(few.port) as raw:
        raw.login(APP, APP_PASSWORD, stores.dbname)
        raw.send(said(form, "BEGIN", insert(tenant, 1), end, insert(tenant, 2), "SAVEPOINT s", insert(tenant, 3)))
        told = answers(raw, 6)
        assert told[:2] == [("BEGIN", "T"), ("INSERT 0 1", "T")]
        assert told[2] == ("57P01", "E") and told[5][1] == "E"
        raw.send(said(form, insert(tenant, 4), "ROLLBACK TO s", "ROLLBACK", insert(tenant, 5)))
        assert answers(raw, 4) == [("25P02", "E"), ("3B001", "E"), ("ROLLBACK", "I"), ("INSERT 0 1", "I")]
    assert versions(stores) == [5]


def test_a_pipeline_with_a_commit_is_lost_in_doubt(proxy, stores):
    """It may have come to its COMMIT (while nobody has a route nothing is waited for): the first error, which is all that the
    client hears, must not deny that."""
    cluster, tenant = stores.shared, OTHER
    with wire.RawClient(proxy.port) as raw:
        raw.login(APP, APP_PASSWORD, stores.dbname)
        raw.send(said("simple", insert(tenant, 1)))
        assert answers(raw, 1) == [("INSERT 0 1", "I")]
        ((backend,),) = cluster.rows("postgres", "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = %s"
                                     " AND query LIKE 'INSERT%%'", [stores.dbname, APP])
        os.kill(backend, signal.SIGSTOP)
        try:
            raw.send(b"".join(wire.parse(one) + wire.bind() + wire.execute() for one in ("BEGIN", insert(tenant, 2), "COMMIT"))
                     + wire.sync())
            time.sleep(0.3)
            cluster.kill()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(backend, signal.SIGCONT)
        told = raw.until("Z")
        assert [m.fields()["C"] for m in told if m.kind == "E"] == ["08007"]
        assert told[-1].body == b"I"
        cluster.start()
        raw.send(said("simple", insert(tenant, 3)))
        assert answers(raw, 1) == [("INSERT 0 1", "I")]
    assert versions(stores) == [1, 3]


@pytest.mark.parametrize("what", [
    f"CREATE TEMP TABLE mine AS SELECT 1 FROM events WHERE tenant_id = '{TENANT}'",
    f"DECLARE mine CURSOR WITH HOLD FOR SELECT 1 FROM events WHERE tenant_id = '{TENANT}'",
    f"SELECT pg_advisory_lock(1) FROM set_config('app.tenant_id', '{TENANT}', false)",
])
def test_what_cannot_be_made_again_takes_the_session_along(few, stores, what):
    with connect(few, stores) as conn:
        if "advisory" in what:
            conn.execute(f"SET app.tenant_id = '{TENANT}'")
            what = "SELECT pg_advisory_lock(1)"
        conn.execute(what)
        place(conn, OTHER) if "advisory" not in what else None
        restart(stores.dedicated, "fast")
        assert "terminating connection due to administrator command" in closed(conn)


# --- timeouts of the server -------------------------------------------------------------------------------------------

def test_idle_in_transaction_session_timeout(few, stores):
    with connect(few, stores, options="-c idle_in_transaction_session_timeout=300") as conn:
        conn.execute("BEGIN")
        append(conn, TENANT)
        time.sleep(0.8)
        assert "due to idle-in-transaction timeout" in closed(conn)
    assert stores.counts(TENANT)[1] == 20


def test_idle_session_timeout(few, stores):
    with connect(few, stores, options="-c idle_session_timeout=400") as conn:
        place(conn, TENANT)
        for _ in range(8):                      # busy at home: the other server may go, and come again
            time.sleep(0.1)
            place(conn, OTHER)
        assert place(conn, TENANT) == (stores.dedicated.port, 20)
        time.sleep(1)
        assert "due to idle-session timeout" in closed(conn)


# --- the proxy's own --------------------------------------------------------------------------------------------------

def test_idle_clients(make_proxy, stores):
    proxy = make_proxy({"pgshunt": {"client_idle_timeout": 2, "idle_transaction_timeout": 1}}).start()
    stores.fill({TENANT: 20})
    with connect(proxy, stores) as idle, connect(proxy, stores) as open_one, connect(proxy, stores) as busy:
        open_one.execute("BEGIN")
        append(open_one, TENANT)
        busy.execute("SELECT pg_sleep(3.5)")
        assert "due to idle_transaction_timeout" in closed(open_one)
        assert "due to client_idle_timeout" in closed(idle)
        busy.execute("SELECT 1")
    wait_until("it is rolled back", lambda: stores.counts(TENANT)[0] == 20)


def test_query_timeout(make_proxy, stores):
    proxy = make_proxy({"pgshunt": {"query_timeout": 1}}).start()
    with connect(proxy, stores) as conn:
        with pytest.raises(psycopg.OperationalError) as end:
            conn.execute("SELECT pg_sleep(60)")
        assert "due to query_timeout" in str(end.value) and conn.closed
    wait_until("the server has stopped", lambda: stores.shared.value(
        stores.dbname, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%%'") == 0)


# --- a client that leaves ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["terminate", "vanish"])
def test_a_client_that_leaves_in_a_transaction(few, stores, how):
    conn = connect(few, stores)
    conn.execute("BEGIN")
    conn.execute(f"UPDATE events SET actor_id = 'x' WHERE tenant_id = '{TENANT}'")
    place(conn, OTHER)
    if how == "terminate":
        conn.close()
    else:
        import os
        os.close(conn.fileno())
    for cluster in (stores.shared, stores.dedicated):
        wait_until("nothing of it is left", lambda: cluster.value(stores.dbname, (
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = current_database()")) == 0, 5)
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM events WHERE actor_id = 'x'") == 0
