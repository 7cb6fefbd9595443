"""COPY … FROM STDIN into the event table says its tenants in its rows: each COPY goes where they live, in every format and
protocol, and a row that belongs elsewhere stops it before anything of it is stored. Where the rows are is read in the
databases themselves."""
import subprocess
import threading
import uuid

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, THIRD, connect
from eventstore import APP, APP_PASSWORD, OWNER
from events import Appender
from pgcluster import wait_until

COLUMNS = "event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload"
TYPES = ["uuid", "uuid", "varchar", "varchar", "uuid", "int4", "timestamptz", "jsonb"]
PAYLOAD = '{"note": "tab\\t, comma, \\"quotes\\"\\nline"}'


def row(tenant, event=None):
    return (event or uuid.uuid4(), uuid.uuid4(), "Order", "OrderPlaced", tenant and uuid.UUID(tenant), 1,
            "2024-05-01 00:00:00+00", psycopg.types.json.Jsonb({"note": 'tab\t, "quotes"\nline \\. \\N'}))


def line(tenant, event=None, payload="{}"):
    """The same as a line of text."""
    return (f"{event or uuid.uuid4()}\t{uuid.uuid4()}\tOrder\tOrderPlaced\t{tenant or chr(92) + 'N'}\t1\t2024-05-01\t"
            f"{payload}\n").encode()


def landed(stores):
    """{tenant: (rows in shared, rows in dedicated)} of what COPY has written, and empties the stores of it."""
    found = {}
    for at, cluster in enumerate((stores.shared, stores.dedicated)):
        for tenant, count in cluster.rows(stores.dbname, "SELECT tenant_id::text, count(*) FROM events"
                                          " WHERE event_type = 'OrderPlaced' AND timestamp = '2024-05-01' GROUP BY 1"):
            found.setdefault(tenant, [0, 0])[at] = count
    return {tenant: tuple(counts) for tenant, counts in found.items()}


def text_copy(conn, data, columns=COLUMNS, options=""):
    with conn.cursor() as cursor:
        with cursor.copy(f"COPY events ({columns}) FROM STDIN {options}") as copy:
            for piece in [data] if isinstance(data, bytes) else data:
                copy.write(piece)
        return cursor.rowcount


def refusal(conn, data, **more):
    with pytest.raises(psycopg.Error) as refused:
        text_copy(conn, data, **more)
    return refused.value


@pytest.fixture
def raw(proxy, stores):
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        yield client


@pytest.fixture
def away(proxy, stores):
    """TENANT lives in dedicated."""
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, "CREATE TABLE lines (n int)")
        cluster.execute(stores.dbname, f"ALTER TABLE lines OWNER TO {OWNER}")
        cluster.execute(stores.dbname, f"GRANT ALL ON lines TO {APP}")
    stores.fill({TENANT: 20, OTHER: 10})
    return proxy.move(TENANT, "dedicated")


def kinds(messages):
    return "".join(message.kind for message in messages if message.kind not in "SNA")


def errors(messages):
    return [message.fields() for message in messages if message.kind == "E"]


def test_in_every_format_it_goes_where_its_tenant_lives(stores, away, app):
    for tenant in (TENANT, OTHER):
        for form in ("text", "csv", "binary"):
            with app.cursor() as cursor:
                with cursor.copy(f"COPY events ({COLUMNS}) FROM STDIN (FORMAT {form})") as copy:
                    if form == "csv":
                        copy.write("".join(f'{uuid.uuid4()},{uuid.uuid4()},"Order",OrderPlaced,"{tenant.upper()}",1,'
                                           f'2024-05-01,"{{""a"": ""b,\\n{n}""}}"\r\n' for n in range(50)))
                    else:
                        if form == "binary":
                            copy.set_types(TYPES)
                        for _ in range(50):
                            copy.write_row([*row(tenant)[:6], psycopg.types.datetime.datetime(
                                2024, 5, 1, tzinfo=psycopg.types.datetime.timezone.utc), row(tenant)[7]])
                assert cursor.rowcount == 50
    # the tenant first, last, in the middle; old spellings; a header
    text_copy(app, f"{TENANT}|{uuid.uuid4()}|{uuid.uuid4()}|O|OrderPlaced|2|2024-05-01|{{}}\n".encode(),
              columns="tenant_id, event_id, aggregate_id, aggregate_type, event_type, version, timestamp, payload",
              options="WITH DELIMITER AS '|'")
    text_copy(app, f"event\n{{}};{uuid.uuid4()};{uuid.uuid4()};O;OrderPlaced;2;2024-05-01;'{TENANT}'\n".encode(),
              columns="payload, event_id, aggregate_id, aggregate_type, event_type, version, timestamp, tenant_id",
              options="CSV HEADER DELIMITER ';' QUOTE ''''")
    # without a list: the table's own order
    with app.cursor() as cursor, cursor.copy("COPY events FROM STDIN") as copy:
        copy.write(f"900001\t{uuid.uuid4()}\t{uuid.uuid4()}\tO\tOrderPlaced\t{TENANT}\t\\N\t1\t2024-05-01\t{{}}\tnow\n")
    assert landed(stores) == {TENANT: (0, 153), OTHER: (150, 0)}


