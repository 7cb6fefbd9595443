"""Startup and authentication: whoever may log in to the server may log in here, nobody else, and is told why not."""
import asyncio
import os
import socket
import struct

import asyncpg
import psycopg
import pytest

import eventstore
import wire
from conftest import connect
from eventstore import APP, APP_PASSWORD
from pgcluster import scram_verifier


def refused(proxy, stores, **how):
    with pytest.raises(psycopg.OperationalError) as refusal:
        connect(proxy, stores, **how)
    return str(refusal.value)


def sqlstate_of_login(proxy, user, password, database):
    with wire.RawClient(proxy.port) as client:
        return client.login(user, password, database)[-1].fields()["C"]


def test_with_a_password(app):
    assert app.execute("SELECT current_user").fetchone() == (APP,)


def test_with_asyncpg(proxy, stores):
    async def ask():
        conn = await asyncpg.connect(host=proxy.host, port=proxy.port, user=APP, password=APP_PASSWORD,
                                     database=stores.dbname, ssl=False)
        try:
            return await conn.fetchval("SELECT $1::int + 1", 41)
        finally:
            await conn.close()
    assert asyncio.run(ask()) == 42


def test_with_ssl_preferred_goes_on_without(proxy, stores):
    with connect(proxy, stores, sslmode="prefer") as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.plain
@pytest.mark.parametrize("code", [wire.SSL_REQUEST, wire.GSSENC_REQUEST])
def test_an_encryption_request_is_answered_no_and_the_startup_follows(proxy, stores, code):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.request(code))
        assert client.bytes(1) == b"N"
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"


@pytest.mark.plain
def test_gss_then_ssl_then_startup(proxy, stores):
    with wire.RawClient(proxy.port) as client:
        for code in (wire.GSSENC_REQUEST, wire.SSL_REQUEST):
            client.send(wire.request(code))
            assert client.bytes(1) == b"N"
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"


def test_a_wrong_password_is_refused(proxy, stores):
    assert "password authentication failed" in refused(proxy, stores, password="wrong")
    assert sqlstate_of_login(proxy, APP, "wrong", stores.dbname) == "28P01"


def test_an_empty_password_is_refused(proxy, stores):
    assert sqlstate_of_login(proxy, APP, "", stores.dbname) == "28P01"


def test_an_unknown_user_is_refused_like_a_wrong_password(proxy, stores):
    """Nobody learns from the answer which users exist."""
    assert "password authentication failed" in refused(proxy, stores, user="mallory", password="x")
    assert sqlstate_of_login(proxy, "mallory", "x", stores.dbname) == "28P01"


def test_an_unknown_database_is_refused_in_the_servers_words(proxy, stores):
    assert sqlstate_of_login(proxy, APP, APP_PASSWORD, "no_such_database") == "3D000"
    assert 'database "no_such_database" does not exist' in refused(proxy, stores, dbname="no_such_database")


def test_a_user_the_server_does_not_know_is_refused(make_proxy, stores):
    proxy = make_proxy(users={"ghost": "boo"}).start()
    with pytest.raises(psycopg.OperationalError):
        connect(proxy, stores, user="ghost", password="boo")
    # The proxy itself is none the worse for it.
    assert proxy.running()


def test_another_database_of_the_same_server_is_passed_through(proxy, stores):
    with connect(proxy, stores, dbname="postgres") as conn:
        assert conn.execute("SELECT current_database()").fetchone() == ("postgres",)


def test_with_a_verifier_in_the_auth_file(make_proxy, stores):
    """The client's own keys open the store, whose verifier is the same one: no password is known to the proxy."""
    proxy = make_proxy(users={APP: eventstore.APP_VERIFIER}).start()
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (APP,)
    assert sqlstate_of_login(proxy, APP, "wrong", stores.dbname) == "28P01"


def test_a_verifier_that_is_not_the_servers_cannot_log_in_there(make_proxy, stores):
    proxy = make_proxy(users={APP: scram_verifier(APP_PASSWORD)}).start()
    with pytest.raises(psycopg.OperationalError):
        connect(proxy, stores)
    assert proxy.running()


@pytest.mark.parametrize("password", ['with "quotes"', "with 'apostrophes'", "with \\ backslash", "ünï©ødé",
                                      pytest.param("x" * 200, id="long"),
                                      " leading and trailing "])
def test_odd_passwords(make_proxy, stores, password):
    verifier = scram_verifier(password)
    user = f"odd_{os.getpid()}_{abs(hash(password)) % 10**8}"
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute("postgres", f"CREATE ROLE {user} LOGIN PASSWORD '{verifier}'")
    try:
        proxy = make_proxy(users={user: password}).start()
        with connect(proxy, stores, user=user, password=password) as conn:
            assert conn.execute("SELECT current_user").fetchone() == (user,)
    finally:
        for cluster in (stores.shared, stores.dedicated):
            cluster.execute("postgres", f"DROP ROLE {user}")


def test_trust_asks_for_nothing(make_proxy, stores):
    proxy = make_proxy(settings={"auth": {"auth_type": "trust"}}).start()
    with wire.RawClient(proxy.port) as client:
        answers = client.login(APP, "never sent", stores.dbname)
        assert answers[-1].kind == "Z"
        assert [answer.body for answer in answers if answer.kind == "R"] == [struct.pack("!I", 0)]


