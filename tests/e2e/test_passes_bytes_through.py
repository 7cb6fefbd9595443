"""While every tenant is at home, a client cannot tell the proxy from the server."""
import os
import signal
import struct
import threading
import time

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until

INSERT = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp,"
          " payload, created_at) VALUES (%s, %s, 'Order', 'Placed', %s, 1, '2024-01-01', '{}', '2024-01-01')")


def raw(port, dbname):
    client = wire.RawClient(port)
    assert client.login(APP, APP_PASSWORD, dbname)[-1].kind == "Z"
    return client


def uuid_number(number):
    return f"'00000000-0000-4000-8000-{number:012d}'"


# Each is what a client sends, in parts; after each part it waits for one of the kinds named.
TRANSCRIPTS = {
    "one row": [(wire.query("SELECT 1, 'two', NULL, true"), "Z")],
    "an empty query": [(wire.query(""), "Z"), (wire.query(" ; -- nothing"), "Z")],
    "several statements": [(wire.query("SELECT 1; SELECT 2; SET work_mem = '1MB'; SHOW work_mem"), "Z")],
    "an error": [(wire.query("SELECT 1/0"), "Z"), (wire.query("SELECT 1"), "Z")],
    "an error in the middle": [(wire.query("SELECT 1; SELECT nonsense; SELECT 3"), "Z")],
    "a syntax error": [(wire.query("SELEKT 1"), "Z")],
    "an error with all its fields": [(wire.query(
        "DO $$ BEGIN RAISE EXCEPTION 'm' USING ERRCODE = 'P1234', DETAIL = 'd', HINT = 'h', COLUMN = 'c',"
        " CONSTRAINT = 'k', DATATYPE = 't', TABLE = 'tb', SCHEMA = 's'; END $$"), "Z")],
    "a notice": [(wire.query("DO $$ BEGIN RAISE NOTICE 'n' USING HINT = 'h'; RAISE WARNING 'w'; END $$"), "Z")],
    "a transaction": [(wire.query("BEGIN"), "Z"), (wire.query("SELECT 1"), "Z"), (wire.query("COMMIT"), "Z")],
    "a failed transaction": [(wire.query("BEGIN"), "Z"), (wire.query("SELECT 1/0"), "Z"),
                             (wire.query("SELECT 1"), "Z"), (wire.query("COMMIT"), "Z")],
    "savepoints": [(wire.query("BEGIN; SAVEPOINT a"), "Z"), (wire.query("SELECT 1/0"), "Z"),
                   (wire.query("ROLLBACK TO a"), "Z"), (wire.query("SELECT 2"), "Z"), (wire.query("ROLLBACK"), "Z")],
    "transactions chained": [(wire.query("BEGIN ISOLATION LEVEL SERIALIZABLE"), "Z"),
                             (wire.query("COMMIT AND CHAIN"), "Z"), (wire.query("SHOW transaction_isolation"), "Z"),
                             (wire.query("ROLLBACK"), "Z")],
    "warnings about transactions": [(wire.query("COMMIT"), "Z"), (wire.query("BEGIN; BEGIN"), "Z"),
                                    (wire.query("ROLLBACK"), "Z"), (wire.query("ROLLBACK"), "Z")],
    "extended": [(wire.parse("SELECT $1::int + 1") + wire.bind([b"41"]) + wire.describe("P") + wire.execute()
                  + wire.sync(), "Z")],
    "extended, binary": [(wire.parse("SELECT $1::int + 1") + wire.bind([struct.pack("!i", 41)], formats=[1],
                          result_formats=[1]) + wire.execute() + wire.sync(), "Z")],
    "parse, describe, flush, then bind": [
        (wire.parse("SELECT $1::text, $2::uuid", "s1") + wire.describe("S", "s1") + wire.flush(), "T"),
        (wire.bind([b"x", None], "s1") + wire.execute() + wire.sync(), "Z"),
        (wire.close("S", "s1") + wire.sync(), "Z"),
        (wire.bind([b"x", None], "s1") + wire.execute() + wire.sync(), "Z")],
    "portals by rows": [
        (wire.query("BEGIN"), "Z"),
        (wire.parse("SELECT generate_series(1, 10)") + wire.bind(portal="p") + wire.execute("p", 4) + wire.flush(), "s"),
        (wire.execute("p", 4) + wire.flush(), "s"), (wire.execute("p", 4) + wire.flush(), "C"),
        (wire.close("P", "p") + wire.sync(), "Z"), (wire.query("COMMIT"), "Z")],
    "a pipeline": [(b"".join(wire.parse(f"SELECT {n}") + wire.bind() + wire.execute() for n in range(20))
                    + wire.sync(), "Z")],
    "a pipeline with an error": [(b"".join(wire.parse(f"SELECT 1/{n}") + wire.bind() + wire.execute()
                                           for n in (2, 1, 0, 3)) + wire.sync(), "Z"),
                                 (wire.query("SELECT 'after'"), "Z")],
    "several syncs at once": [((wire.parse("SELECT 1") + wire.bind() + wire.execute() + wire.sync()) * 3, "Z"),
                              (b"", "Z"), (b"", "Z")],
    "queries without waiting": [(wire.query("SELECT 1") + wire.query("SELECT 2") + wire.query("BEGIN"), "Z"),
                                (b"", "Z"), (b"", "Z"), (wire.query("ROLLBACK"), "Z")],
    "a parse error": [(wire.parse("SELEKT $1") + wire.bind([b"1"]) + wire.execute() + wire.sync(), "Z")],
    "a bind error": [(wire.parse("SELECT $1::int") + wire.bind([b"x"]) + wire.execute() + wire.sync(), "Z")],
    "too few parameters": [(wire.parse("SELECT $1::int, $2::int") + wire.bind([b"1"]) + wire.sync(), "Z")],
    "an unknown statement": [(wire.bind(name="nobody") + wire.execute() + wire.sync(), "Z")],
    "an unknown portal": [(wire.execute("nobody") + wire.sync(), "Z")],
    "a statement twice": [(wire.parse("SELECT 1", "s") + wire.parse("SELECT 2", "s") + wire.sync(), "Z"),
                          (wire.bind(name="s") + wire.execute() + wire.sync(), "Z")],
    "SQL PREPARE": [(wire.query("PREPARE p (int) AS SELECT $1 * 2"), "Z"), (wire.query("EXECUTE p (21)"), "Z"),
                    (wire.bind([b"4"], "p") + wire.execute() + wire.sync(), "Z"), (wire.query("DEALLOCATE p"), "Z"),
                    (wire.query("EXECUTE p (21)"), "Z"), (wire.query("DEALLOCATE ALL"), "Z")],
    "a cursor": [(wire.query("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 5)"), "Z"),
                 (wire.query("FETCH 2 FROM c"), "Z"), (wire.query("MOVE 1 IN c; FETCH ALL FROM c; CLOSE c; COMMIT"), "Z")],
    "COPY out": [(wire.query("COPY (SELECT generate_series(1, 5), 'a\tb') TO STDOUT"), "Z"),
                 (wire.query("COPY (SELECT 1::int) TO STDOUT (FORMAT binary)"), "Z")],
    "COPY in": [(wire.query("CREATE TEMP TABLE t (a int, b text)"), "Z"), (wire.query("COPY t FROM STDIN"), "G"),
                (wire.copy_data(b"1\tone\n2\t") + wire.copy_data(b"two\n") + wire.copy_done(), "Z"),
                (wire.query("SELECT sum(a), string_agg(b, '-') FROM t"), "Z")],
    "COPY in, extended": [(wire.query("CREATE TEMP TABLE t (a int)"), "Z"),
                          (wire.parse("COPY t FROM STDIN") + wire.bind() + wire.execute() + wire.flush(), "G"),
                          (wire.copy_data(b"1\n") + wire.copy_done() + wire.sync(), "Z"),
                          (wire.query("SELECT sum(a) FROM t"), "Z")],
    "COPY in, given up": [(wire.query("CREATE TEMP TABLE t (a int)"), "Z"), (wire.query("COPY t FROM STDIN"), "G"),
                          (wire.copy_data(b"1\n") + wire.copy_fail("no more"), "Z"),
                          (wire.query("SELECT count(*) FROM t"), "Z")],
    "COPY in, bad row": [(wire.query("CREATE TEMP TABLE t (a int)"), "Z"), (wire.query("COPY t FROM STDIN"), "G"),
                         (wire.copy_data(b"x\n") + wire.copy_data(b"1\n") + wire.copy_done(), "Z"),
                         (wire.query("SELECT count(*) FROM t"), "Z")],
    "a function call": [(wire.function_call(1263, [b"3 days"]), "Z"), (wire.query("SELECT 1"), "Z")],
    "parameter changes": [(wire.query("SET client_encoding = 'LATIN1'; SET application_name = 'x'"), "Z"),
                          (wire.query("SET TimeZone = 'Asia/Tokyo'; RESET ALL"), "Z")],
    "a notification to oneself": [(wire.query("LISTEN a"), "Z"), (wire.query("SELECT pg_notify('b', 'x')"), "Z")],
    "an event written and read": [
        (wire.query(INSERT % (uuid_number(1), uuid_number(2), f"'{TENANT}'")), "Z"),
        (wire.parse("SELECT version, payload FROM events WHERE tenant_id = $1") + wire.bind([TENANT.encode()])
         + wire.describe("P") + wire.execute() + wire.sync(), "Z"),
        (wire.query(f"UPDATE events SET actor_id = 'x' WHERE tenant_id = '{TENANT}' RETURNING version"), "Z"),
        (wire.query(f"DELETE FROM events WHERE tenant_id = '{TENANT}'"), "Z")],
    "an event twice": [(wire.query(INSERT % (uuid_number(1), uuid_number(2), f"'{TENANT}'")), "Z"),
                       (wire.query(INSERT % (uuid_number(1), uuid_number(3), f"'{TENANT}'")), "Z"),
                       (wire.query("DELETE FROM events"), "Z")],
    "two tenants in one transaction": [
        (wire.query("BEGIN"), "Z"),
        (wire.query(INSERT % (uuid_number(1), uuid_number(2), f"'{TENANT}'")), "Z"),
        (wire.query(INSERT % (uuid_number(3), uuid_number(4), f"'{OTHER}'")), "Z"), (wire.query("ROLLBACK"), "Z")],
    "a statement no grammar knows": [(wire.query("FROBNICATE THE events TABLE"), "Z"), (wire.query("'"), "Z"),
                                     (wire.query("SELECT 'unfinished"), "Z"), (wire.query("/* never closed"), "Z")],
    "not text": [(wire.message("Q", b"SELECT '\xff\xfe'\0"), "Z"), (wire.query("SELECT 1"), "Z")],
    "sync alone": [(wire.sync(), "Z"), (wire.sync(), "Z")],
}


