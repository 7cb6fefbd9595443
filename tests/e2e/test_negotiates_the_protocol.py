"""The first packets: whatever a client says first, pgshunt answers as the server behind it would, word by word."""
import re
import struct

import pytest

import wire
from eventstore import APP, APP_PASSWORD

V3 = wire.PROTOCOL_3_0


def packet(body):
    return struct.pack("!I", len(body) + 4) + body


def said_by(port, data):
    """What is answered until the other side closes, or asks for a password."""
    with wire.RawClient(port) as client:
        client.send(data)
        client.end_of_input()
        return client.rest()


def comparable(said):
    """Without where in its source the server was, and which versions it has."""
    if said[:1] == b"E" and said[5:6] == b"S":
        fields = wire.Message("E", said[5:]).fields()
        said = {name: fields.get(name) for name in "SVCMDH"}
        said["M"] = re.sub(r"3\.0 to 3\.\d", "3.0 to 3.x", said["M"])
        return said
    return re.sub(rb"3\.0 to 3\.\d", b"3.0 to 3.x", said)


REFUSED = {
    "2.0": wire.startup({"user": APP}, version=2 << 16),
    "1.0": wire.startup({"user": APP}, version=1 << 16),
    "4.0": wire.startup({"user": APP}, version=4 << 16),
    "0.0": wire.startup({"user": APP}, version=0),
    "65535.65535": wire.startup({"user": APP}, version=0xFFFFFFFF),
    "1234.1": wire.startup({"user": APP}, version=1234 << 16 | 1),
    "no user": wire.startup({"database": "x"}),
    "an empty user": wire.startup({"user": "", "database": "x"}),
    "nothing at all": packet(struct.pack("!I", V3)),
    "an empty list": packet(struct.pack("!I", V3) + b"\0"),
    "a name without a value": packet(struct.pack("!I", V3) + b"user\0"),
    "no terminator": packet(struct.pack("!I", V3) + b"user\0app\0"),
    "something behind the terminator": packet(struct.pack("!I", V3) + b"user\0app\0\0x"),
    "one byte too long": struct.pack("!II", 10005, V3) + b"x" * 10001,
    "a gigabyte": struct.pack("!II", 1 << 30, V3) + b"user\0",
    "too short": struct.pack("!I", 7) + b"\0\3\0",
    "a length of 0": struct.pack("!I", 0) + b"\0\3\0\0",
    "a negative length": struct.pack("!iI", -1, V3),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query": wire.query("SELECT 1"),
    "bytes behind an ssl request": wire.request(wire.SSL_REQUEST) + wire.startup({"user": APP}),
    "a cancel for nobody": wire.cancel(1 << 30, b"1234"),
}


@pytest.mark.plain
def test_refused_as_the_server_does(proxy, stores):
    differences = {}
    for name, data in REFUSED.items():
        ours, theirs = (comparable(said_by(port, data)) for port in (proxy.port, stores.shared.port))
        if name.startswith("bytes behind") and isinstance(theirs, bytes) and theirs[:1] == b"N":
            # The server says N first, which nobody who injected bytes would wait for.
            theirs = comparable(theirs[1:])
        if ours != theirs:
            differences[name] = (ours, theirs)
    assert differences == {}


@pytest.mark.plain
@pytest.mark.parametrize("code", [wire.SSL_REQUEST, wire.GSSENC_REQUEST])
def test_encryption_is_asked_for_once(proxy, stores, code):
    seen = []
    # A server built with GSSAPI would say yes to that.
    for port in (proxy.port, *([stores.shared.port] if code == wire.SSL_REQUEST else [])):
        with wire.RawClient(port) as client:
            client.send(wire.request(code))
            assert client.bytes(1) == b"N"
            client.send(wire.request(code))
            seen.append(comparable(client.rest()))
    assert seen[0] == seen[-1] and seen[0]["C"] == "0A000"


def test_bytes_behind_a_gss_request(proxy):
    said = comparable(said_by(proxy.port, wire.request(wire.GSSENC_REQUEST) + wire.startup({"user": APP})))
    assert (said["C"], said["M"]) == ("08P01", "received unencrypted data after GSSAPI encryption request")


@pytest.mark.plain
def test_both_kinds_in_any_order(proxy, stores):
    for codes in ((wire.SSL_REQUEST, wire.GSSENC_REQUEST), (wire.GSSENC_REQUEST, wire.SSL_REQUEST)):
        with wire.RawClient(proxy.port) as client:
            for code in codes:
                client.send(wire.request(code))
                assert client.bytes(1) == b"N"
            assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"


MINOR_VERSIONS = [                     # asked for, with which options; spoken, and whether that is said
    (0, {}, 0, False),
    (0, {"_pq_.shine": "on", "_pq_.": ""}, 0, True),
    (1, {}, 1, False),
    (2, {}, 2, False),
    (2, {"_pq_.test_protocol_negotiation": ""}, 2, True),
    (3, {}, 2, True),
    (9999, {"_pq_.test_protocol_negotiation": ""}, 2, True),        # what libpq 18 probes with
]


def test_minor_versions(proxy, stores):
    for row in MINOR_VERSIONS:
        check_minor_version(proxy, stores, *row)


def check_minor_version(proxy, stores, minor, options, spoken, negotiated):
    with wire.RawClient(proxy.port) as client:
        answers = client.login(APP, APP_PASSWORD, stores.dbname, version=3 << 16 | minor, **options)
    assert answers[-1].kind == "Z"
    negotiations = [answer for answer in answers if answer.kind == "v"]
    assert len(negotiations) == negotiated
    if negotiated:
        assert answers[0] is negotiations[0], "before anything else, as PostgreSQL"
        newest, count = struct.unpack("!II", negotiations[0].body[:8])
        assert newest == V3 | spoken
        assert negotiations[0].body[8:] == b"".join(wire.text(name) for name in options) and count == len(options)
    # A number that fits the signed integer of every client, and a key that is as long as the version has it.
    assert len(client.key[1]) == (32 if spoken >= 2 else 4) and 0 < client.key[0] < 1 << 31


def test_the_longest_startup_packet(proxy, stores):
    """10004 bytes with its length word are the most that PostgreSQL reads."""
    seen = []
    for port in (proxy.port, stores.shared.port):
        rest = {"user": APP, "database": stores.dbname, "options": ""}
        rest["options"] = " " * (10004 - len(wire.startup(rest)))
        assert len(wire.startup(rest)) == 10004
        with wire.RawClient(port) as client:
            client.send(wire.startup(rest))
            client.end_of_input()
            seen.append(client.rest()[:1])
    assert seen[0] == seen[1]