def test_psql_copies_a_file(stores, away, proxy, tmp_path):
    file = tmp_path / "events.csv"
    file.write_text("tenant_id,event_id,aggregate_id,aggregate_type,event_type,version,timestamp,payload\n" + "".join(
        f'{TENANT},{uuid.uuid4()},{uuid.uuid4()},O,OrderPlaced,1,2024-05-01,"{{}}"\n' for _ in range(1000)))
    columns = "tenant_id, event_id, aggregate_id, aggregate_type, event_type, version, timestamp, payload"
    psql = ["psql", "-X", "-v", "ON_ERROR_STOP=1", proxy.conninfo(stores.dbname, APP, APP_PASSWORD)]
    done = subprocess.run([*psql, "-c", f"\\copy events ({columns}) FROM '{file}' CSV HEADER"], capture_output=True,
                          text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "COPY 1000"), done.stderr
    file.write_text("header\n" + "".join(
        f"{tenant},{uuid.uuid4()},{uuid.uuid4()},O,OrderPlaced,1,2024-05-01,{{}}\n" for tenant in [TENANT] * 1000 + [OTHER]))
    done = subprocess.run([*psql, "-c", f"\\copy events ({columns}) FROM '{file}' CSV HEADER"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode != 0 and "cross_store_statement: COPY, line 1002" in done.stderr, done.stderr
    assert landed(stores) == {TENANT: (0, 1000)}


def test_a_row_of_another_store_stops_it(stores, away, app, proxy):
    for first, second in ((TENANT, OTHER), (OTHER, TENANT), (None, TENANT), (TENANT, None)):
        error = refusal(app, [b"".join(line(first) for _ in range(500)), line(second)] +
                        [line(second) for _ in range(2000)])
        assert error.sqlstate == "0A000", error
        assert error.diag.message_primary.startswith("cross_store_statement: COPY, line 501:"), error
        assert "dedicated" in str(error) and "shared" in str(error) and (second or "NULL") in str(error)
        assert error.diag.message_hint
    assert landed(stores) == {}
    # inside a transaction it is aborted, and what it had written is undone
    with connect(proxy, stores, autocommit=False) as conn:
        conn.execute("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp,"
                     f" payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'OrderPlaced', '{OTHER}', 1,"
                     " '2024-05-01', '{}')")
        assert refusal(conn, [line(OTHER), line(TENANT)]).sqlstate == "0A000"
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            conn.execute("SELECT 1")
        conn.rollback()
        assert conn.execute("SELECT 1").fetchone() == (1,)
        # a savepoint saves what stood before
        conn.rollback()
        text_copy(conn, line(TENANT))
        conn.execute("SAVEPOINT s")
        assert refusal(conn, [line(TENANT), line(OTHER)]).sqlstate == "0A000"
        conn.execute("ROLLBACK TO s")
        text_copy(conn, line(TENANT))
        conn.commit()
        # one store per transaction
        text_copy(conn, line(OTHER))
        error = refusal(conn, line(TENANT))
        assert error.sqlstate == "0A000" and "cross_store_transaction" in str(error), error
        conn.rollback()
    assert landed(stores) == {TENANT: (0, 2)}


def test_rows_whose_tenant_cannot_be_told(stores, away, app):
    good = line(OTHER)
    for bad, why in ((good.replace(OTHER.encode(), b"nonsense"), "not a value"), (b"a\tb\n", "too few columns"),
                     (good[:-1] + b"\r\n", "line ends otherwise"), (good.replace(OTHER.encode(), b"x" * 2000), "longer")):
        error = refusal(app, [good, good.replace(b"Order\t", b"Order2\t"), bad, good])
        assert error.sqlstate == "0A000", error
        assert error.diag.message_primary.startswith("unattributed_write: COPY, line 3:"), error
        assert why in error.diag.message_detail
    error = refusal(app, good.replace(OTHER.encode(), b"nonsense"))
    assert error.diag.message_primary.startswith("unattributed_write: COPY, line 1:"), error
    for options in ("WHERE version = 1", "(ENCODING 'SJIS')"):
        assert "unattributed_write" in str(refusal(app, line(OTHER), options=options))
    app.execute("SET client_encoding = 'SJIS'")
    assert "unattributed_write" in str(refusal(app, line(OTHER)))
    app.execute("SET client_encoding = 'LATIN1'")
    text_copy(app, line(TENANT))
    app.execute("RESET client_encoding")
    assert landed(stores) == {TENANT: (0, 1)}


def test_with_default_store_unreadable_rows_are_the_servers(stores, make_proxy):
    proxy = make_proxy({"routing": {"unattributed_writes": "default_store"}}).start()
    stores.fill({TENANT: 20, OTHER: 10})
    proxy.move(TENANT, "dedicated")
    with connect(proxy, stores) as app:
        assert refusal(app, line(OTHER).replace(OTHER.encode(), b"nonsense")).sqlstate == "22P02"
        short = f"{uuid.uuid4()}\t{uuid.uuid4()}\n".encode()
        assert refusal(app, [line(OTHER), short]).sqlstate == "22P04"
        assert refusal(app, [line(TENANT), short]).sqlstate == "0A000"
        text_copy(app, line(TENANT))
        text_copy(app, line(OTHER))
    assert landed(stores) == {TENANT: (0, 1), OTHER: (1, 0)}


def test_the_servers_own_errors(stores, away, app, proxy):
    event = uuid.uuid4()
    text_copy(app, line(TENANT, event))
    assert refusal(app, [line(TENANT), line(TENANT, event)]).sqlstate == "23505"
    assert refusal(app, line(TENANT).replace(b"2024-05-01", b"never")).sqlstate == "22007"
    with pytest.raises(psycopg.errors.UndefinedColumn):          # before any row, as without a proxy
        with app.cursor() as cursor, cursor.copy(f"COPY events ({COLUMNS}, nonsense) FROM STDIN"):
            raise AssertionError("it was accepted")
    with pytest.raises(psycopg.errors.UndefinedTable):
        with app.cursor() as cursor, cursor.copy("COPY nowhere FROM STDIN"):
            raise AssertionError("it was accepted")
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, f"REVOKE INSERT ON events FROM {APP}")
    assert refusal(app, line(TENANT)).sqlstate == "42501"
    assert app.execute("SELECT 1").fetchone() == (1,)
    with connect(proxy, stores, autocommit=False) as conn:
        conn.execute("SET TRANSACTION READ ONLY")
        assert refusal(conn, line(TENANT)).sqlstate in ("42501", "25006")
        assert refusal(conn, line(TENANT)).sqlstate == "25P02"
    assert landed(stores) == {TENANT: (0, 1)}


def test_no_row_at_all(stores, away, app, raw, proxy):
    assert text_copy(app, b"") == 0
    assert text_copy(app, b"\\.\n") == 0
    assert text_copy(app, b"only,a,header\n", options="CSV HEADER") == 0
    with connect(proxy, stores, autocommit=False) as conn:
        assert text_copy(conn, b"") == 0
        text_copy(conn, line(TENANT))
        conn.commit()
    raw.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
    assert kinds(raw.until("G")) == "G"
    raw.send(wire.copy_fail("changed my mind"))
    answer = raw.until("Z")
    assert [error["C"] for error in errors(answer)] == ["57014"] and "changed my mind" in errors(answer)[0]["M"]
    # half a row, then the end of the client's wish
    raw.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
    raw.until("G")
    raw.send(wire.copy_data(line(TENANT)[:60]) + wire.copy_fail("no"))
    assert [error["C"] for error in errors(raw.until("Z"))] == ["57014"]
    # what does not belong there
    raw.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
    raw.until("G")
    raw.send(wire.query("SELECT 1"))
    assert [(error["S"], error["C"]) for error in errors(raw.until_end())] == [("FATAL", "08P01")]
    assert landed(stores) == {TENANT: (0, 1)}


def test_bytes_cut_anywhere(stores, away, raw):
    rows = b"".join(line(TENANT) for _ in range(3))
    header = bytes.fromhex("5047434f50590aff0d0a00") + bytes(8)
    for size in (1, 7, 333):
        raw.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
        raw.until("G")
        for at in range(0, len(rows), size):
            raw.send(wire.copy_data(rows[at:at + size]))
        raw.send(wire.copy_data(b"") + wire.copy_done())
        assert kinds(raw.until("Z")) == ("CZ" if size == 1 else "EZ")            # their ids are there already
    # one message in many segments
    message = wire.copy_data(line(TENANT) + line(TENANT))
    raw.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
    raw.until("G")
    for byte in message:
        raw.send(bytes([byte]))
    raw.send(wire.copy_done())
    assert kinds(raw.until("Z")) == "CZ"
    raw.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN BINARY"))
    answer = raw.until("G")
    assert answer[-1].body == b"\x01\x00\x08" + b"\x00\x01" * 8
    for byte in header + b"\xff\xff":
        raw.send(wire.copy_data(bytes([byte])))
    raw.send(wire.copy_done())
    assert kinds(raw.until("Z")) == "CZ"
    assert landed(stores) == {TENANT: (0, 5)}


@pytest.mark.parametrize("pool_mode", ["session", "transaction"])
def test_in_the_extended_protocol(stores, make_proxy, pool_mode):
    proxy = make_proxy({"pgshunt": {"pool_mode": pool_mode}}).start()
    stores.fill({TENANT: 20, OTHER: 10})
    proxy.move(TENANT, "dedicated")
    start = (wire.parse(f"COPY events ({COLUMNS}) FROM STDIN") + wire.bind() + wire.describe("P") + wire.execute() +
             wire.sync())
    with wire.RawClient(proxy.port) as raw:
        raw.login(APP, APP_PASSWORD, stores.dbname)
        for tenant in (TENANT, OTHER, TENANT):
            raw.send(start)
            assert kinds(raw.until("G")) == "12nG"
            raw.send(wire.copy_data(line(tenant)) + wire.copy_data(line(tenant)) + wire.copy_done() + wire.sync())
            assert kinds(raw.until("Z")) == "CZ"
        raw.send(start)
        raw.until("G")
        raw.send(wire.copy_data(line(TENANT)) + wire.copy_data(line(OTHER)) * 100 + wire.copy_done() + wire.sync())
        answer = raw.until("Z")
        assert kinds(answer) == "EZ" and errors(answer)[0]["M"].startswith("cross_store_statement: COPY, line 2")
        raw.send(start)
        raw.until("G")
        raw.send(wire.copy_data(b"nonsense\n") + wire.copy_done() + wire.sync())
        assert errors(raw.until("Z"))[0]["M"].startswith("unattributed_write: COPY, line 1")
        # in a block, named, with others in one pipeline
        mine = wire.parse(f"SELECT 2 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1") + wire.bind() + wire.execute()
        raw.send(wire.query("BEGIN") + mine + wire.parse(f"COPY events ({COLUMNS}) FROM STDIN", name="c") +
                 wire.bind(name="c", portal="p") + wire.execute("p"))
        assert kinds(raw.until("G")) == "CZ12DC12G"
        raw.send(wire.copy_data(line(TENANT)) + wire.copy_done() + wire.close("P", "p") + mine + wire.sync())
        assert kinds(raw.until("Z")) == "C312DCZ"
        raw.send(wire.query("COMMIT"))
        raw.until("Z")
        raw.send(wire.query("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'pgshunt_copy%'"))
        assert [m.values() for m in raw.until("Z") if m.kind == "D"] == [[b"0"]]
    assert landed(stores) == {TENANT: (0, 5), OTHER: (2, 0)}


def test_among_other_statements_of_one_message(stores, away, raw):
    """Its store is the others', else the default store; rows of others stop all of it."""
    insert = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
              f" VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'OrderPlaced', '{TENANT}', 1, '2024-05-01', '{{}}')")
    copy = f"COPY events ({COLUMNS}) FROM STDIN"
    raw.send(wire.query(f"{copy}; {insert}; {copy}"))
    raw.until("G")
    raw.send(wire.copy_data(line(TENANT)) + wire.copy_done())
    assert kinds(raw.until("G")) == "CCG"
    raw.send(wire.copy_data(line(TENANT)) + wire.copy_done())
    assert kinds(raw.until("Z")) == "CZ"
    raw.send(wire.query(f"{copy}; SELECT 1; COPY lines FROM STDIN; {copy}"))
    raw.until("G")
    raw.send(wire.copy_data(line(OTHER)) + wire.copy_done())
    raw.until("G")
    raw.send(wire.copy_data(b"7\n") + wire.copy_done())
    raw.until("G")
    raw.send(wire.copy_data(line(OTHER)) + wire.copy_data(line(TENANT)) + wire.copy_done())
    answer = raw.until("Z")
    assert errors(answer)[0]["M"].startswith("cross_store_statement: COPY, line 2"), answer
    raw.send(wire.query("SELECT count(*) FROM lines"))
    assert [m.values() for m in raw.until("Z") if m.kind == "D"] == [[b"0"]]
    assert landed(stores) == {TENANT: (0, 3)}