def play(port, dbname, transcript):
    """Everything the server says, part by part. Positions of the source code in errors stay: it is the same server."""
    with raw(port, dbname) as client:
        said = []
        for sent, awaited in transcript:
            client.send(sent)
            said.append(client.until(awaited, "Z"))
        client.send(wire.terminate())
        assert client.closed()
        return said


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_answers_are_the_same(proxy, stores, name):
    transcript = TRANSCRIPTS[name]
    assert play(proxy.port, stores.dbname, transcript) == play(stores.shared.port, stores.dbname, transcript)


@pytest.mark.parametrize("name", ["a pipeline with an error", "COPY in, extended", "portals by rows",
                                  "an event written and read"])
def test_the_answers_are_the_same_byte_by_byte(proxy, stores, name):
    """Everything arrives in pieces of one byte: nobody may count on messages coming whole."""
    def slowly(port):
        with raw(port, stores.dbname) as client:
            said = []
            for sent, awaited in TRANSCRIPTS[name]:
                for at in range(len(sent)):
                    client.send(sent[at:at + 1])
                said.append(client.until(awaited, "Z"))
            return said
    assert slowly(proxy.port) == play(stores.shared.port, stores.dbname, TRANSCRIPTS[name])


def test_terminate_ends_the_connection_and_the_servers(proxy, stores):
    with connect(proxy, stores, application_name="short-lived") as conn:
        conn.execute("SELECT 1")
    wait_until("its server connection is closed or free for others", lambda: not stores.shared.value(
        "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'short-lived'"
                    " AND state = 'active'"))


