"""What [events] declares beside the event table: functions, views, partitions, tables of all classes. After a move each
call reaches the store of the tenant that its argument names; what cannot be told is an error, and never a row in a wrong
store."""
import uuid

import psycopg
import pytest

from conftest import NOBODY, OTHER, TENANT, connect
from eventstore import APP, OWNER
from pgcluster import wait_until

PORT = "current_setting('port')::int"

SCHEMA = f"""
SET ROLE {OWNER};
CREATE TABLE notes (id bigserial PRIMARY KEY, body text, tenant_id uuid, stream text);
CREATE FUNCTION append_note(body text, tenant uuid, stream text DEFAULT NULL) RETURNS int LANGUAGE sql AS
  'INSERT INTO notes (body, tenant_id, stream) VALUES (body, tenant, stream) RETURNING {PORT.replace("'", "''")}';
CREATE FUNCTION twice(a int, tenant uuid) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION twice(tenant uuid, a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION read_notes(tenant uuid, most int DEFAULT 10) RETURNS SETOF notes LANGUAGE sql STABLE AS
  'SELECT * FROM notes n WHERE n.tenant_id = tenant LIMIT most';
CREATE PROCEDURE keep_note(OUT port int, tenant uuid, body text) LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO notes (body, tenant_id) VALUES (body, tenant); port := {PORT}; END $$;
CREATE FUNCTION write_message(id text, stream_name text, body text) RETURNS int LANGUAGE sql AS
  'INSERT INTO notes (body, tenant_id, stream) VALUES (body, substring(stream_name from ''-(.*)$'')::uuid, stream_name)
   RETURNING {PORT.replace("'", "''")}';
CREATE FUNCTION anything(tenant uuid[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW good_notes AS SELECT body, id, tenant_id AS owner FROM notes WHERE id > 0 ORDER BY id;
CREATE VIEW last_notes AS SELECT * FROM notes ORDER BY id DESC LIMIT 5;
CREATE TABLE countries (code text);
CREATE TABLE drafts (tenant text, body text);
CREATE TABLE prices (id int);
GRANT ALL ON ALL TABLES IN SCHEMA public TO {APP};
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {APP};
"""

EVENTS = {"table": "notes", "position_column": "id", "event_id_column": "id", "stream_columns": "stream",
          "version_column": "id", "companion_tables": "drafts(tenant_column=tenant), absent",
          "everywhere_tables": "countries", "event_views": "good_notes",
          "write_functions": "append_note(tenant_arg=2), keep_note(tenant_arg=tenant), write_message(stream_arg=2), nowhere(tenant_arg=1)",
          "read_functions": "read_notes(tenant_arg=tenant)", "stream_pattern": "^[a-z]+-([0-9a-f-]{36})$"}


def live_in(stores, tenant, store):
    """As if the tenant had been moved: its route alone, by plain SQL, as an operator may."""
    stores.shared.execute(stores.dbname, "INSERT INTO pgshunt.tenant_routing (tenant_id, store_id, migration_state, generation)"
                                         " VALUES (%s, %s, 'normal', 1)", [tenant, store])


def wait_home(proxy, tenant, store):
    wait_until("the route is known", lambda: proxy.admin(f"SHOW ROUTE '{tenant}'")[0]["store_id"] == store)


@pytest.fixture
def declared(stores, make_proxy):
    """TENANT lives in dedicated; a pgshunt that knows the declarations."""
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, SCHEMA)
    proxy = make_proxy({"events": EVENTS}).start()
    live_in(stores, TENANT, "dedicated")
    wait_home(proxy, TENANT, "dedicated")
    return proxy


def bodies(stores):
    read = "SELECT coalesce(array_agg(body ORDER BY body), '{}') FROM notes"
    return (stores.shared.value(stores.dbname, read), stores.dedicated.value(stores.dbname, read))