def test_what_stands_around_places_it_and_must_agree(stores, away, app, proxy):
    app.execute(f"SET app.tenant_id = '{TENANT}'")
    text_copy(app, line(TENANT))
    error = refusal(app, [line(TENANT), line(OTHER)])
    assert error.sqlstate == "0A000" and "COPY, line 2" in str(error) and "setting" in str(error), error
    with pytest.raises(psycopg.errors.UndefinedColumn):
        with app.cursor() as cursor, cursor.copy("COPY events (tenant_id, nonsense) FROM STDIN"):
            raise AssertionError("it was accepted")
    app.execute("RESET app.tenant_id")
    with app.cursor() as cursor:
        with pytest.raises(psycopg.Error) as refused:
            with cursor.copy(f"COPY events ({COLUMNS}) FROM STDIN /*tenant_id='{TENANT}'*/") as copy:
                copy.write(line(OTHER))
        assert refused.value.sqlstate == "0A000" and "comment" in str(refused.value)
    # the rows' tenant is the transaction's from then on, and a statement of the transaction's does not bind the rows
    with connect(proxy, stores, autocommit=False) as conn:
        text_copy(conn, line(TENANT))
        count, port = conn.execute("SELECT count(*), current_setting('port')::int FROM events").fetchone()
        assert port == stores.dedicated.port and count > 20
        conn.commit()
        conn.execute("SELECT 1 FROM events WHERE tenant_id = %s LIMIT 1", [uuid.UUID(TENANT)])
        text_copy(conn, line(OTHER))
        conn.commit()
    assert landed(stores) == {TENANT: (0, 2), OTHER: (1, 0)}