def test_a_notification_reaches_who_listens(proxy, stores):
    with connect(proxy, stores) as listener, connect(proxy, stores) as speaker:
        listener.execute("LISTEN news")
        speaker.execute("NOTIFY news, 'hello'")
        notify = next(listener.notifies())
        assert (notify.channel, notify.payload) == ("news", "hello")


# --- cancelling -------------------------------------------------------------------------------------------------------

def test_a_cancel_request_ends_the_statement(proxy, stores):
    with connect(proxy, stores) as conn:
        threading.Timer(0.3, conn.cancel).start()
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(20)")
        assert time.monotonic() - begun < 10
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_cancel_request_with_a_wrong_key_does_nothing(proxy, stores):
    with raw(proxy.port, stores.dbname) as client:
        client.send(wire.query("SELECT pg_sleep(0.7), 'done'"))
        pid, secret = client.key
        for wrong in (wire.cancel(pid, b"\0\0\0\0"), wire.cancel(pid ^ 1, secret), wire.cancel(0, secret)):
            with wire.RawClient(proxy.port) as canceller:
                canceller.send(wrong)
                assert canceller.closed()
        answers = client.until("Z")
        assert [answer.kind for answer in answers] == ["T", "D", "C", "Z"]


def test_a_cancel_request_between_statements_hits_none(proxy, stores):
    with raw(proxy.port, stores.dbname) as client:
        client.send(wire.query("SELECT 1"))
        client.until("Z")
        with wire.RawClient(proxy.port) as canceller:
            canceller.send(wire.cancel(*client.key))
            assert canceller.closed()
        time.sleep(0.3)
        client.send(wire.query("SELECT 2"))
        assert [answer.kind for answer in client.until("Z")] == ["T", "D", "C", "Z"]