CALLS = [
    "SELECT append_note('x', '{t}')",
    "SELECT append_note('x', '{t}'::uuid, 's')",
    "SELECT append_note(tenant => '{t}', body => 'x')",
    "SELECT append_note('x', tenant := '{t}')",
    "SELECT public.append_note('x', '{t}') + 0",
    "SELECT * FROM append_note('x', '{t}') AS a (port)",
    "WITH a AS (SELECT append_note('x', '{t}') AS port) SELECT port FROM a",
    "SELECT (SELECT append_note('x', '{t}'))",
    "CALL keep_note(NULL, '{t}', 'x')",
    "CALL keep_note(body => 'x', tenant => '{t}', port => NULL)",
    "SELECT write_message('i', 'note-{t}', 'x')",
    "SELECT write_message(body => 'x', stream_name => 'note-{t}', id => 'i')",
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_reaches_the_store_of_its_argument(declared, stores, call):
    with connect(declared, stores) as conn:
        assert conn.execute(call.format(t=TENANT)).fetchone()[0] == stores.dedicated.port
        assert conn.execute(call.format(t=OTHER)).fetchone()[0] == stores.shared.port
    assert bodies(stores) == (["x"], ["x"])


@pytest.mark.parametrize("binary", [False, True])
def test_a_bound_argument_too(declared, stores, binary):
    with connect(declared, stores) as conn:
        for tenant, cluster in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
            marker = "%b" if binary else "%s"
            row = conn.execute(f"SELECT append_note('x', {marker})", [uuid.UUID(tenant)]).fetchone()
            assert row[0] == cluster.port
            assert conn.execute("SELECT write_message('i', %s, 'y')", [f"note-{tenant}"]).fetchone()[0] == cluster.port
            assert conn.execute(f"SELECT count(*), max({PORT}) FROM read_notes(%s)",
                                [uuid.UUID(tenant)]).fetchone() == (2, cluster.port)
    assert bodies(stores) == (["x", "y"], ["x", "y"])


UNKNOWN = [
    "SELECT append_note('x', lower('{t}')::uuid)",
    "SELECT append_note('x', (SELECT '{t}'::uuid))",
    "SELECT write_message('i', 'note', 'x')",
    "SELECT write_message('i', 'note-{t}-more', 'x')",
    "SELECT write_message('i', NULL, 'x')",
    "SELECT append_note('x', v) FROM (VALUES ('{t}'::uuid)) AS v (v)",
]


@pytest.mark.parametrize("call", UNKNOWN)
def test_a_call_that_does_not_tell_writes_nowhere(declared, stores, call):
    with connect(declared, stores) as conn:
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            conn.execute(call.format(t=TENANT))
    assert bodies(stores) == ([], [])


FILL = """CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.tenant_id := coalesce(NEW.tenant_id, substring(NEW.stream from '-(.*)$')::uuid); RETURN NEW; END $$;
CREATE TRIGGER fill BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION fill()"""
NAMED = [
    ("INSERT INTO notes (body, stream) VALUES ('x', {id}) RETURNING {port}", "insert"),
    ("INSERT INTO notes (stream, body) SELECT unnest(ARRAY[{id}]), 'x' RETURNING {port}", "insert"),
    ("INSERT INTO notes (body, stream, tenant_id) VALUES ('x', {id}, '{t}') RETURNING {port}", "insert"),
    ("SELECT {port} FROM notes WHERE stream = {id}", "read"),
    ("SELECT {port} FROM notes n WHERE n.stream IN ({id}, 'other-{t}')", "read"),
    ("SELECT {port} FROM notes WHERE stream = ANY (ARRAY[{id}])", "read"),
    ("SELECT {port} FROM notes a JOIN notes b USING (stream) WHERE a.stream = {id}", "read"),
    ("UPDATE notes SET body = 'x' WHERE stream = {id} RETURNING {port}", "read"),
    ("DELETE FROM notes WHERE stream = {id} RETURNING {port}", "delete"),
]


@pytest.mark.parametrize("statement, kind", NAMED, ids=[str(i) for i in range(len(NAMED))])
def test_the_id_of_a_stream_names_its_tenant(declared, stores, statement, kind):
    """In a column, too: nothing but order-TENANT in the statement, as a literal and as a parameter."""
    for cluster, tenant in ((stores.shared, OTHER), (stores.dedicated, TENANT)):
        cluster.execute(stores.dbname, FILL)
        if kind != "insert":
            cluster.execute(stores.dbname, f"INSERT INTO notes (body, stream) VALUES ('x', 'note-{tenant}'), ('x', 'bill-{tenant}')")
    with connect(declared, stores) as conn:
        for tenant, cluster in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
            for mark, values in (("'note-{t}'", None), ("%t", ["bill-{t}"]), ("%b", ["bill-{t}"])):
                said = statement.replace("{id}", mark).format(t=tenant, port=PORT)
                row = conn.execute(said, values and [value.format(t=tenant) for value in values]).fetchone()
                assert row == (cluster.port,) or (kind == "delete" and row is None), (said, row)
    for cluster, tenant in ((stores.shared, OTHER), (stores.dedicated, TENANT)):
        assert cluster.value(stores.dbname, f"SELECT count(*) FILTER (WHERE tenant_id <> '{tenant}') FROM notes") == 0
        assert (cluster.value(stores.dbname, "SELECT count(*) FROM notes") > 0) == (kind != "delete")


CONTRADICTIONS = [
    "INSERT INTO notes (stream, tenant_id) VALUES ('note-{t}', '{o}')",
    "INSERT INTO notes (stream, tenant_id) VALUES ('note-{o}', '{t}')",
    "INSERT INTO notes (stream, tenant_id) VALUES ('note-{t}', NULL)",
    "SELECT 1 FROM notes WHERE stream = 'note-{t}' AND tenant_id = '{o}'",
    "UPDATE notes SET stream = 'note-{o}' WHERE tenant_id = '{t}'",
    "SET app.tenant_id = '{o}'; SELECT 1 FROM notes WHERE stream = 'note-{t}'",
]


def test_the_id_of_a_stream_must_not_contradict(declared, stores):
    for statement in CONTRADICTIONS:
        with connect(declared, stores) as conn, pytest.raises(psycopg.errors.FeatureNotSupported, match="says \""):
            conn.execute(statement.format(t=TENANT, o=OTHER))
    with connect(declared, stores) as conn:
        for unread in ("note", "note-{t}-more"):       # an id in which the pattern finds nothing says nothing
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
                conn.execute(f"INSERT INTO notes (stream) VALUES ('{unread.format(t=TENANT)}')")
        conn.execute("INSERT INTO notes (stream, tenant_id, body) VALUES ('note', %s, 'y')", [uuid.UUID(TENANT)])
    assert bodies(stores) == ([], ["y"])


def test_a_view_is_read_where_its_tenant_lives_and_never_written(declared, stores):
    for cluster, tenant in ((stores.shared, OTHER), (stores.dedicated, TENANT)):
        cluster.execute(stores.dbname, f"INSERT INTO notes (body, tenant_id) VALUES ('kept', '{tenant}')")
    with connect(declared, stores) as conn:
        for tenant, cluster in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
            assert conn.execute(f"SELECT body, {PORT} FROM good_notes WHERE owner = '{tenant}'").fetchall() == [
                ("kept", cluster.port)]
        for write in (f"INSERT INTO good_notes (body, owner) VALUES ('x', '{TENANT}')",
                      f"UPDATE good_notes SET body = 'x' WHERE owner = '{TENANT}'",
                      f"DELETE FROM good_notes WHERE owner = '{TENANT}'"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
                conn.execute(write)
    assert bodies(stores) == (["kept"], ["kept"])


def test_tables_of_other_classes(declared, stores):
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, f"INSERT INTO countries VALUES ('{cluster.port}')")
        cluster.execute(stores.dbname, f"INSERT INTO drafts VALUES ('{TENANT}', '{cluster.port}')")
    with connect(declared, stores) as conn:
        assert conn.execute(f"SELECT body FROM drafts WHERE tenant = '{TENANT}'").fetchone() == (str(stores.dedicated.port),)
        joined = "SELECT code FROM countries, drafts WHERE tenant = '{t}'"
        assert conn.execute(joined.format(t=TENANT)).fetchone() == (str(stores.dedicated.port),)
        assert conn.execute(f"SELECT count(*) FROM prices, drafts WHERE tenant = '{NOBODY}'").fetchone() == (0,)
        for refused in (f"SELECT count(*) FROM prices, drafts WHERE tenant = '{TENANT}'",
                        f"SELECT append_note('x', '{TENANT}') FROM prices",
                        f"INSERT INTO prices SELECT 1 FROM notes WHERE tenant_id = '{TENANT}'",
                        "INSERT INTO countries VALUES ('x')", "TRUNCATE countries"):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="cross_store_statement"):
                conn.execute(refused)


