"""Whatever a PostgreSQL session can do goes on through the proxy: each story is told to the server itself, through the
proxy with the tenant at home, and through it with the tenant moved away; what the client sees is the same."""
import uuid

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD

PORT = "current_setting('port')::int"
NEW_EVENT = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp,"
             " payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'P', $1, $2, now(), '{}')")


class Place:
    """Where a story is told: `connect()` makes its sessions, `home` is where TENANT's rows are."""

    def __init__(self, stores, proxy, home):
        self.stores, self.proxy, self.home = stores, proxy, home

    def connect(self, **more):
        if self.proxy is not None:
            return connect(self.proxy, self.stores, **more)
        more.setdefault("autocommit", True)
        return psycopg.connect(self.stores.shared.conninfo(self.stores.dbname, APP, APP_PASSWORD), **more)


@pytest.fixture(params=["direct", "home", "away"])
def where(request, stores):
    if request.param == "direct":
        stores.fill({TENANT: 20, OTHER: 10})
        return Place(stores, None, stores.shared)
    proxy = request.getfixturevalue("proxy")
    if request.param == "away":
        request.getfixturevalue("moved_few")
        return Place(stores, proxy, stores.dedicated)
    stores.fill({TENANT: 20, OTHER: 10})
    return Place(stores, proxy, stores.shared)


@pytest.fixture
def moved_few(proxy, stores):
    stores.fill({TENANT: 20, OTHER: 10})
    return proxy.move(TENANT, "dedicated")


@pytest.fixture
def conn(where):
    with where.connect() as session:
        yield session


def one(conn, statement, parameters=None):
    return conn.execute(statement, parameters).fetchone()


def sqlstate(conn, statement):
    with pytest.raises(psycopg.Error) as refusal:
        conn.execute(statement)
    return refusal.value.sqlstate


# --- PREPARE, EXECUTE, DEALLOCATE -------------------------------------------------------------------------------------