def test_a_row_larger_than_anything(stores, away, raw, proxy):
    def rss_mb():
        with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as status:
            return next(int(entry.split()[1]) for entry in status if entry.startswith("VmRSS")) / 1024

    before = most = rss_mb()
    piece = wire.copy_data(b"x" * 1_000_000)
    raw.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
    raw.until("G")
    raw.send(wire.copy_data(line(TENANT)[:-3] + b'{"a": "'))
    for _ in range(40):
        raw.send(piece)
        most = max(most, rss_mb())
    raw.send(wire.copy_data(b'"}\n') + wire.copy_done())
    assert kinds(raw.until("Z")) == "CZ"
    with open(f"/proc/{proxy.process.pid}/maps", encoding="ascii", errors="replace") as maps:
        assert most - before < 32 or "libasan" in maps.read(), f"{most - before} MB more"
    # so much before the tenant that nobody can wait for it
    raw.send(wire.query("COPY events (payload, tenant_id) FROM STDIN"))
    raw.until("G")
    raw.send(wire.copy_data(b'{"a": "') + piece * 20)
    answer = raw.until("Z")
    assert errors(answer)[0]["M"].startswith("unattributed_write: COPY, line 1"), answer
    raw.send(wire.copy_data(b"more") + wire.copy_done() + wire.query("SELECT 1"))
    assert kinds(raw.until("Z")) == "TDCZ"
    assert landed(stores) == {TENANT: (0, 1)}


