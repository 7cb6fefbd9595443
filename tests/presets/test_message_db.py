"""message-db, by its own functions (@eventide/message-db from npm): the tenant is in the stream's name (account-<uuid>), and a
column that follows from it is added to its table."""
from pathlib import Path

import psycopg
import pytest

import moved
from eventstore import OWNER
from stand import OTHER, TENANT, connect

DATABASE = Path(__file__).resolve().parents[2] / "build-compat/presets/node_modules/@eventide/message-db/database"
PATTERN = "^[^-]+-([0-9a-f-]{36})$"
TABLES = (("message_store.messages", "tenant_id"),)
FUNCTIONS = ("message-store-version", "hash-64", "acquire-lock", "category", "is-category", "id", "cardinal-id", "stream-version",
             "write-message", "get-stream-messages", "get-category-messages", "get-last-stream-message")

# As its clients call them (eventide-project/message-store-postgres: lib/message_store/postgres/put.rb, get/stream.rb …).
WRITE = "SELECT write_message(%s::varchar, %s::varchar, %s::varchar, %s::jsonb, %s::jsonb, %s::bigint)"
READ = "SELECT * FROM get_stream_messages(%s::varchar, %s::bigint, %s::bigint, condition => %s::varchar)"
LAST = "SELECT * FROM get_last_stream_message(%s::varchar, %s::varchar)"


def install(stores, cluster):
    """install.sh of the package, file by file."""
    for name in ("schema/message-store", "tables/messages", "types/message", *(f"functions/{name}" for name in FUNCTIONS),
                 "indexes/messages-id", "indexes/messages-stream", "indexes/messages-category"):
        text = (DATABASE / f"{name}.sql").read_text(encoding="utf-8").replace("CONCURRENTLY", "")
        with cluster.connect(stores.dbname) as conn:
            conn.execute("SET search_path = message_store, public")
            conn.execute(text.encode())
    cluster.execute(stores.dbname, "ALTER TABLE message_store.messages ADD COLUMN tenant_id text GENERATED ALWAYS AS"
                                   f" (substring(stream_name from '{PATTERN}')) STORED;"
                                   f"ALTER TABLE message_store.messages OWNER TO {OWNER}; GRANT USAGE ON SCHEMA message_store TO {OWNER}")


@pytest.fixture
def proxy(make_proxy, stores):
    if not DATABASE.exists():
        pytest.skip("message-db is not installed: ./tests/presets/install.sh does it")
    moved.install(stores, lambda cluster: install(stores, cluster), "message_store")
    return moved.begin(make_proxy, "message-db", stream_pattern=PATTERN)


def session(proxy, stores):
    """As its documentation has it: the role's search_path; here by the connection string."""
    return connect(proxy, stores, options="-c search_path=message_store,public")


def write(conn, stream, expected=None):
    return conn.execute(WRITE, (str(moved.new_id()), stream, "Opened", "{}", None, expected)).fetchone()[0]


def test_a_tenant_moves(proxy, stores):
    with session(proxy, stores) as conn:
        for tenant in (TENANT, OTHER):
            assert [write(conn, f"account-{tenant}") for _ in range(3)] == [0, 1, 2]
        moved.move(proxy, stores, TENANT, TABLES)
        for tenant in (TENANT, OTHER):
            stream = f"account-{tenant}"
            assert write(conn, stream, 2) == 3
            with pytest.raises(psycopg.errors.RaiseException, match="Wrong expected version"):
                write(conn, stream, 2)
            assert write(conn, f"invoice-{tenant}") == 0
            assert len(conn.execute(READ, (stream, 0, 1000, None)).fetchall()) == 4
            assert conn.execute(LAST, (stream, None)).fetchone()[3] == 3
        # A category is read across tenants: those of the default store.
        names = {row[1] for row in conn.execute("SELECT * FROM get_category_messages('account', 1, 1000)")}
        assert names == {f"account-{OTHER}"}
    assert moved.counts(stores, *TABLES[0], TENANT) == (0, 5)
    assert moved.counts(stores, *TABLES[0], OTHER) == (5, 0)


def test_a_migration(proxy, stores):
    with session(proxy, stores) as conn:
        for tenant in (TENANT, OTHER):
            assert [write(conn, f"account-{tenant}") for _ in range(3)] == [0, 1, 2]
        migration = proxy.start_migration(TENANT, "dedicated")
        proxy.wait_state(migration, "dual_write")
        assert write(conn, f"account-{TENANT}", 2) == 3
        proxy.wait_cutover_ready(migration)
        proxy.cutover(migration)
        assert write(conn, f"account-{TENANT}", 3) == 4
        assert len(conn.execute(READ, (f"account-{TENANT}", 0, 1000, None)).fetchall()) == 5
    assert moved.counts(stores, *TABLES[0], TENANT)[1] == 5
    assert moved.counts(stores, *TABLES[0], OTHER) == (3, 0)


@pytest.mark.parametrize("stream", ["account", "account-17", "account-%s-x" % TENANT.upper(), TENANT])
def test_a_stream_without_a_tenant_is_refused(proxy, stores, stream):
    with session(proxy, stores) as conn:
        moved.move(proxy, stores, TENANT, [])
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            write(conn, stream)
    for cluster in (stores.shared, stores.dedicated):
        assert cluster.value(stores.dbname, "SELECT count(*) FROM message_store.messages") == 0
