"""TLS towards stores: as strict as it was asked for, whoever sits in between gets nothing, and nobody can tell the
difference."""
import os
import shutil
import socket
import ssl
import struct
import threading
import uuid

import psycopg
import pytest

import eventstore
import wire
from certificates import Authority
from conftest import OTHER, TEMPLATE, TENANT, connect
from eventstore import APP, APP_PASSWORD
from events import append
from pgcluster import Cluster, scram_verifier, server_user, wait_until
from storehba import role, store_hba

HOW = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def pki(workspace):
    class Pki:
        root = Authority(workspace.path / "pki-stores", "root")
        stranger = Authority(workspace.path / "pki-stores-stranger", "stranger")
    Pki.server = Pki.root.issue("server", "store.test", names=["DNS:localhost", "IP:127.0.0.1"])
    Pki.old = Pki.root.issue("old", "store.test", names=["IP:127.0.0.1"], expired=True)
    Pki.elsewhere = Pki.root.issue("elsewhere", "elsewhere.test", names=["DNS:elsewhere.test"])
    Pki.app = Pki.root.issue("app", APP)
    return Pki


def reread(cluster):
    cluster.execute("postgres", "SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def clusters(workspace, pki):
    """Two servers of this file's own that nobody reaches without TLS."""
    made = []
    for name in ("tls-shared", "tls-dedicated"):
        cluster = Cluster(workspace, name, settings={"wal_level": "logical", "ssl": "on", "ssl_ca_file": "'root.crt'"})
        cluster.create()
        cluster.show(pki.server)
        shutil.copyfile(pki.root.cert, cluster.data / "root.crt")
        os.chmod(cluster.data / "root.crt", 0o644)
        cluster.write_hba(["local all postgres trust", "hostssl all all 127.0.0.1/32 scram-sha-256"])
        cluster.start()
        eventstore.create_roles(cluster)
        eventstore.create_database(cluster, TEMPLATE)
        made.append(cluster)
    yield made
    for cluster in made:
        cluster.stop()


def verify_full(pki, **keys):
    return {"tls": {"server_tls_sslmode": "verify-full", "server_tls_ca_file": pki.root.cert, **keys}}


def refused(proxy, stores, **how):
    with pytest.raises(psycopg.OperationalError) as refusal:
        connect(proxy, stores, **how)
    return str(refusal.value)


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca", "verify-full"])
def test_every_mode_but_disable_is_encrypted(make_proxy, stores, pki, mode):
    keys = {"server_tls_sslmode": mode, **({"server_tls_ca_file": pki.root.cert} if "verify" in mode else {})}
    with connect(make_proxy(settings={"tls": keys}).start(), stores) as conn:
        assert conn.execute(HOW).fetchone() == (True, "TLSv1.3")


def test_disable_is_not_encrypted_and_the_server_says_what_it_thinks_of_it(make_proxy, stores):
    proxy = make_proxy(settings={"tls": {"server_tls_sslmode": "disable"}}).start()
    assert "no encryption" in refused(proxy, stores)


def test_protocols_are_what_was_configured(make_proxy, stores, pki):
    with connect(make_proxy(settings=verify_full(pki, server_tls_protocols="tlsv1.2")).start(), stores) as conn:
        assert conn.execute(HOW).fetchone() == (True, "TLSv1.2")


def test_a_connection_string_wins_for_its_store(make_proxy, stores, pki):
    """server_tls_sslmode says disable; what libpq connects with and what applications are connected with agree."""
    conninfos = {name: f"{conninfo} sslmode=verify-full sslrootcert={pki.root.cert} channel_binding=require"
                 for name, conninfo in stores.conninfos().items()}
    proxy = make_proxy(settings={"tls": {"server_tls_sslmode": "disable"}}, conninfos=conninfos).start()
    stores.fill({TENANT: 50, OTHER: 10})
    with connect(proxy, stores) as conn:
        assert conn.execute(HOW).fetchone() == (True, "TLSv1.3")
        proxy.move(TENANT, "dedicated")
        where = "SELECT current_setting('port'), count(*) FROM events WHERE tenant_id = %s"
        assert conn.execute(where, (TENANT,)).fetchone() == (str(stores.dedicated.port), 50)
    own = stores.shared.rows("postgres", "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                                         f"WHERE usename = '{eventstore.PGSHUNT}'")
    assert own and all(ssl for (ssl,) in own)


@pytest.mark.parametrize("name, said", [
    ("elsewhere", 'does not match host name "127.0.0.1"'), ("old", "certificate has expired")])
def test_a_server_with_a_wrong_certificate_gets_no_password(make_proxy, stores, pki, name, said):
    proxy = make_proxy(settings=verify_full(pki)).start()
    try:
        stores.shared.show(getattr(pki, name))
        reread(stores.shared)
        wait_until("the server shows it", lambda: said in refused(proxy, stores))
        with pytest.raises(psycopg.OperationalError) as refusal:
            connect(proxy, stores)
        assert "store_unavailable" in str(refusal.value)
    finally:
        stores.shared.show(pki.server)
        reread(stores.shared)
    wait_until("all is well again", lambda: works(proxy, stores))


def works(proxy, stores, **more):
    try:
        with connect(proxy, stores, **more) as conn:
            return conn.execute("SELECT 42").fetchone() == (42,)
    except psycopg.OperationalError:
        return False


def test_a_server_of_an_unknown_authority_is_refused(make_proxy, stores, pki):
    proxy = make_proxy(settings=verify_full(pki, server_tls_ca_file=pki.stranger.cert)).start()
    said = refused(proxy, stores)
    assert "server certificate verification failed" in said and "store_unavailable" in said


def test_our_certificate_opens_a_store(make_proxy, stores, pki):
    """auth_type = trust here, `cert` there: the only thing that the store sees is our certificate."""
    stores.shared.write_hba(["local all postgres trust", f"hostssl all {APP} 127.0.0.1/32 cert",
                             "hostssl all all 127.0.0.1/32 scram-sha-256"])
    reread(stores.shared)
    try:
        with_it = make_proxy(settings={"auth": {"auth_type": "trust"},
                                       **verify_full(pki, server_tls_cert_file=pki.app.cert,
                                                     server_tls_key_file=pki.app.key)}).start()
        wait_until("by certificate", lambda: works(with_it, stores))
        without = make_proxy(settings={"auth": {"auth_type": "trust"}, **verify_full(pki)}).start()
        assert "client certificate" in refused(without, stores)
    finally:
        stores.shared.write_hba(["local all postgres trust", "hostssl all all 127.0.0.1/32 scram-sha-256"])
        reread(stores.shared)


# --- somebody in between ----------------------------------------------------------------------------------------------

class Between(threading.Thread):
    """Passes connections on to a server, but answers an SSLRequest as it pleases. What comes behind is kept."""

    def __init__(self, port, answer):
        super().__init__(daemon=True)
        self.port_there, self.answer, self.heard = port, answer, bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        first = client.recv(8, socket.MSG_WAITALL)
        if first == wire.request(wire.SSL_REQUEST):
            client.sendall(self.answer)
            client.settimeout(5)
            try:
                while chunk := client.recv(65536):
                    self.heard += chunk
            except OSError:
                pass
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self.port_there))
        server.sendall(first)
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    @staticmethod
    def pump(source, target):
        try:
            while chunk := source.recv(65536):
                target.sendall(chunk)
        except OSError:
            pass
        target.close()