def test_what_is_not_so_in_the_store_is_said_and_refuses_a_start(stores, make_proxy):
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, SCHEMA)
    wrong = {
        "twice(tenant_arg=tenant)": "differ in the declared argument",
        "append_note(tenant_arg=4)": "an overload without the declared argument",
        "anything(tenant_arg=1)": "no single value",
    }
    for functions, words in wrong.items():
        proxy = make_proxy({"events": {"write_functions": functions}}).start()
        assert words in proxy.log()
        with pytest.raises(psycopg.Error, match=words):
            proxy.start_migration(TENANT, "dedicated")
        proxy.stop()
    for events, words in (({"event_views": "last_notes", "table": "notes"}, "LIMIT or OFFSET"),
                          ({"event_views": "countries"}, "not a view"),
                          ({"event_views": "good_notes"}, "not made of the event table alone"),
                          ({"stream_pattern": "-(.*)", "stream_pattern_column": "version"}, "no declared table has a column"),
                          ({"companion_tables": "countries"}, "has no column \"tenant_id\" for its tenant")):
        proxy = make_proxy({"events": events}).start()
        assert words in proxy.log()
        proxy.stop()


def test_start_refuses_what_it_cannot_move(stores, make_proxy):
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, SCHEMA)
    stores.fill({TENANT: 10})
    proxy = make_proxy({"events": {"companion_tables": "drafts(tenant_column=tenant)"}}).start()
    with pytest.raises(psycopg.errors.InvalidColumnReference, match='companion table "public"."drafts".* has no primary key'):
        proxy.start_migration(TENANT, "dedicated")
    assert proxy.admin("SHOW MIGRATIONS ALL") == []