# --- size -------------------------------------------------------------------------------------------------------------

def rss_megabytes(proxy):
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


@pytest.mark.undisturbed
def test_a_large_row_is_not_kept_whole(proxy, stores):
    with connect(proxy, stores) as conn:
        before = rss_megabytes(proxy)
        assert conn.execute("SELECT length(x) FROM (SELECT repeat('x', 200000000) AS x) t").fetchone() == (200000000,)
    with raw(proxy.port, stores.dbname) as client:
        client.send(wire.query("SELECT repeat('x', 200000000)"))
        assert len(client.until("D")[-1].values()[0]) == 200000000
        assert rss_megabytes(proxy) - before < 24


@pytest.mark.undisturbed
def test_a_large_parameter_is_not_kept_whole(proxy, stores):
    before = rss_megabytes(proxy)
    with raw(proxy.port, stores.dbname) as client:
        client.send(wire.parse("SELECT length($1::text)"), wire.bind([b"x" * 100_000_000]), wire.execute(), wire.sync())
        assert client.until("D")[-1].values() == [b"100000000"]
        assert rss_megabytes(proxy) - before < 40


@pytest.mark.undisturbed
def test_a_client_that_does_not_read_fills_no_memory(proxy, stores):
    before = rss_megabytes(proxy)
    with raw(proxy.port, stores.dbname) as client:
        client.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"))
        time.sleep(2)
        assert rss_megabytes(proxy) - before < 24
        # And everything comes once it does read.
        assert sum(1 for answer in client.until("Z") if answer.kind == "D") == 300000


@pytest.mark.undisturbed
def test_a_server_that_does_not_read_fills_no_memory(proxy, stores):
    before = rss_megabytes(proxy)
    sent = 0
    with raw(proxy.port, stores.dbname) as client:
        client.send(wire.query("CREATE TEMP TABLE t (a text); SELECT pg_backend_pid()"))
        pid = int(next(answer for answer in client.until("Z") if answer.kind == "D").values()[0])
        client.send(wire.query("COPY t FROM STDIN"))
        client.until("G")
        os.kill(pid, signal.SIGSTOP)
        try:
            client.socket.settimeout(1.5)
            try:
                while sent < 200_000_000:
                    client.send(wire.copy_data(b"y" * 99_999 + b"\n"))
                    sent += 100_000
            except TimeoutError:
                pass
            assert sent < 100_000_000, "somebody takes everything although nobody reads it"
            assert rss_megabytes(proxy) - before < 24
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_statement_longer_than_anyone_attributes_streams_through(proxy, stores):
    with connect(proxy, stores) as conn:
        long = "SELECT length('" + "z" * 20_000_000 + "')"
        assert conn.execute(long).fetchone() == (20_000_000,)


def test_an_insert_of_many_rows(proxy, stores):
    with connect(proxy, stores) as conn:
        rows = ",".join(f"({uuid_number(n)}, {uuid_number(n)}, 'O', 'P', '{TENANT}', 1, now(), '{{}}')"
                        for n in range(5000))
        conn.execute("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
                     " timestamp, payload) VALUES " + rows)
    assert stores.counts(TENANT) == (5000, 0)


def test_copy_of_events_in_and_out(proxy, stores):
    with connect(proxy, stores) as conn:
        with conn.cursor().copy("COPY events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
                                " timestamp, payload) FROM STDIN") as copy:
            for n in range(3000):
                copy.write_row((uuid_number(n)[1:-1], uuid_number(n)[1:-1], "O", "P", TENANT, 1, "2024-01-01", "{}"))
        with conn.cursor().copy(f"COPY (SELECT * FROM events WHERE tenant_id = '{TENANT}') TO STDOUT") as copy:
            assert sum(1 for _ in copy.rows()) == 3000
    assert stores.counts(TENANT) == (3000, 0)