@pytest.mark.parametrize("mode, answer, said", [
    ("require", b"N", "the server does not support TLS"),
    ("prefer", b"S" + wire.message("R", struct.pack("!I", 0)), "received unencrypted data after SSL response"),
    ("prefer", b"N" + wire.message("R", struct.pack("!I", 0)), "received unencrypted data after SSL response"),
    ("require", wire.message("E", b"SFATAL\0C28000\0MYour password has expired, visit evil.test\0\0"),
     "received unencrypted data after SSL response"),
    ("prefer", b"E", "did not answer an SSLRequest"),
    ("require", b"S", ""),
], ids=["no", "injected", "injected behind no", "an error", "a letter", "no handshake"])
def test_who_sits_in_between_gets_nothing_and_says_nothing(make_proxy, stores, pki, monkeypatch, mode, answer, said):
    """The proxy's own connections (libpq) go through in plain text, so that it starts: only applications' are attacked."""
    plain = stores.shared
    plain.write_hba(["local all postgres trust", "host all all 127.0.0.1/32 scram-sha-256"])
    reread(plain)
    between = Between(plain.port, answer)
    monkeypatch.setenv("PGSSLMODE", "disable")
    try:
        conninfos = {"shared": f"host=127.0.0.1 port={between.port} dbname={stores.dbname} user={eventstore.PGSHUNT} "
                               f"password='{eventstore.PGSHUNT_PASSWORD.replace(chr(39), chr(92) + chr(39))}'"}
        proxy = make_proxy(settings={"tls": {"server_tls_sslmode": mode}, "auth": {"auth_type": "trust"}},
                           conninfos=conninfos).start()
        if said == "":                 # the other end never speaks TLS: the client is not kept for ever
            client = wire.RawClient(proxy.port)
            client.send(wire.startup({"user": APP, "database": stores.dbname}))
            wait_until("a ClientHello has come", lambda: between.heard[:1] == b"\x16")
            client.close()
            assert proxy.running()
        else:
            seen = refused(proxy, stores)
            assert said in seen and "store_unavailable" in seen and "evil.test" not in seen
        assert APP.encode() + b"\0" not in between.heard and b"SCRAM" not in between.heard
    finally:
        between.listener.close()
        plain.write_hba(["local all postgres trust", "hostssl all all 127.0.0.1/32 scram-sha-256"])
        reread(plain)