def test_the_parameters_are_those_of_the_server(proxy, stores):
    seen = []
    for port in (proxy.port, stores.shared.port):
        with wire.RawClient(port) as client:
            client.login(APP, APP_PASSWORD, stores.dbname, application_name="one of us", DateStyle="German")
            seen.append(client.parameters)
    assert seen[0] == seen[1]
    assert seen[0]["application_name"] == "one of us"


def test_startup_parameters_and_options_reach_the_server(proxy, stores):
    with connect(proxy, stores, application_name="shop-7", client_encoding="LATIN1",
                 options="-c work_mem=77kB -c DateStyle=German,\\ YMD -c search_path=one,two") as conn:
        ask = "SELECT current_setting('application_name'), current_setting('client_encoding')," \
              " current_setting('work_mem'), current_setting('search_path'), current_setting('DateStyle')"
        assert conn.execute(ask).fetchone() == ("shop-7", "LATIN1", "77kB", "one,two", "German, YMD")


def test_a_bad_startup_option_is_refused_in_the_servers_words(proxy, stores):
    assert "no_such_setting" in refused(proxy, stores, options="-c no_such_setting=1")


def test_a_newer_protocol_is_negotiated_down(proxy, stores):
    """3.2, and options that begin with _pq_.: NegotiateProtocolVersion names them, and the login goes on."""
    with wire.RawClient(proxy.port) as client:
        answers = client.login(APP, APP_PASSWORD, stores.dbname, version=3 << 16 | 2, **{"_pq_.shine": "on"})
    assert answers[-1].kind == "Z"
    (negotiation,) = [answer for answer in answers if answer.kind == "v"]
    newest, count = struct.unpack("!ii", negotiation.body[:8])
    assert newest in (wire.PROTOCOL_3_0, wire.PROTOCOL_3_0 + 2), "the server's newest version, whole"
    assert count == 1 and negotiation.body[8:] == b"_pq_.shine\0"


@pytest.mark.parametrize("version", [2 << 16, 1 << 16, 4 << 16, 0, 0xFFFFFFFF])
def test_an_unknown_startup_version_gets_an_error(proxy, version):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": APP}, version=version))
        said = client.rest()
    # To a client before 3.0 an error is a text and not fields.
    assert said[:1] == b"E" and b"protocol" in said
    assert version < 3 << 16 or b"C0A000\0" in said or b"C08P01\0" in said


def test_no_user_name_is_refused(proxy):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"database": "x"}))
        assert client.until_end()[-1].fields()["C"] == "28000"


def test_a_database_of_the_users_own_name_is_the_default(make_proxy, stores):
    proxy = make_proxy().start()
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": APP}))
        answer = client.authenticate(APP_PASSWORD)[-1]
    assert answer.fields()["C"] == "3D000" and f'"{APP}"' in answer.fields()["M"]


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "",
                                       pytest.param("x" * 500, id="long")])
def test_another_mechanism_is_refused(proxy, stores, mechanism):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": APP, "database": stores.dbname}))
        client.until("R")
        client.send(wire.message("p", wire.text(mechanism) + struct.pack("!i", 3) + b"n,,"))
        assert client.until_end()[-1].kind == "E"
    assert proxy.running()


@pytest.mark.parametrize("first", [b"", b"n,,", b"y,,n=,r=", b"p=tls-unique,,n=,r=abc", pytest.param(b"n,,n=,r=" + b"x" * 5000, id="long"),
                                   b"n,a=someone,n=,r=abcdefghijkl", b"\xff\xfe\0\0"])
def test_a_broken_scram_exchange_is_refused(proxy, stores, first):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": APP, "database": stores.dbname}))
        client.until("R")
        client.send(wire.message("p", wire.text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
        try:
            answer = client.read()
            if answer.kind == "R":     # a nonce is a nonce; the proof cannot be right
                client.send(wire.message("p", b"c=biws,r=wrong,p=AAAA"))
                answer = client.read()
            assert answer.kind == "E"
        except wire.Gone:
            pytest.fail("closed without a word")
    assert proxy.running()


def test_many_log_in_at_once(proxy, stores):
    clients = [wire.RawClient(proxy.port) for _ in range(40)]
    try:
        for client in clients:
            client.send(wire.startup({"user": APP, "database": stores.dbname}))
        for client in clients:
            assert client.authenticate(APP_PASSWORD)[-1].kind == "Z"
    finally:
        for client in clients:
            client.close()


def test_more_clients_than_allowed_are_told_so(make_proxy, stores):
    proxy = make_proxy(settings={"pgshunt": {"max_client_conn": 3}}).start()
    with connect(proxy, stores), connect(proxy, stores), connect(proxy, stores):
        with wire.RawClient(proxy.port) as client:
            client.send(wire.startup({"user": APP, "database": stores.dbname}))
            assert client.authenticate(APP_PASSWORD)[-1].fields()["C"] == "53300"
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_that_says_nothing_hurts_nobody(proxy, stores):
    silent = socket.create_connection((proxy.host, proxy.port))
    try:
        with connect(proxy, stores) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
    finally:
        silent.close()
