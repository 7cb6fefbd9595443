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


def test_a_name_that_is_used_again(where, conn):
    """Closed at one store, made again at another one."""
    for text in ("first", "second"):
        conn.execute(f"PREPARE p (uuid) AS SELECT '{text}' FROM events WHERE tenant_id = $1 LIMIT 1")
        assert one(conn, f"EXECUTE p ('{TENANT}')") == (text,)
        assert one(conn, f"EXECUTE p ('{OTHER}')") == (text,)
        conn.execute("DEALLOCATE p")
        assert sqlstate(conn, "DEALLOCATE p") == "26000"
        one(conn, f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")


def test_a_prepare_that_failed_is_not_there(where, conn):
    assert sqlstate(conn, "PREPARE p AS SELECT * FROM no_such_table") == "42P01"
    conn.execute(f"PREPARE p (uuid) AS SELECT {PORT} FROM events WHERE tenant_id = $1 LIMIT 1")
    assert one(conn, f"EXECUTE p ('{TENANT}')") == (where.home.port,)