def test_a_paused_tenants_rows_wait_and_go_to_their_new_home(stores, proxy):
    """Before its first row a COPY counts for every migration, from then on for its tenant's alone."""
    stores.fill({TENANT: 50, OTHER: 10})
    identity = proxy.start_migration(TENANT, "dedicated", "cutover_timeout_ms = 20000")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    clients = [wire.RawClient(proxy.port) for _ in range(4)]
    mine, others, mixed, late = clients
    appender = Appender(proxy, stores, TENANT)

    def held():
        return [client["held"] for client in proxy.admin("SHOW CLIENTS")].count(True)

    try:
        for client in clients:
            client.login(APP, APP_PASSWORD, stores.dbname)
        for client, tenant in ((mine, TENANT), (others, OTHER), (mixed, OTHER)):
            client.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
            client.until("G")
            client.send(wire.copy_data(line(tenant)))
        wait_until("the rows have been read", lambda: stores.shared.value(stores.dbname, (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY events%' AND wait_event = 'ClientRead'")) == 3)
        appender.start()
        appender.wait_appended(1)
        cutover = threading.Thread(target=proxy.cutover, args=[identity])
        cutover.start()
        wait_until("the gates are closed", lambda: held() == 1, 20)
        late.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
        mixed.send(wire.copy_data(line(TENANT)))
        wait_until("both are held", lambda: held() == 3, 20)
        mine.send(wire.copy_data(line(TENANT)) + wire.copy_done())         # in flight: goes on
        assert kinds(mine.until("Z")) == "CZ"
        cutover.join(30)                                                   # OTHER's COPY is in nobody's way
        proxy.wait_state(identity, "migrated")
        others.send(wire.copy_data(line(OTHER)) + wire.copy_done())
        assert kinds(others.until("Z")) == "CZ"
        assert kinds(late.until("G")) == "G"
        late.send(wire.copy_data(line(TENANT)) + wire.copy_done())
        assert kinds(late.until("Z")) == "CZ"
        answer = mixed.until("Z")                                          # its tenants have come to live apart
        assert errors(answer)[0]["M"].startswith("cross_store_statement: COPY, line 2"), answer
    finally:
        for client in clients:
            client.close()
        appender.stop()
    assert landed(stores)[TENANT][1] == 3 and landed(stores)[OTHER] == (2, 0)


def test_truncate_and_definitions(stores, proxy, make_proxy):
    """They are about every tenant: as they come while all are at home, refused once one lives elsewhere."""
    def owner(session):
        session.execute(f"SET ROLE {OWNER}")

    stores.shared.execute(stores.dbname, f"GRANT {OWNER} TO {APP}")
    stores.dedicated.execute(stores.dbname, f"GRANT {OWNER} TO {APP}")
    with connect(proxy, stores) as app:
        owner(app)
        app.execute("ALTER TABLE events ADD COLUMN extra int")
        app.execute("ALTER TABLE events DROP COLUMN extra")
        app.execute("TRUNCATE events")
        stores.fill({TENANT: 20, OTHER: 10})
        proxy.move(TENANT, "dedicated")
        for statement in ("TRUNCATE events", "TRUNCATE TABLE ONLY public.events RESTART IDENTITY", "TRUNCATE lines, events",
                          "ALTER TABLE events ADD COLUMN extra int", "CREATE INDEX i ON events (version)",
                          "DROP TABLE events", "ALTER TABLE events RENAME TO old_events",
                          "CREATE TRIGGER t BEFORE INSERT ON events EXECUTE FUNCTION suppress_redundant_updates_trigger()"):
            with pytest.raises(psycopg.Error) as refused:
                app.execute(statement)
            assert refused.value.sqlstate == "0A000", (statement, refused.value)
            assert refused.value.diag.message_primary.startswith("unattributed_write"), (statement, refused.value)
            assert refused.value.diag.message_hint
        app.execute("CREATE TABLE another (n int)")
        app.execute("TRUNCATE another")
    assert stores.counts(TENANT)[1] == 20 and stores.counts(OTHER) == (10, 0)
