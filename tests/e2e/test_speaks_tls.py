"""TLS towards applications: who asks for it gets it, who must have it has it, and what stands in the way is said."""
import hashlib
import os
import random
import re
import socket
import ssl
import struct
import subprocess
import threading

import psycopg
import pytest

import wire
from certificates import Authority
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until
from pgshunt import wait_log

ALPN = ["postgresql"]


@pytest.fixture(scope="session")
def pki(workspace):
    """Two authorities, only one of which anybody trusts, and what they have issued."""
    class Pki:
        root = Authority(workspace.path / "pki", "root")
        stranger = Authority(workspace.path / "pki-stranger", "stranger")
    Pki.server = Pki.root.issue("server", "pgshunt.test", names=["DNS:localhost", "IP:127.0.0.1"])
    Pki.app = Pki.root.issue("app", APP)
    Pki.old = Pki.root.issue("old", APP, expired=True)
    Pki.foreign = Pki.stranger.issue("foreign", APP)
    return Pki


@pytest.fixture
def make_tls(make_proxy, pki):
    def make(mode="require", server=None, settings=None, **keys):
        server = server or pki.server
        tls = {"client_tls_sslmode": mode, "client_tls_key_file": server.key, "client_tls_cert_file": server.cert,
               **keys}
        return make_proxy(settings={**(settings or {}), "tls": tls}).start()
    return make


@pytest.fixture
def proxy(make_tls):
    return make_tls()


def context(pki, alpn=ALPN, check=True):
    made = ssl.create_default_context(cafile=str(pki.root.cert))
    made.check_hostname = check
    if not check:
        made.verify_mode = ssl.CERT_NONE
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


class TlsClient(wire.RawClient):
    """Bytes through TLS: by SSLRequest, or at once (`direct`)."""

    def __init__(self, port, context_, direct=False):
        super().__init__(port)
        if not direct:
            self.send(wire.request(wire.SSL_REQUEST))
            assert self.bytes(1) == b"S"
        self.socket = context_.wrap_socket(self.socket, server_hostname="localhost")


def works(proxy, stores, **more):
    with connect(proxy, stores, sslmode="require", **more) as conn:
        return conn.execute("SELECT 42").fetchone() == (42,)


def refused(proxy, stores, **how):
    with pytest.raises(psycopg.OperationalError) as refusal:
        connect(proxy, stores, **how)
    return str(refusal.value)


# --- the modes --------------------------------------------------------------------------------------------------------

def test_psycopg(proxy, stores, pki):
    for sslmode in ("require", "verify-ca", "verify-full"):
        with connect(proxy, stores, sslmode=sslmode, sslrootcert=str(pki.root.cert)) as conn:
            assert conn.pgconn.ssl_in_use
            assert conn.execute("SELECT current_user").fetchone() == (APP,)


def test_require_refuses_plain_text(proxy, stores):
    assert "connection requires TLS" in refused(proxy, stores, sslmode="disable")


def test_a_unix_socket_is_never_encrypted_and_never_has_to_be(make_tls, pki, stores):
    folder = pki.root.folder / f"s{os.getpid()}"
    folder.mkdir(exist_ok=True)
    proxy = make_tls("verify-full", client_tls_ca_file=pki.root.cert,
                     settings={"pgshunt": {"unix_socket_dir": folder, "unix_socket_port": 6432}})
    with psycopg.connect(host=str(folder), port=6432, dbname=stores.dbname, user=APP, password=APP_PASSWORD) as conn:
        assert not conn.pgconn.ssl_in_use
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(f"{folder}/.s.PGSQL.6432")
        raw.sendall(wire.request(wire.SSL_REQUEST))
        assert raw.recv(1) == b"N"
    assert proxy.running()


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_allow_and_prefer_take_both(make_tls, stores, mode):
    proxy = make_tls(mode)
    for sslmode, encrypted in (("disable", False), ("prefer", True), ("require", True)):
        with connect(proxy, stores, sslmode=sslmode) as conn:
            assert conn.pgconn.ssl_in_use == encrypted


def test_a_client_that_wants_another_host_goes_away(make_tls, stores, pki):
    proxy = make_tls(server=pki.root.issue("elsewhere", "elsewhere.test"))
    said = refused(proxy, stores, sslmode="verify-full", sslrootcert=str(pki.root.cert))
    assert "elsewhere.test" in said
    assert works(proxy, stores)