def test_the_arguments_of_execute_say_the_tenant(where, conn):
    shared = where.stores.shared.port
    conn.execute(f"PREPARE reading (uuid) AS SELECT {PORT}, count(*) FROM events WHERE tenant_id = $1")
    conn.execute(f"PREPARE writing (uuid, int) AS {NEW_EVENT} RETURNING {PORT}")
    assert one(conn, f"EXECUTE reading ('{TENANT}')") == (where.home.port, 20)
    assert one(conn, f"EXECUTE reading ('{OTHER}')") == (shared, 10)
    assert one(conn, f"EXECUTE writing ('{TENANT}'::uuid, 1000)") == (where.home.port,)
    assert one(conn, f"EXECUTE writing (uuid '{OTHER}', 1000)") == (shared,)
    assert one(conn, f"EXECUTE reading ('{TENANT.upper()}')") == (where.home.port, 21)
    assert sqlstate(conn, f"PREPARE reading AS SELECT 1") == "42P05"
    assert one(conn, f"EXECUTE reading ('{TENANT}')") == (where.home.port, 21)
    assert one(conn, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'reading'") == (1,)
    conn.execute("DEALLOCATE reading")
    conn.execute("PREPARE reading AS SELECT 'another'")
    assert one(conn, "EXECUTE reading") == ("another",)
    conn.execute("DEALLOCATE ALL")
    assert one(conn, "SELECT count(*) FROM pg_prepared_statements") == (0,)


def test_execute_in_a_transaction_and_in_explain(where, conn):
    conn.execute(f"PREPARE writing (uuid, int) AS {NEW_EVENT}")
    conn.execute("BEGIN")
    conn.execute(f"EXECUTE writing ('{TENANT}', 1000)")
    conn.execute("SELECT 1")
    conn.execute("COMMIT")
    assert one(conn, f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'") == (21,)
    with pytest.raises(psycopg.Error):
        with conn.transaction():
            conn.execute(f"EXECUTE writing ('{TENANT}', 1001)")
            conn.execute("SELECT 1/0")
    assert one(conn, f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'") == (21,)
    plan = conn.execute(f"EXPLAIN (COSTS OFF) EXECUTE writing ('{TENANT}', 1002)").fetchall()
    assert plan == [("Insert on events",), ("  ->  Result",)]
    conn.execute(f"EXPLAIN ANALYZE EXECUTE writing ('{TENANT}', 1002)")
    assert one(conn, f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'") == (22,)


def test_a_statement_made_by_sql_runs_by_protocol_and_the_other_way(where, conn):
    conn.execute(f"PREPARE mine (uuid) AS SELECT {PORT}, count(*) FROM events WHERE tenant_id = $1")
    for tenant, home, count in ((TENANT, where.home, 20), (OTHER, where.stores.shared, 10), (TENANT, where.home, 20)):
        result = conn.pgconn.exec_prepared(b"mine", [tenant.encode()])
        assert result.status == psycopg.pq.ExecStatus.TUPLES_OK, result.error_message
        assert (int(result.get_value(0, 0)), int(result.get_value(0, 1))) == (home.port, count)
    conn.pgconn.prepare(b"theirs", f"SELECT {PORT}, count(*) FROM events WHERE tenant_id = $1".encode())
    for tenant, home, count in ((TENANT, where.home, 20), (OTHER, where.stores.shared, 10), (TENANT, where.home, 20)):
        assert one(conn, f"EXECUTE theirs ('{tenant}')") == (home.port, count)


def test_a_statement_made_by_sql_is_made_again_inside_a_pipeline(where, conn):
    """… and does not end the pipeline's transaction by that."""
    conn.execute(f"PREPARE counting (uuid) AS SELECT count(*) FROM events WHERE tenant_id = $1")
    count = f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'"
    before = one(conn, count)
    insert = NEW_EVENT.replace("$1", f"'{TENANT}'").replace("$2", "2000").encode()
    pgconn = conn.pgconn
    pgconn.enter_pipeline_mode()
    pgconn.send_query_params(insert, [])
    pgconn.send_query_prepared(b"counting", [str(TENANT).encode()])
    pgconn.send_query_params(f"SELECT 1 / (count(*) - count(*)) FROM events WHERE tenant_id = '{TENANT}'".encode(), [])
    pgconn.pipeline_sync()
    seen = []
    while not seen or seen[-1].status != psycopg.pq.ExecStatus.PIPELINE_SYNC:
        result = pgconn.get_result()
        if result is not None:
            seen.append(result)
    pgconn.exit_pipeline_mode()
    assert int(seen[1].get_value(0, 0)) == before[0] + 1, seen[1].error_message
    assert seen[2].error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"22012"
    assert one(conn, count) == before


def test_a_name_that_is_used_again(where, conn):
    """Closed at one store, made again at another one."""
    for text in ("first", "second"):
        conn.execute(f"PREPARE p (uuid) AS SELECT '{text}' FROM events WHERE tenant_id = $1 LIMIT 1")
        assert one(conn, f"EXECUTE p ('{TENANT}')") == (text,)
        assert one(conn, f"EXECUTE p ('{OTHER}')") == (text,)
        conn.execute("DEALLOCATE p")
        assert sqlstate(conn, "DEALLOCATE p") == "26000"
        one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")


def test_prepared_and_executed_in_one_message(where, conn):
    seen = conn.execute(f"PREPARE p (uuid) AS SELECT {PORT} FROM events WHERE tenant_id = $1 LIMIT 1;"
                        f" EXECUTE p ('{TENANT}'); DEALLOCATE p")
    assert seen.nextset() and seen.fetchone() == (where.home.port,)
    assert sqlstate(conn, "EXECUTE p") == "26000"


def test_a_prepare_that_failed_is_not_there(where, conn):
    assert sqlstate(conn, "PREPARE p AS SELECT * FROM no_such_table") == "42P01"
    conn.execute(f"PREPARE p (uuid) AS SELECT {PORT} FROM events WHERE tenant_id = $1 LIMIT 1")
    assert one(conn, f"EXECUTE p ('{TENANT}')") == (where.home.port,)


# --- cursors ----------------------------------------------------------------------------------------------------------

def test_a_cursor_in_its_transaction(where, conn):
    with conn.transaction():
        conn.execute(f"DECLARE c CURSOR FOR SELECT {PORT}, version FROM events WHERE tenant_id = '{TENANT}'"
                     " ORDER BY global_position")
        assert one(conn, "FETCH c")[0] == where.home.port
        assert one(conn, f"SELECT {PORT} FROM events WHERE tenant_id = '{OTHER}' LIMIT 1") == (where.stores.shared.port,)
        assert len(conn.execute("FETCH 5 FROM c").fetchall()) == 5
        conn.execute("MOVE ALL IN c")
        assert one(conn, "FETCH PRIOR FROM c")[0] == where.home.port
        conn.execute("CLOSE c")
    assert sqlstate(conn, "FETCH c") == "34000"


def test_a_cursor_with_hold_stays_where_it_was_opened(where, conn):
    conn.execute(f"DECLARE held CURSOR WITH HOLD FOR SELECT {PORT} FROM events WHERE tenant_id = '{TENANT}'")
    for tenant in (OTHER, TENANT, OTHER):
        one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{tenant}' LIMIT 1")
        assert conn.execute("FETCH 2 FROM held").fetchall() == [(where.home.port,)] * 2
    with conn.transaction():
        one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{OTHER}' LIMIT 1")
        conn.execute("MOVE 1 IN held")
    assert one(conn, "FETCH held") == (where.home.port,)
    conn.execute("CLOSE held")
    assert sqlstate(conn, "FETCH held") == "34000"
    with pytest.raises(psycopg.errors.DivisionByZero), conn.transaction():
        conn.execute(f"DECLARE held CURSOR WITH HOLD FOR SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")
        conn.execute("SELECT 1/0")
    assert sqlstate(conn, "FETCH held") == "34000"


def test_close_all_and_a_cursor_of_a_driver(where, conn):
    with conn.transaction(), conn.cursor(name="scrolling") as cursor:
        cursor.itersize = 3
        cursor.execute(f"SELECT {PORT} FROM events WHERE tenant_id = '{TENANT}'")
        assert [port for (port,) in cursor] == [where.home.port] * 20
    conn.execute(f"DECLARE held CURSOR WITH HOLD FOR SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{OTHER}' LIMIT 1")
    conn.execute("CLOSE ALL")
    assert sqlstate(conn, "FETCH held") == "34000"


# --- temporary tables, locks, large objects ---------------------------------------------------------------------------

def test_a_temporary_table_of_a_tenants_rows(where, conn):
    conn.execute(f"CREATE TEMP TABLE copied AS SELECT * FROM events WHERE tenant_id = '{TENANT}'")
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{OTHER}' LIMIT 1")
    assert one(conn, f"SELECT {PORT}, count(*) FROM copied") == (where.home.port, 20)
    assert one(conn, "SELECT count(*) FROM copied JOIN events USING (event_id)"
                     f" WHERE events.tenant_id = '{TENANT}'") == (20,)
    conn.execute("DELETE FROM copied WHERE version > 5")
    conn.execute("CREATE INDEX ON copied (version)")
    with conn.cursor().copy("COPY copied (version) TO STDOUT") as copy:
        assert len(list(copy.rows())) == one(conn, "SELECT count(*) FROM copied")[0]
    conn.execute("DROP TABLE copied")
    assert sqlstate(conn, "SELECT * FROM copied") == "42P01"
    conn.execute("CREATE TEMP TABLE copied (a int)")
    assert one(conn, "SELECT count(*) FROM copied") == (0,)
    with conn.transaction():
        conn.execute(f"CREATE TEMP TABLE brief ON COMMIT DROP AS SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")
        assert one(conn, "SELECT count(*) FROM brief") == (20,)
    assert sqlstate(conn, "SELECT * FROM brief") == "42P01"


def test_discard_all_takes_everything(where, conn):
    conn.execute(f"CREATE TEMP TABLE copied AS SELECT * FROM events WHERE tenant_id = '{TENANT}'")
    conn.execute(f"DECLARE held CURSOR WITH HOLD FOR SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")
    conn.execute("SELECT pg_advisory_lock(7)")
    conn.execute(f"SET app.tenant_id = '{TENANT}'")
    conn.execute("SELECT pg_advisory_lock(8)")
    conn.execute("PREPARE p AS SELECT 1")
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
    conn.execute("RESET app.tenant_id")
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{OTHER}' LIMIT 1")
    conn.execute("DISCARD ALL")
    for statement, state in (("SELECT * FROM copied", "42P01"), ("FETCH held", "34000"), ("EXECUTE p", "26000")):
        assert sqlstate(conn, statement) == state
    for cluster in (where.stores.shared, where.stores.dedicated):
        assert cluster.value(where.stores.dbname, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                                                  " AND objid IN (7, 8)") == 0


def held_locks(cluster, where):
    return cluster.value(where.stores.dbname, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
                                              " (SELECT oid FROM pg_database WHERE datname = current_database())"
                                              " AND granted AND objid = 4711")


def test_an_advisory_lock_is_given_back_where_it_was_taken(where, conn):
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
    conn.execute("SELECT pg_advisory_lock(4711)")                    # nobody around: the default store
    assert held_locks(where.stores.shared, where) == 1
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
    assert one(conn, "SELECT pg_advisory_unlock(4711)") == (True,)
    conn.execute(f"SET app.tenant_id = '{TENANT}'")
    conn.execute("SELECT pg_advisory_lock(4711)")                    # the tenant's
    assert held_locks(where.home, where) == 1
    with where.connect(options=f"-c app.tenant_id={TENANT}") as other:
        assert one(other, "SELECT pg_try_advisory_lock(4711)") == (False,)
    conn.execute("SELECT pg_advisory_unlock_all()")
    assert held_locks(where.home, where) == 0
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(4711)")
        assert held_locks(where.home, where) == 1
    assert held_locks(where.home, where) == 0


def test_large_objects(where, conn):
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
    with conn.transaction():
        oid = one(conn, "SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex'))")[0]
    one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
    assert one(conn, "SELECT length(lo_get(%s))", [oid]) == (100000,)
    with conn.transaction():
        descriptor = one(conn, "SELECT lo_open(%s, 131072 + 262144)", [oid])[0]
        conn.execute("SELECT lowrite(%s, %s)", [descriptor, b"begin"])
        assert one(conn, "SELECT lo_lseek64(%s, 0, 0)", [descriptor]) == (0,)
        assert one(conn, "SELECT loread(%s, 5)", [descriptor]) == (b"begin",)
        conn.execute("SELECT lo_close(%s)", [descriptor])
    assert one(conn, "SELECT lo_unlink(%s)", [oid]) == (1,)