@pytest.fixture
def namesakes(stores, make_proxy):
    """A partitioned event table, another table of its name in schema aside; TENANT lives in dedicated."""
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, f"""
SET ROLE {OWNER};
CREATE TABLE parts (id bigint, tenant_id uuid, body text) PARTITION BY RANGE (id);
CREATE TABLE parts_low (body text, id bigint, tenant_id uuid);
ALTER TABLE parts ATTACH PARTITION parts_low FOR VALUES FROM (0) TO (100);
GRANT ALL ON ALL TABLES IN SCHEMA public TO {APP};
RESET ROLE;
CREATE SCHEMA aside AUTHORIZATION {OWNER};
CREATE TABLE aside.parts (id bigint, tenant_id uuid, body text);
GRANT ALL ON SCHEMA aside TO {APP};
GRANT ALL ON ALL TABLES IN SCHEMA aside TO {APP};
""")
    proxy = make_proxy({"events": {"table": "parts", "position_column": "id"}}).start()
    live_in(stores, TENANT, "dedicated")
    wait_home(proxy, TENANT, "dedicated")
    return proxy


INSERT_PART = f"INSERT INTO parts VALUES (1, '{TENANT}', 'x') RETURNING {PORT}"


def test_partitions_are_the_event_table_and_a_namesake_is_not(namesakes, stores):
    insert = INSERT_PART
    with connect(namesakes, stores) as conn:
        for where in ("parts", "parts_low"):
            values = f"(1, '{TENANT}', 'x')" if where == "parts" else f"('x', 1, '{TENANT}')"
            assert conn.execute(f"INSERT INTO {where} VALUES {values} RETURNING {PORT}").fetchone()[0] == stores.dedicated.port
        conn.execute("SET search_path TO aside, public")
        assert conn.execute(insert).fetchone()[0] == stores.shared.port
        conn.execute("SET search_path TO public, aside")
        assert conn.execute(insert).fetchone()[0] == stores.dedicated.port
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL search_path TO aside")
            assert conn.execute(insert).fetchone()[0] == stores.shared.port
        assert conn.execute(insert).fetchone()[0] == stores.dedicated.port
        conn.execute("RESET search_path")
        assert conn.execute(insert).fetchone()[0] == stores.dedicated.port
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            conn.execute(f"SET search_path TO aside; {insert}")
    for begun in ({"options": "-c search_path=aside,public"}, {"options": "--search-path=aside -c geqo=off"}):
        with connect(namesakes, stores, **begun) as conn:
            assert conn.execute(insert).fetchone()[0] == stores.shared.port
            conn.execute("SET search_path TO public")
            assert conn.execute(insert).fetchone()[0] == stores.dedicated.port
            conn.execute("RESET ALL")
            assert conn.execute(insert).fetchone()[0] == stores.shared.port