@pytest.mark.parametrize("versions, agreed", [("secure", "TLSv1.3"), ("tlsv1.2", "TLSv1.2")])
def test_the_newest_allowed_version_is_spoken(make_tls, pki, versions, agreed):
    proxy = make_tls(client_tls_protocols=versions)
    with TlsClient(proxy.port, context(pki)) as client:
        assert client.socket.version() == agreed


def test_tls_1_1_is_refused(proxy, pki, stores):
    old = context(pki)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        TlsClient(proxy.port, old)
    assert works(proxy, stores)


def test_ciphers_are_what_was_configured(make_tls, pki):
    proxy = make_tls(client_tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384",
                     client_tls13_ciphers="TLS_CHACHA20_POLY1305_SHA256")
    with TlsClient(proxy.port, context(pki)) as client:
        assert client.socket.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
    old = context(pki)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with TlsClient(proxy.port, old) as client:
        assert client.socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


WRONG = [
    ({"client_tls_cert_file": ""}, "needs client_tls_key_file and client_tls_cert_file"),
    ({"client_tls_cert_file": "/no/such/file"}, 'certificate file "/no/such/file": No such file or directory'),
    ({"client_tls_key_file": "other"}, "does not belong to key file|key values mismatch"),
    ({"client_tls_sslmode": "verify-ca"}, "needs client_tls_ca_file"),
    ({"client_tls_protocols": "tlsv9"}, 'protocol "tlsv9" is not known'),
    ({"client_tls_ciphers": "ROT13"}, 'ciphers "ROT13"'),
    ({"server_tls_sslmode": "verify-full"}, "verify-full needs a CA file"),
]


def test_a_wrong_configuration_is_refused(make_proxy, pki):
    proxy = make_proxy()
    for keys, said in WRONG:
        if keys.get("client_tls_key_file") == "other":
            keys = {"client_tls_key_file": pki.app.key}
        proxy.settings["tls"] = {"client_tls_sslmode": "require", "client_tls_key_file": pki.server.key,
                                 "client_tls_cert_file": pki.server.cert, **keys}
        proxy.write_files()
        code, text = proxy.command("-t", proxy.conf_path)
        assert code == 2 and re.search(said, text), text


# --- negotiation ------------------------------------------------------------------------------------------------------

def test_gss_is_declined_and_tls_still_comes(proxy, pki, stores):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.request(wire.GSSENC_REQUEST))
        assert client.bytes(1) == b"N"
        client.send(wire.request(wire.SSL_REQUEST))
        assert client.bytes(1) == b"S"
        client.socket = context(pki).wrap_socket(client.socket, server_hostname="localhost")
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"


@pytest.mark.parametrize("code", [wire.SSL_REQUEST, wire.GSSENC_REQUEST])
def test_inside_of_tls_no_more_encryption_is_agreed_on(proxy, pki, code):
    with TlsClient(proxy.port, context(pki)) as client:
        client.send(wire.request(code))
        assert client.until_end()[-1].fields()["C"] == "0A000"


def test_plain_text_behind_the_request_is_not_taken_for_what_was_encrypted(proxy, pki, stores):
    """CVE-2021-23214: somebody in between appends a startup of his own to the SSLRequest."""
    with wire.RawClient(proxy.port) as client:
        client.send(wire.request(wire.SSL_REQUEST) + wire.startup({"user": "mallory", "database": stores.dbname}))
        error = client.until_end()[-1].fields()
    assert error["C"] == "08P01" and error["M"] == "received unencrypted data after SSL request"
    assert works(proxy, stores)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_direct(proxy, pki, stores, version):
    """PostgreSQL 17's sslnegotiation=direct: the handshake is the first thing that is said."""
    one = context(pki)
    one.maximum_version = version
    with TlsClient(proxy.port, one, direct=True) as client:
        assert client.socket.selected_alpn_protocol() == "postgresql"
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"
        client.send(wire.query("SELECT 42"))
        assert client.until("Z")[1].values() == [b"42"]


def test_direct_without_alpn_is_closed(proxy, pki, stores):
    with TlsClient(proxy.port, context(pki, alpn=None), direct=True) as client:
        try:
            client.send(wire.startup({"user": APP, "database": stores.dbname}))
            assert client.until_end() == []
        except OSError:
            pass
    wait_log(proxy, "direct TLS without ALPN")