# --- bytes ------------------------------------------------------------------------------------------------------------

def test_large_results_copies_and_cancels(make_proxy, stores, pki):
    with connect(make_proxy(settings=verify_full(pki)).start(), stores) as conn:
        (one,) = conn.execute("SELECT repeat('y', 30000000)").fetchone()
        assert len(one) == 30000000
        conn.execute("CREATE TEMP TABLE many (n int, t text)")
        with conn.cursor() as cursor, cursor.copy("COPY many FROM STDIN") as copy:
            for start in range(0, 100000, 1000):
                copy.write("".join(f"{n}\t{'z' * 90}\n" for n in range(start, start + 1000)))
        assert conn.execute("SELECT count(*), sum(length(t)) FROM many").fetchone() == (100000, 9000000)
        wait = threading.Timer(0.3, conn.cancel)
        wait.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("SELECT pg_sleep(60)")
        wait.join()
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_streams_are_looked_up_through_tls(make_proxy, stores, pki):
    """The stream directory's own connections too, and no other."""
    proxy = make_proxy(settings=verify_full(pki)).start()
    probe = "SELECT coalesce(max(version), 0), current_setting('port')::int FROM events WHERE aggregate_id = %s AND aggregate_type = 'Order'"
    known = {TENANT: uuid.uuid4(), OTHER: uuid.uuid4()}
    with connect(proxy, stores) as conn:
        for tenant, stream in known.items():
            append(conn, tenant, stream)
        proxy.move(TENANT, "dedicated")
        for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
            assert conn.execute(probe, [known[tenant]]).fetchone() == (1, home.port)
        assert conn.execute(probe, [uuid.uuid4()]).fetchone() == (0, stores.shared.port)
        plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND usename = 'pgshunt' AND client_addr IS NOT NULL"
        assert stores.dedicated.value(stores.dbname, plain) == 0