def test_a_prepared_statement_means_what_its_names_mean_now(namesakes, stores):
    with connect(namesakes, stores) as conn:
        conn.execute(f"PREPARE mine (uuid) AS INSERT INTO parts VALUES (1, $1, 'x') RETURNING {PORT}")
        for path, cluster in (("public", stores.dedicated), ("aside", stores.shared), ("public", stores.dedicated),
                              ("aside, public", stores.shared)):
            conn.execute(f"SET search_path TO {path}")
            assert conn.execute(INSERT_PART, prepare=True).fetchone()[0] == cluster.port
            assert conn.execute(f"EXECUTE mine ('{TENANT}')").fetchone()[0] == cluster.port
        conn.execute("SET search_path TO public")
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL search_path TO aside")
            assert conn.execute(INSERT_PART, prepare=True).fetchone()[0] == stores.shared.port
        assert conn.execute(INSERT_PART, prepare=True).fetchone()[0] == stores.dedicated.port
        conn.execute("CREATE TEMPORARY TABLE parts (a int, b uuid, c text)")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            conn.execute(INSERT_PART, prepare=True)


def test_a_role_of_a_schemas_name_is_not_guessed(namesakes, stores):
    """"$user" comes first on PostgreSQL's own search_path: the schema of that name hides public."""
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, f"CREATE SCHEMA {APP} AUTHORIZATION {APP}")
        cluster.execute(stores.dbname, f"CREATE TABLE {APP}.parts (id bigint, tenant_id uuid, body text)")
        cluster.execute(stores.dbname, f"GRANT ALL ON {APP}.parts TO {APP}")
    wait_until("the namesake is known", lambda: namesakes.admin(f"EXPLAIN ROUTE {INSERT_PART}")[0]["tenant"] is None)
    with connect(namesakes, stores) as conn:
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            conn.execute(INSERT_PART)
        conn.execute("SET search_path TO public")
        assert conn.execute(INSERT_PART).fetchone()[0] == stores.dedicated.port
        conn.execute('SET search_path TO "$user", public')
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            conn.execute(INSERT_PART)
        assert conn.execute(INSERT_PART.replace("parts", "public.parts")).fetchone()[0] == stores.dedicated.port


def test_a_database_that_is_mapped_is_its_tenant(stores, make_proxy):
    proxy = make_proxy({"routing": {"database.acme": f"tenant:{TENANT}", "database.other": f"tenant:{OTHER}",
                                    f"user.{APP}": f"tenant:{TENANT}"}}).start()
    live_in(stores, TENANT, "dedicated")
    wait_home(proxy, TENANT, "dedicated")
    count = f"SELECT current_database(), {PORT}, count(*) FROM events"
    with connect(proxy, stores, dbname="acme") as conn:
        assert conn.execute(f"SELECT {PORT}").fetchone() == (stores.dedicated.port,)  # at home from the first statement on
        assert conn.execute(count).fetchone() == (stores.dbname, stores.dedicated.port, 0)
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="the database's mapping"):
            conn.execute(f"SELECT 1 FROM events WHERE tenant_id = '{OTHER}'")
    with pytest.raises(psycopg.OperationalError, match="conflicting_evidence"):
        connect(proxy, stores, dbname="other")
    with connect(proxy, stores) as conn:  # by the user alone
        assert conn.execute(count).fetchone() == (stores.dbname, stores.dedicated.port, 0)