@pytest.mark.parametrize("direct", [True, False])
def test_another_protocol_by_alpn_is_refused(proxy, pki, stores, direct):
    with pytest.raises((ssl.SSLError, OSError)):
        with TlsClient(proxy.port, context(pki, alpn=["h2", "http/1.1"]), direct=direct) as client:
            client.send(wire.startup({"user": APP}))       # TLS 1.3: the alert comes with the first read
            client.bytes(1)
    assert works(proxy, stores)


def test_openssl_s_client_direct(proxy, pki, stores):
    with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}", "-alpn", "postgresql",
                           "-CAfile", str(pki.root.cert), "-verify_return_error", "-quiet"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as talk:
        talk.stdin.write(wire.startup({"user": APP, "database": stores.dbname}))
        talk.stdin.flush()
        said = talk.stdout.read(9 + len(b"SCRAM-SHA-256-PLUS"))
        talk.kill()
    assert said[:1] == b"R" and said[9:] == b"SCRAM-SHA-256-PLUS"


def test_direct_is_closed_where_tls_is_disabled(make_proxy, pki, stores):
    proxy = make_proxy().start()
    with pytest.raises((ssl.SSLError, OSError)):
        TlsClient(proxy.port, context(pki), direct=True)
    with connect(proxy, stores, sslmode="disable") as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def client_hello(pki):
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = context(pki).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        talk.do_handshake()
    return outgoing.read()


def test_broken_records_hurt_nobody(proxy, pki, stores):
    """Garbage behind 0x16, cut and bent hellos, by SSLRequest and directly: an alert or the end, and nobody notices."""
    chooser = random.Random(os.environ.get("PGSHUNT_SEED", "tls"))
    hello = client_hello(pki)
    cases = [b"\x16", b"\x16\x03", b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x16\x03\x01\x00\x00",
             b"\x16\x03\x01\x00\x05hello", hello[:20], hello[:-1], hello + b"\x17\x03\x03\x00\x05hello", hello * 2,
             b"\x15\x03\x01\x00\x02\x02\x28", b"\x17\x03\x03\x40\x01" + b"y" * 20000]
    for _ in range(60):
        bent = bytearray(hello)
        for _ in range(chooser.choice((1, 3, 30))):
            bent[chooser.randrange(1, len(bent))] = chooser.randrange(256)
        cases.append(bytes(bent[:chooser.choice((len(bent), chooser.randrange(1, len(bent))))]))
    for number, case in enumerate(cases):
        with wire.RawClient(proxy.port) as client:
            if number % 2 and case[:1] != b"\x16" or number % 3 == 0:
                client.send(wire.request(wire.SSL_REQUEST))
                assert client.bytes(1) == b"S"
            try:
                client.send(case)
                client.end_of_input()
                client.rest()
            except OSError:
                pass
    assert proxy.running() and works(proxy, stores)


def test_a_broken_record_in_a_session_ends_it(proxy, pki, stores):
    with TlsClient(proxy.port, context(pki)) as client:
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"
        raw = socket.socket(fileno=os.dup(client.socket.fileno()))
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"z" * 32)
        raw.close()
        with pytest.raises((ssl.SSLError, OSError, wire.Gone)):
            client.send(wire.query("SELECT 1"))
            client.bytes(1)
    wait_log(proxy, "the TLS connection of a client at .* failed")
    assert works(proxy, stores)


def test_the_end_is_announced(proxy, pki, stores):
    """close_notify, both ways: the peer knows that nothing was cut off."""
    with TlsClient(proxy.port, context(pki)) as client:
        client.socket.suppress_ragged_eofs = False
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"
        client.send(wire.terminate())
        assert client.socket.recv(100) == b""               # a ragged end would raise
    with TlsClient(proxy.port, context(pki)) as client:
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"
        client.socket.unwrap()                               # ours, then theirs
    assert works(proxy, stores)


# --- SCRAM-SHA-256-PLUS -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_channel_binding(make_tls, pki, stores, kind):
    proxy = make_tls(server=pki.root.issue(f"bound-{kind}", "pgshunt.test", kind=kind, digest="sha384"))
    assert works(proxy, stores, channel_binding="require")
    assert works(proxy, stores, channel_binding="disable")


def test_a_certificate_that_cannot_be_bound_to_still_serves(make_tls, pki, stores):
    signer = Authority(pki.root.folder / "ed", "ed", kind="ed25519")
    proxy = make_tls(server=signer.issue("server", "pgshunt.test", kind="ed25519", digest=None))
    assert works(proxy, stores, channel_binding="prefer")
    assert "channel binding" in refused(proxy, stores, sslmode="require", channel_binding="require")