def test_a_server_that_is_killed_under_a_session(make_proxy, stores, pki):
    """No close_notify, no word: the client keeps its session, as without TLS."""
    proxy = make_proxy(settings=verify_full(pki)).start()
    with connect(proxy, stores) as conn:
        stores.shared.kill()
        with pytest.raises(psycopg.Error):
            conn.execute("SELECT 1")
        stores.shared.start()
        wait_until("it goes on", lambda: goes_on(conn))


def goes_on(conn):
    try:
        return conn.execute("SELECT 42").fetchone() == (42,)
    except psycopg.Error:
        return False


# --- pgshunt in front of pgshunt --------------------------------------------------------------------------------------

def test_pgshunt_in_front_of_pgshunt(make_proxy, stores, pki):
    """TLS, channel binding and protocol 3.2 with its long cancel keys on every leg."""
    front_tls = {"client_tls_sslmode": "require", "client_tls_key_file": pki.server.key,
                 "client_tls_cert_file": pki.server.cert}
    users = {APP: APP_PASSWORD, eventstore.PGSHUNT: eventstore.PGSHUNT_PASSWORD}
    inner = make_proxy(settings={"tls": {**verify_full(pki)["tls"], **front_tls}}, users=users).start()
    conninfo = inner.conninfo(stores.dbname, eventstore.PGSHUNT, eventstore.PGSHUNT_PASSWORD, sslmode="verify-full",
                              sslrootcert=str(pki.root.cert), channel_binding="require")
    outer = make_proxy(settings={"tls": front_tls, "control": {"schema": "pgshunt_outer"}},
                       conninfos={"shared": conninfo}).start()
    with connect(outer, stores, sslmode="require", channel_binding="require") as conn:
        assert conn.execute(HOW).fetchone() == (True, "TLSv1.3")
        assert len(conn.execute("SELECT repeat('y', 5000000)").fetchone()[0]) == 5000000

    with wire.RawClient(outer.port) as client:
        client.send(wire.request(wire.SSL_REQUEST))
        assert client.bytes(1) == b"S"
        plain = ssl.create_default_context(cafile=str(pki.root.cert))
        client.socket = plain.wrap_socket(client.socket, server_hostname="localhost")
        answers = client.login(APP, APP_PASSWORD, stores.dbname, version=3 << 16 | 2)
        assert answers[-1].kind == "Z" and not [answer for answer in answers if answer.kind == "v"]
        assert len(client.key[1]) == 32
        client.send(wire.query("SELECT pg_sleep(60)"))
        wait_until("it sleeps", lambda: stores.shared.value(
            "postgres", f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = '{stores.dbname}'"))
        for wrong in (client.key[1][:4], client.key[1][:31], client.key[1][:31] + b"?", b"k" * 256):
            with wire.RawClient(outer.port) as canceller:
                canceller.send(wire.cancel(client.key[0], wrong))
                assert canceller.closed()
        with wire.RawClient(outer.port) as canceller:
            canceller.send(wire.cancel(*client.key))
            assert canceller.closed()
        assert client.until("Z")[-2].fields()["C"] == "57014"


def test_a_plain_password_and_auth_query_go_through_tls(make_proxy, stores, clusters, pki):
    """A store that asks for the password as it is gets it where nobody else can read it."""
    with role(clusters, "by_plain", scram_verifier("in the open")), \
            role(clusters, "asker", scram_verifier("asks"), "LOGIN SUPERUSER"), \
            store_hba(clusters, "hostssl all by_plain,asker 127.0.0.1/32 password"):
        proxy = make_proxy(users={"by_plain": "in the open", "asker": "asks"},
                           settings={**verify_full(pki), "auth": {"auth_user": "asker"}}).start()
        with connect(proxy, stores, user="by_plain", password="in the open") as conn:
            assert conn.execute(HOW).fetchone() == (True, "TLSv1.3")
        with connect(proxy, stores) as conn:
            assert conn.execute("SELECT current_user").fetchone() == (APP,)
        assert stores.shared.rows("postgres", "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                                              " WHERE application_name = 'pgshunt auth_query'") == [(True,)]
