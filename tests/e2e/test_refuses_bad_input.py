"""Bytes that nobody who means well would send: a clear error or a closed connection, and nobody else notices."""
import os
import random
import struct
import time

import pytest

import wire
from conftest import TENANT, connect
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until


def works(proxy, stores):
    with connect(proxy, stores) as conn:
        return conn.execute("SELECT 42").fetchone() == (42,)


def logged_in(proxy, stores, **parameters):
    client = wire.RawClient(proxy.port)
    assert client.login(APP, APP_PASSWORD, stores.dbname, **parameters)[-1].kind == "Z"
    return client


# --- before anybody is logged in --------------------------------------------------------------------------------------

BEFORE_LOGIN = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 500,
    "zeros": b"\0" * 64,
    "ones": b"\xff" * 64,
    "length 0": struct.pack("!II", 0, wire.PROTOCOL_3_0),
    "length 4": struct.pack("!I", 4),
    "length 7": struct.pack("!I", 7) + b"\0\3\0",
    "negative length": struct.pack("!iI", -1, wire.PROTOCOL_3_0),
    "a gigabyte": struct.pack("!II", 1 << 30, wire.PROTOCOL_3_0) + b"user\0",
    "just over the limit": struct.pack("!II", 10001, wire.PROTOCOL_3_0) + b"x" * 20000,
    "a name without a value": struct.pack("!II", 13, wire.PROTOCOL_3_0) + b"user\0",
    "parameters not ended": struct.pack("!II", 18, wire.PROTOCOL_3_0) + b"user\0app\0x",
    "an empty startup": struct.pack("!II", 9, wire.PROTOCOL_3_0) + b"\0",
    "a very long user": wire.startup({"user": "u" * 5000}),
    "many parameters": wire.startup({"user": APP, **{f"p{n}": "x" for n in range(1000)}}),
    "cancel, too short": struct.pack("!II", 12, wire.CANCEL_REQUEST) + b"\0\0\0\1",
    "cancel, very long key": struct.pack("!III", 12 + 5000, wire.CANCEL_REQUEST, 1) + b"k" * 5000,
    "ssl request, too long": struct.pack("!II", 12, wire.SSL_REQUEST) + b"abcd",
    "a query before the startup": wire.query("SELECT 1"),
}


@pytest.mark.parametrize("name", BEFORE_LOGIN)
def test_before_login(proxy, stores, name):
    with wire.RawClient(proxy.port) as client:
        client.send(BEFORE_LOGIN[name])
        client.end_of_input()
        said = client.rest()
    assert said[:1] in (b"", b"E", b"N", b"R"), said[:80]
    assert proxy.running() and works(proxy, stores)


@pytest.mark.parametrize("request_first", [wire.SSL_REQUEST, wire.GSSENC_REQUEST])
def test_plain_text_smuggled_behind_an_encryption_request_is_refused(proxy, stores, request_first):
    """Whoever answers N must not take bytes that were sent before it for anything but a startup."""
    with wire.RawClient(proxy.port) as client:
        client.send(wire.request(request_first) + wire.query("SELECT 1"))
        client.end_of_input()
        assert client.rest()[:1] in (b"N", b"E", b"")
    assert works(proxy, stores)


def test_an_encryption_request_for_ever(proxy, stores):
    """The third one is not answered with a third N: nobody is kept busy like this."""
    with wire.RawClient(proxy.port) as client:
        client.send(wire.request(wire.SSL_REQUEST) * 50)
        client.end_of_input()
        assert len(client.rest().replace(b"N", b"", 2)) != 48
    assert works(proxy, stores)


@pytest.mark.parametrize("cut", [1, 3, 4, 7, 8, 9, 15, 40])
def test_a_startup_cut_short(proxy, stores, cut):
    whole = wire.startup({"user": APP, "database": stores.dbname, "application_name": "x"})
    with wire.RawClient(proxy.port) as client:
        client.send(whole[:cut])
        client.reset()
    assert works(proxy, stores)


@pytest.mark.parametrize("instead", [wire.query("SELECT 1"), wire.message("p"), wire.message("p", b"x" * 70000),
                                     wire.terminate(), b"p\xff\xff\xff\xff", b"p\0\0\0\3"],
                         ids=["query", "empty", "long", "terminate", "negative", "short"])
def test_something_else_than_the_password(proxy, stores, instead):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": APP, "database": stores.dbname}))
        client.until("R")
        client.send(instead)
        client.end_of_input()
        assert all(answer.kind == "E" for answer in client.until_end())
    assert works(proxy, stores)


# --- afterwards -------------------------------------------------------------------------------------------------------