class BoundScram(wire.Scram):
    """SCRAM-SHA-256-PLUS; `header` and `data` may lie."""

    def __init__(self, password, data, header="p=tls-server-end-point,,"):
        super().__init__(password)
        self.header, self.data = header.encode(), data

    def first(self):
        return self.header + self.bare.encode()

    def channel(self):
        return self.header + (self.data if self.header[:1] == b"p" else b"")


def scram_login(client, mechanism, scram, dbname):
    client.send(wire.startup({"user": APP, "database": dbname}))
    offered = client.until("R")[-1].body[4:].rstrip(b"\0").split(b"\0")
    first = scram.first()
    client.send(wire.message("p", wire.text(mechanism) + struct.pack("!i", len(first)) + first))
    answer = client.read()
    if answer.kind == "R":
        client.send(wire.message("p", scram.final(answer.body[4:])))
        answer = client.read()
    return offered, answer


BINDINGS = [
    ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", False, None, None),
    ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", True, "28000", "SCRAM channel binding check failed"),
    ("SCRAM-SHA-256", "y,,", False, "28000", "SCRAM channel binding negotiation error"),
    ("SCRAM-SHA-256-PLUS", "n,,", False, "08P01", "malformed SCRAM message"),
    ("SCRAM-SHA-256", "p=tls-server-end-point,,", False, "08P01", "malformed SCRAM message"),
    ("SCRAM-SHA-256-PLUS", "p=tls-unique,,", False, "08P01", 'unsupported SCRAM channel-binding type "tls-unique"'),
]


def test_the_rules_of_channel_binding(proxy, pki, stores):
    for row in BINDINGS:
        check_binding(proxy, pki, stores, *row)


