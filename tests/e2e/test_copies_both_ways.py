"""COPY in every format, with errors half way in both directions; pipelines with errors inside; function calls; what is too
large to keep. Each told to the server itself and through the proxy, with the tenant at home and away."""
import struct

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until
from test_keeps_the_session import conn, moved_few, one, sqlstate, where  # noqa: F401 (fixtures)

MINE = f"(SELECT event_id, version, payload FROM events WHERE tenant_id = '{TENANT}' ORDER BY global_position)"


@pytest.fixture
def raw(where):
    client = wire.RawClient(where.stores.shared.port if where.proxy is None else where.proxy.port)
    client.login(APP, APP_PASSWORD, where.stores.dbname)
    client.send(wire.query(f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1"))
    client.until("Z")
    with client:
        yield client


def kinds(messages):
    return "".join(message.kind for message in messages if message.kind not in "SNA")


def states(messages):
    return [message.fields()["C"] for message in messages if message.kind == "E"]


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_out_of_the_tenants_store_and_into_a_table(where, conn, form):
    conn.execute("CREATE TEMP TABLE copied (event_id uuid, version int, payload jsonb)")
    with conn.cursor() as out, where.connect() as second, second.cursor() as back:
        second.execute("CREATE TEMP TABLE copied (event_id uuid, version int, payload jsonb)")
        with out.copy(f"COPY {MINE} TO STDOUT (FORMAT {form})") as source, \
                back.copy(f"COPY copied FROM STDIN (FORMAT {form})") as target:
            for data in source:
                target.write(data)
        assert one(second, "SELECT count(*), count(DISTINCT event_id) FROM copied") == (20, 20)


def test_errors_in_the_middle_of_copy_in(where, raw):
    raw.send(wire.query("CREATE TEMP TABLE lines (n int)"))
    raw.until("Z")
    # the server's error; what is still sent is skipped
    raw.send(wire.query("COPY lines FROM STDIN"))
    raw.until("G")
    raw.send(wire.copy_data(b"1\nnonsense\n") + wire.copy_data(b"2\n") * 1000 + wire.copy_done())
    assert states(raw.until("Z")) == ["22P02"]
    # the client's own
    raw.send(wire.query("COPY lines FROM STDIN"))
    raw.until("G")
    raw.send(wire.copy_data(b"1\n") + wire.copy_fail("changed my mind"))
    answer = raw.until("Z")
    assert states(answer) == ["57014"] and "changed my mind" in answer[0].fields()["M"]
    # in extended protocol, with the Sync that libpq sends at once
    raw.send(wire.parse("COPY lines FROM STDIN") + wire.bind() + wire.execute() + wire.sync())
    raw.until("G")
    raw.send(wire.copy_data(b"x\n") + wire.copy_done() + wire.sync())
    assert states(raw.until("Z")) == ["22P02"]
    raw.send(wire.parse("COPY lines FROM STDIN") + wire.bind() + wire.execute() + wire.sync())
    raw.until("G")
    raw.send(wire.copy_data(b"7\n") + wire.copy_done() + wire.sync())
    assert kinds(raw.until("Z")) == "CZ"
    raw.send(wire.query("SELECT count(*) FROM lines"))
    assert [m.values() for m in raw.until("Z") if m.kind == "D"] == [[b"1"]]


def test_another_message_in_the_middle_of_copy_in(where, raw):
    raw.send(wire.query("CREATE TEMP TABLE lines (n int)"))
    raw.until("Z")
    raw.send(wire.query("COPY lines FROM STDIN"))
    raw.until("G")
    raw.send(wire.copy_data(b"1\n") + wire.query("SELECT 1"))
    seen = []
    with pytest.raises(wire.Gone):
        while True:
            seen.append(raw.read())
    assert [(m.fields()["S"], m.fields()["C"]) for m in seen if m.kind == "E"][-1] == ("FATAL", "08P01")


def test_copy_out_that_fails(where, raw):
    raw.send(wire.query("COPY (SELECT 100 / (500 - n) FROM generate_series(1, 1000) n) TO STDOUT"))
    answer = raw.until("Z")
    assert states(answer) == ["22012"] and kinds(answer)[0] == "H" and len([m for m in answer if m.kind == "d"]) > 0
    raw.send(wire.query(f"COPY {MINE} TO STDOUT; SELECT 2"))
    answer = raw.until("Z")
    assert len([m for m in answer if m.kind == "d"]) == 20 and [m.values() for m in answer if m.kind == "D"] == [[b"2"]]


def test_a_client_that_vanishes_in_copy_in_leaves_nothing(where, raw):
    columns = "event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload"
    row = (f"99999999-0000-4000-8000-000000000001\t99999999-0000-4000-8000-000000000001\tO\tP\t{OTHER}\t77\t"
           "2024-01-01\t{}\n").encode()
    raw.send(wire.query(f"SET app.tenant_id = '{OTHER}'") + wire.query(f"COPY events ({columns}) FROM STDIN"))
    raw.until("Z")
    while (answer := raw.read()).kind != "G":
        if answer.kind == "E":
            assert answer.fields()["M"].startswith("unattributed_write"), answer      # rows are not read yet
            return
    raw.send(wire.copy_data(row))
    raw.close()
    wait_until("its server has gone", lambda: where.stores.shared.value(where.stores.dbname, (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = current_database()")) == 0)
    assert where.stores.counts(OTHER)[0] == 10


def test_pipelines_with_errors_inside(where, raw):
    good = wire.parse("SELECT 1") + wire.bind() + wire.execute()
    mine = wire.parse(f"SELECT 2 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1") + wire.bind() + wire.execute()
    bad = wire.parse("SELECT 1/0") + wire.bind() + wire.execute()
    wrong = wire.parse("SELEC") + wire.bind() + wire.execute()
    raw.send(good + mine + bad + good + wire.sync() + mine + wire.sync() + wrong + good + wire.sync() + good + mine + wire.sync())
    answers = [raw.until("Z") for _ in range(4)]
    assert [kinds(answer) for answer in answers] == ["12DC12DC1EZ", "12DCZ", "EZ", "12DC12DCZ"]
    assert states(answers[0]) == ["22012"] and states(answers[2]) == ["42601"]
    raw.send(wire.query("BEGIN") + bad + wire.sync() + mine + wire.sync() + wire.query("ROLLBACK") + mine + wire.sync())
    answers = [raw.until("Z") for _ in range(5)]
    assert [states(answer) for answer in answers] == [[], ["22012"], ["25P02"], [], []]
    assert [answer[-1].body for answer in answers] == [b"T", b"E", b"E", b"I", b"I"]


def test_function_calls(where, raw):
    """The fastpath of libpq's large objects, by oid; an error in it, and the statement behind it."""
    raw.send(wire.query("BEGIN"))
    raw.until("Z")
    raw.send(wire.function_call(957, [struct.pack("!i", 0x60000)]))             # lo_creat
    (oid,) = [m.body[4:] for m in raw.until("Z") if m.kind == "V"]
    raw.send(wire.function_call(952, [oid, struct.pack("!i", 0x60000)]))        # lo_open
    (descriptor,) = [m.body[4:] for m in raw.until("Z") if m.kind == "V"]
    raw.send(wire.function_call(955, [descriptor, b"x" * 300000]))              # lowrite
    assert [m.body[4:] for m in raw.until("Z") if m.kind == "V"] == [struct.pack("!i", 300000)]
    raw.send(wire.function_call(999999, []))
    assert states(raw.until("Z")) == ["42883"]
    raw.send(wire.query("ROLLBACK"))
    assert raw.until("Z")[-1].body == b"I"


def test_binary_results_and_row_descriptions(where, raw):
    asking = "SELECT version, tenant_id, payload, now() - now() AS nothing FROM events WHERE tenant_id = $1 AND version = 1"
    raw.send(wire.parse(asking, name="s", types=(2950,)) + wire.describe("S", "s") + wire.sync())
    described = raw.until("Z")
    assert kinds(described) == "1tTZ"
    value = bytes.fromhex(TENANT.replace("-", ""))
    raw.send(wire.bind([value], name="s", formats=(1,), result_formats=(1,)) + wire.describe("P") + wire.execute()
             + wire.sync())
    answer = raw.until("Z")
    rows = [m.values() for m in answer if m.kind == "D"]
    assert kinds(answer)[:2] == "2T" and rows and rows[0][0] == struct.pack("!i", 1) and rows[0][1] == value


def rss_megabytes(proxy):
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


@pytest.mark.undisturbed
def test_a_statement_and_a_row_that_are_larger_than_anything(where, raw):
    if where.proxy is None:
        pytest.skip("there is nothing to measure")
    before = rss_megabytes(where.proxy)
    most = 0
    if where.home is where.stores.shared:                   # too long to be read: only while all tenants are at home
        raw.send(wire.query("SELECT length('" + "z" * 80_000_000 + "')"))
        assert [m.values() for m in raw.until("Z") if m.kind == "D"] == [[b"80000000"]]
        most = rss_megabytes(where.proxy) - before
    raw.send(wire.query(f"SELECT repeat('x', 300000000) FROM events WHERE tenant_id = '{TENANT}' LIMIT 1"))
    seen = 0
    while seen < 300_000_000:
        seen += len(raw.socket.recv(1 << 20))
        most = max(most, rss_megabytes(where.proxy) - before)
    assert most < 32, f"{most} MB more"


def test_a_named_portal_stays_where_it_was_opened(where, raw):
    mine = wire.parse(f"SELECT version, current_setting('port') FROM events WHERE tenant_id = '{TENANT}'", name="mine")
    others = wire.parse(f"SELECT version FROM events WHERE tenant_id = '{OTHER}' LIMIT 1") + wire.bind() + wire.execute()
    raw.send(wire.query("BEGIN") + mine + wire.bind(name="mine", portal="p") + wire.execute("p", rows=3) + wire.sync())
    raw.until("Z")
    assert kinds(raw.until("Z")) == "12DDDsZ"
    for _ in range(2):
        raw.send(others + wire.sync() + wire.execute("p", rows=2) + wire.sync())
        assert kinds(raw.until("Z")) == "12DCZ"
        answer = raw.until("Z")
        assert kinds(answer) == "DDsZ", answer
        assert [m.values()[1] for m in answer if m.kind == "D"] == [str(where.home.port).encode()] * 2
    raw.send(wire.describe("P", "p") + wire.close("P", "p") + wire.sync() + wire.query("COMMIT"))
    assert kinds(raw.until("Z")) == "T3Z"
    assert raw.until("Z")[-1].body == b"I"