BROKEN = {
    "length 0": b"Q\0\0\0\0",
    "length 3": b"Q\0\0\0\3",
    "negative length": b"Q\xff\xff\xff\xff",
    "more than two gigabytes": b"Q\x80\0\0\0",
    "an unknown type": wire.message("?", b"what"),
    "a zero as type": wire.message("\0", b"what"),
    "a server's message": wire.message("T", b"\0\0"),
    "a query without an end": wire.message("Q", b"SELECT 1"),
    "an empty query message": wire.message("Q", b""),
    "a parse without an end": wire.message("P", b"name"),
    "a parse that counts too many types": wire.message("P", b"\0SELECT 1\0\x7f\xff"),
    "a bind that counts too many values": wire.message("B", b"\0\0\0\0\x7f\xff"),
    "a bind with a length beyond its end": wire.message("B", b"\0\0\0\0\0\1\x7f\xff\xff\xff\0\0"),
    "a bind with a negative length": wire.message("B", b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"),
    "a bind of nothing": wire.message("B", b""),
    "a describe of nothing": wire.message("D", b"S"),
    "a describe of something odd": wire.message("D", b"Zname\0"),
    "an execute of nothing": wire.message("E", b""),
    "a close of something odd": wire.message("C", b"?x\0"),
    "a sync with a body": wire.message("S", b"surplus"),
    "copy data out of the blue": wire.copy_data(b"1\n") + wire.copy_done(),
    "a password out of the blue": wire.message("p", b"secret\0"),
    "a startup once more": wire.startup({"user": APP}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_message(proxy, stores, name):
    """The client gets an ErrorResponse or the end of its connection; then all is well for everybody else."""
    with logged_in(proxy, stores, application_name="broken") as client:
        client.send(BROKEN[name])
        client.send(wire.sync())
        client.end_of_input()
        answers = client.until_end()
    for answer in answers:
        assert answer.kind in "EZNCI", answer
        if answer.kind == "E":
            assert answer.fields()["C"] not in ("XX000", "58000"), answer.fields()
    assert proxy.running() and works(proxy, stores)
    no_server_is_left(stores, "broken")


def no_server_is_left(stores, name):
    """Neither a transaction nor a statement of that client goes on at the server."""
    wait_until("its server connection has ended", lambda: not stores.shared.value(
        "postgres", "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state <> 'idle'", [name]))


@pytest.mark.parametrize("seed", range(20))
def test_noise(proxy, stores, seed):
    """Random bytes where messages should be, some of them behind a good type and length."""
    chance = random.Random(seed)
    with logged_in(proxy, stores) as client:
        for _ in range(30):
            body = chance.randbytes(chance.randrange(0, 300))
            kind = chance.choice("QPBDECSHdcfFp?x")
            try:
                client.send(wire.message(kind, body) if chance.random() < 0.8 else body)
            except (BrokenPipeError, ConnectionResetError):
                break
        client.reset()
    assert proxy.running() and works(proxy, stores)


# --- a client that is suddenly gone -----------------------------------------------------------------------------------

VANISHING = {
    "in the middle of a query": [wire.query("SELECT " + "1," * 1000)[:-500]],
    "in the middle of a length": [b"Q\0\0"],
    "in the middle of a bind": [wire.parse("SELECT $1::text"), wire.bind([b"x" * 100000])[:-5000]],
    "in the middle of a long value": [wire.parse("SELECT $1::text"), wire.bind([b"x" * 9_000_000])[:-5000]],
    "while a statement runs": [wire.query("SELECT pg_sleep(1)")],
    "in an open transaction": [wire.query("BEGIN; SELECT 1")],
    "with a lock": [wire.query("BEGIN; LOCK TABLE events")],
    "while copying in": [wire.query("CREATE TEMP TABLE t (a int); COPY t FROM STDIN"), wire.copy_data(b"1\n" * 1000)],
    "while much is coming": [wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")],
    "in a pipeline": [wire.parse("SELECT 1"), wire.bind(), wire.execute()],
}


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("name", VANISHING)
def test_a_client_that_vanishes(proxy, stores, name, how):
    with logged_in(proxy, stores, application_name="vanishing") as client:
        client.send(*VANISHING[name])
        time.sleep(0.1)
        getattr(client, how)()
    no_server_is_left(stores, "vanishing")
    assert proxy.running() and works(proxy, stores)


def test_what_a_vanished_client_has_not_committed_is_not_there(proxy, stores):
    with logged_in(proxy, stores, application_name="vanishing") as client:
        client.send(wire.query("BEGIN"))
        client.until("Z")
        client.send(wire.query(
            "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp,"
            f" payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'P', '{TENANT}', 1, now(), '{{}}')"))
        assert client.until("Z")[-1].body == b"T"
        client.reset()
    no_server_is_left(stores, "vanishing")
    assert stores.counts(TENANT) == (0, 0)
    assert works(proxy, stores)


@pytest.mark.undisturbed
def test_a_thousand_connections_that_come_and_go_leave_nothing(proxy, stores):
    def descriptors():
        return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))
    assert works(proxy, stores)
    before = descriptors()
    for number in range(1000):
        with wire.RawClient(proxy.port) as client:
            if number % 3:
                client.send(wire.startup({"user": APP, "database": stores.dbname}))
            if number % 3 == 2:
                client.reset()
    wait_until("all descriptors are closed", lambda: descriptors() <= before + 2)
    assert works(proxy, stores)