def check_binding(proxy, pki, stores, mechanism, header, wrong, sqlstate, said):
    data = hashlib.sha256(b"another certificate").digest() if wrong else pki.server.digest()
    with TlsClient(proxy.port, context(pki)) as client:
        offered, answer = scram_login(client, mechanism, BoundScram(APP_PASSWORD, data, header), stores.dbname)
    assert offered == [b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"]
    if sqlstate is None:
        assert answer.kind == "R"
    else:
        assert (answer.fields()["C"], answer.fields()["M"]) == (sqlstate, said)


def test_without_tls_no_binding_is_offered(make_tls, stores):
    proxy = make_tls("allow")
    with wire.RawClient(proxy.port) as client:
        offered, answer = scram_login(client, "SCRAM-SHA-256-PLUS", BoundScram(APP_PASSWORD, b""), stores.dbname)
    assert offered == [b"SCRAM-SHA-256"] and answer.fields()["C"] == "08P01"


# --- certificates of applications -------------------------------------------------------------------------------------

def of(certificate):
    return {"sslmode": "require", "sslcert": str(certificate.cert), "sslkey": str(certificate.key)}


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_client_certificate_is_asked_for(make_tls, pki, stores, mode):
    proxy = make_tls(mode, client_tls_ca_file=pki.root.cert)
    with connect(proxy, stores, **of(pki.app)) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (APP,)
    assert "connection requires a valid client certificate" in refused(proxy, stores, sslmode="require")
    assert "expired" in refused(proxy, stores, **of(pki.old))
    wait_log(proxy, 'client certificate verification failed: certificate has expired.*subject .{1,2}CN=app')
    assert "unknown ca" in refused(proxy, stores, **of(pki.foreign))
    wait_log(proxy, "client certificate verification failed: unable to get (local )?issuer certificate")


def test_with_a_ca_file_a_certificate_may_be_absent_but_not_bad(make_tls, pki, stores):
    proxy = make_tls("require", client_tls_ca_file=pki.root.cert)
    assert works(proxy, stores)
    with connect(proxy, stores, **of(pki.app)) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert "unknown ca" in refused(proxy, stores, **of(pki.foreign))


def test_auth_type_cert(make_tls, pki, stores):
    """The certificate's common name is the user; nobody is asked for a password."""
    proxy = make_tls("verify-full", client_tls_ca_file=pki.root.cert, settings={"auth": {"auth_type": "cert"}})
    with connect(proxy, stores, password=None, **of(pki.app)) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (APP,)
    assert 'certificate authentication failed for user "pgshunt"' in refused(proxy, stores, user="pgshunt", **of(pki.app))
    wait_log(proxy, "its certificate is that of .{1,2}app")
    assert "connection requires a valid client certificate" in refused(proxy, stores, sslmode="require")
    assert "expired" in refused(proxy, stores, **of(pki.old))


def test_auth_type_cert_without_a_ca_is_no_configuration(make_proxy, pki):
    proxy = make_proxy(settings={"auth": {"auth_type": "cert"}})
    code, text = proxy.command("-t", proxy.conf_path)
    assert code == 2 and "auth_type = cert needs TLS and client_tls_ca_file" in text


def test_certificates_by_hba_and_ident_file(make_tls, make_proxy, pki, stores):
    """A certificate of another name, mapped; who has none gives a password."""
    robot = pki.root.issue("robot", "robot-7.shop.test")
    folder = pki.root.folder / f"hba-{stores.dbname}"
    folder.mkdir()
    (folder / "hba").write_text("hostssl all app 127.0.0.1/32 cert map=robots\n")
    (folder / "ident").write_text(f"robots robot-7.shop.test {APP}\n")
    proxy = make_tls("require", client_tls_ca_file=pki.root.cert, settings={"auth": {
        "auth_type": "hba", "hba_file": folder / "hba", "ident_file": folder / "ident"}})
    with connect(proxy, stores, password=None, **of(robot)) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (APP,)
    assert "certificate authentication failed" in refused(proxy, stores, **of(pki.app))


def test_certificates_of_other_names(make_tls, pki, stores):
    """auth_type = cert with a map: names that are not those of database users."""
    robot = pki.root.issue("robot", "robot-8.shop.test")
    ident = pki.root.folder / f"ident-{stores.dbname}"
    ident.write_text(f"robots robot-8.shop.test {APP}\nothers app {APP}\n")
    proxy = make_tls("require", client_tls_ca_file=pki.root.cert, settings={"auth": {
        "auth_type": "cert", "auth_map": "robots", "ident_file": ident}})
    with connect(proxy, stores, password=None, **of(robot)) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (APP,)
    assert "certificate authentication failed" in refused(proxy, stores, **of(pki.app))


@pytest.mark.parametrize("auth, words", [
    ({"auth_type": "scram-sha-256", "auth_map": "robots"}, "auth_map is for auth_type = cert or peer"),
    ({"auth_type": "peer", "auth_map": "robots"}, "auth_map = robots needs ident_file")], ids=["password", "no file"])
def test_a_map_that_nobody_would_read(make_proxy, auth, words):
    proxy = make_proxy(settings={"auth": auth})
    code, text = proxy.command("-t", proxy.conf_path)
    assert code == 2 and words in text


# --- bytes ------------------------------------------------------------------------------------------------------------

def test_large_results_and_copies(proxy, stores):
    with connect(proxy, stores, sslmode="require") as conn:
        rows = conn.execute("SELECT md5(i::text), repeat('x', 300) FROM generate_series(1, 60000) i").fetchall()
        assert len(rows) == 60000 and rows[-1][0] == hashlib.md5(b"60000").hexdigest()
        (one,) = conn.execute("SELECT repeat('y', 30000000)").fetchone()
        assert len(one) == 30000000
        conn.execute("CREATE TEMP TABLE many (n int, t text)")
        with conn.cursor() as cursor:
            with cursor.copy("COPY many FROM STDIN") as copy:
                for start in range(0, 200000, 1000):
                    copy.write("".join(f"{n}\t{n * 'z' if n < 10 else 'z' * 90}\n" for n in range(start, start + 1000)))
            digest, count = hashlib.md5(), 0
            with cursor.copy("COPY (SELECT n, t FROM many ORDER BY n) TO STDOUT") as copy:
                for chunk in copy:
                    digest.update(bytes(chunk))
                    count += bytes(chunk).count(b"\n")
        assert count == 200000
        assert conn.execute("SELECT count(*), sum(length(t)) FROM many").fetchone() == (200000, 45 + 90 * 199990)


def test_a_reader_that_is_slow_brakes_its_server(proxy, stores):
    """200 MB for somebody who does not read them: neither the proxy nor the server holds them."""
    with connect(proxy, stores, sslmode="require") as conn:
        with open(f"/proc/{proxy.process.pid}/statm", encoding="ascii") as statm:
            before = int(statm.read().split()[1])
        cursor = psycopg.ClientCursor(conn)
        conn.pgconn.send_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 200000)")
        conn.pgconn.set_single_row_mode()
        wait_until("the server waits for its client", lambda: stores.shared.value(
            "postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND datname = "
                        f"'{stores.dbname}'") == 1)
        with open(f"/proc/{proxy.process.pid}/statm", encoding="ascii") as statm:
            grown = (int(statm.read().split()[1]) - before) * os.sysconf("SC_PAGE_SIZE")
        assert grown < 32 * 1024 * 1024
        count = 0
        while (result := conn.pgconn.get_result()) is not None:
            count += result.ntuples
        assert count == 200000
        cursor.close()


def test_byte_by_byte(proxy, pki, stores):
    """Records that arrive in pieces, and messages that are spread over records."""
    class Dripping:
        def __init__(self, sock):
            self.sock = sock

        def sendall(self, data):
            for at in range(0, len(data), 7):
                self.sock.sendall(data[at:at + 7])

    with wire.RawClient(proxy.port) as client:
        client.send(wire.request(wire.SSL_REQUEST))
        assert client.bytes(1) == b"S"
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        talk, drip = context(pki).wrap_bio(incoming, outgoing, server_hostname="localhost"), Dripping(client.socket)

        def pump(step):
            while True:
                try:
                    done = step()
                    drip.sendall(outgoing.read())
                    return done
                except ssl.SSLWantReadError:
                    drip.sendall(outgoing.read())
                    incoming.write(client.socket.recv(65536))
        pump(talk.do_handshake)
        client.send = lambda *messages: [pump(lambda byte=bytes([byte]): talk.write(byte)) for byte in b"".join(messages)]
        buffer = bytearray()

        def read_bytes(count):
            while len(buffer) < count:
                buffer.extend(pump(lambda: talk.read(65536)))
            taken = bytes(buffer[:count])
            del buffer[:count]
            return taken
        client.bytes = read_bytes
        assert client.login(APP, APP_PASSWORD, stores.dbname)[-1].kind == "Z"
        client.send(wire.query("SELECT 42"))
        assert client.until("Z")[1].values() == [b"42"]


def test_cancel(proxy, stores):
    with connect(proxy, stores, sslmode="require") as conn:
        wait = threading.Timer(0.5, conn.cancel)
        wait.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(60)")
        wait.join()
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_cancel_through_tls(proxy, pki, stores):
    """As PQcancelBlocking of libpq 17 does."""
    with TlsClient(proxy.port, context(pki)) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        client.send(wire.query("SELECT pg_sleep(60)"))
        wait_until("it sleeps", lambda: stores.shared.value(
            "postgres", f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = '{stores.dbname}'"))
        with TlsClient(proxy.port, context(pki)) as canceller:
            canceller.send(wire.cancel(*client.key))
            assert canceller.closed()
        assert client.until("Z")[-2].fields()["C"] == "57014"


def test_a_tenant_moves_under_a_session(proxy, stores):
    stores.fill({TENANT: 100, OTHER: 100})
    with connect(proxy, stores, sslmode="require") as conn:
        ask = "SELECT count(*), current_setting('port') FROM events WHERE tenant_id = %s"
        assert conn.execute(ask, (TENANT,)).fetchone() == (100, str(stores.shared.port))
        proxy.move(TENANT, "dedicated")
        assert conn.execute(ask, (TENANT,)).fetchone() == (100, str(stores.dedicated.port))
        assert conn.execute(ask, (OTHER,)).fetchone() == (100, str(stores.shared.port))


def test_a_renewed_certificate_is_read_by_reload(make_tls, pki, stores):
    """Clients that are there stay; whoever comes next sees the new one, and a wrong one changes nothing."""
    renewed = pki.root.issue("renewed", "renewed.test", names=["DNS:localhost"])
    proxy = make_tls()

    def shown():
        with TlsClient(proxy.port, context(pki)) as client:
            return dict(pair[0] for pair in client.socket.getpeercert()["subject"])["commonName"]
    with connect(proxy, stores, sslmode="require") as conn:
        assert shown() == "pgshunt.test"
        proxy.settings["tls"].update(client_tls_cert_file=renewed.cert)
        proxy.write_files()
        with pytest.raises(psycopg.Error, match="key"):     # the old key does not belong to it
            proxy.admin("RELOAD")
        assert shown() == "pgshunt.test"
        proxy.settings["tls"].update(client_tls_key_file=renewed.key)
        proxy.write_files()
        proxy.admin("RELOAD")
        assert shown() == "renewed.test"
        assert conn.execute("SELECT 42").fetchone() == (42,)
