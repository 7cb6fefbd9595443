"""Who is let in, and how: every method towards clients and towards stores, with real servers behind."""
import hashlib
import os
import pwd
import select
import uuid
from contextlib import ExitStack

import psycopg
import pytest

import wire
from certificates import Authority
from conftest import OTHER, TENANT, TOP, connect
from eventstore import APP, APP_PASSWORD, APP_VERIFIER
from events import place
from pgcluster import scram_verifier
from pgshunt import wait_log
from storehba import role, store_hba

PASSWORD = "pencil and paper"
VERIFIER = scram_verifier(PASSWORD)


def md5_of(user, password=PASSWORD):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


def refusal(proxy, stores, user, password=PASSWORD, **more):
    """The fields of the ErrorResponse that a login ends with."""
    with wire.RawClient(proxy.port) as client:
        return client.login(user, password, more.pop("dbname", stores.dbname), **more)[-1].fields()


def logs_in(proxy, stores, user, password=PASSWORD, **more):
    with connect(proxy, stores, user=user, password=password, **more) as conn:
        return conn.execute("SELECT current_user").fetchone() == (user,)


# --- towards stores ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def asked(clusters):
    """A role per method that its pg_hba.conf line names, in both stores: by_scram, by_md5, …"""
    with ExitStack() as stack:
        for name, secret in (("by_scram", VERIFIER), ("by_md5", md5_of("by_md5")), ("by_password", VERIFIER),
                             ("by_trust", None), ("by_reject", VERIFIER), ("by_gss", None)):
            stack.enter_context(role(clusters, name, secret, of=APP))
        stack.enter_context(store_hba(clusters, "host all by_scram all scram-sha-256", "host all by_md5 all md5",
                                      "host all by_password all password", "host all by_trust all trust",
                                      "host all by_reject all reject", "host all by_gss all gss"))
        yield


def test_plain_passwords_answer_every_way_a_store_may_ask(make_proxy, stores, asked):
    names = ("by_scram", "by_md5", "by_password", "by_trust")
    proxy = make_proxy(users={name: PASSWORD for name in names},
                       settings={"auth": {"server_plain_password": "on"}}).start()
    for name in names:
        assert logs_in(proxy, stores, name), name
    assert refusal(proxy, stores, "by_scram", "wrong")["C"] == "28P01"


@pytest.mark.plain
def test_a_plain_password_is_not_told_to_a_store_over_an_open_line(make_proxy, stores, asked):
    proxy = make_proxy(users={"by_password": PASSWORD}).start()
    error = refusal(proxy, stores, "by_password")
    assert error["C"] == "28000" and "server_plain_password" in error["H"]


def test_an_md5_hash_serves_md5_on_both_sides(make_proxy, stores, asked):
    proxy = make_proxy(users={"by_md5": md5_of("by_md5"), "by_scram": md5_of("by_scram")},
                       settings={"auth": {"auth_type": "md5"}}).start()
    assert logs_in(proxy, stores, "by_md5")
    error = refusal(proxy, stores, "by_md5", "wrong")
    assert (error["C"], error["M"]) == ("28P01", 'password authentication failed for user "by_md5"')
    # The hash is no proof for a store that asks for SCRAM, and that is said.
    error = refusal(proxy, stores, "by_scram")
    assert error["C"] == "28000" and "asks for SCRAM-SHA-256" in error["M"] and '"shared"' in error["M"]


def test_a_store_that_refuses_does_so_in_its_own_words(make_proxy, stores, asked):
    proxy = make_proxy(users={"by_reject": PASSWORD}).start()
    error = refusal(proxy, stores, "by_reject")
    assert error["C"] == "28000" and error["M"].startswith("pg_hba.conf rejects connection for host")
    # … and one that has another password for the user, too, with what pgshunt has tried.
    proxy.users = {"by_scram": "another password"}
    proxy.write_files()
    proxy.admin("RELOAD")
    error = refusal(proxy, stores, "by_scram", "another password")
    assert (error["C"], error["M"]) == ("28P01", 'password authentication failed for user "by_scram"')
    assert 'Store "shared" refused' in error["D"]


def test_a_method_that_pgshunt_does_not_speak_is_named(make_proxy, stores, asked):
    proxy = make_proxy(users={"by_gss": PASSWORD}).start()
    error = refusal(proxy, stores, "by_gss")
    assert error["C"] == "28000" and 'store "shared" asks for GSSAPI authentication' in error["M"]


def test_a_plain_password_goes_through_a_unix_domain_socket(make_proxy, stores, clusters):
    """… of a store: there is no line to listen on."""
    hba = "local all by_socket password"
    with role(clusters, "by_socket", VERIFIER), store_hba(clusters, hba):
        proxy = make_proxy(users={"by_socket": PASSWORD}, conninfos={
            "shared": f"host={stores.shared.socket_dir} port={stores.shared.port} dbname={stores.dbname} user=postgres",
            "dedicated": stores.conninfos()["dedicated"]}).start()
        assert logs_in(proxy, stores, "by_socket")


# --- verifiers and keys -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pool_mode", ["session", "transaction"])
def test_a_clients_own_keys_open_every_store_that_has_its_verifier(make_proxy, stores, asked, pool_mode):
    """auth_file holds verifiers only; TENANT moves; one user has the same verifier in both stores, one has not."""
    stores.fill({TENANT: 30, OTHER: 10})
    other = scram_verifier(PASSWORD)
    stores.dedicated.execute("postgres", f"ALTER ROLE by_scram PASSWORD '{other}'")
    try:
        proxy = make_proxy(users={APP: APP_VERIFIER, "by_scram": VERIFIER},
                           settings={"pgshunt": {"pool_mode": pool_mode}}).start()
        proxy.move(TENANT, "dedicated")
        with connect(proxy, stores) as conn:
            assert place(conn, TENANT) == (stores.dedicated.port, 30)
            assert place(conn, OTHER) == (stores.shared.port, 10)
        with connect(proxy, stores, user="by_scram", password=PASSWORD) as conn:
            assert place(conn, OTHER) == (stores.shared.port, 10)
            with pytest.raises(psycopg.Error) as refused:
                place(conn, TENANT)
            assert refused.value.sqlstate == "28P01"
            assert 'store "dedicated" has another SCRAM verifier for user "by_scram"' in str(refused.value)
            assert place(conn, OTHER) == (stores.shared.port, 10)
    finally:
        stores.dedicated.execute("postgres", f"ALTER ROLE by_scram PASSWORD '{VERIFIER}'")


def test_a_verifier_alone_cannot_answer_md5(make_proxy, stores, asked):
    proxy = make_proxy(users={"by_md5": VERIFIER}).start()
    error = refusal(proxy, stores, "by_md5")
    assert error["C"] == "28000" and "asks for an md5 password" in error["M"]


# --- towards clients --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("secret", [APP_PASSWORD, APP_VERIFIER, md5_of(APP, APP_PASSWORD)], ids=["plain", "verifier", "md5"])
def test_md5_takes_every_kind_of_secret(make_proxy, stores, secret):
    """A verifier is asked for by SCRAM, as PostgreSQL does; the others by md5."""
    proxy = make_proxy(users={APP: secret}, settings={"auth": {"auth_type": "md5"}}).start()
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": APP, "database": stores.dbname}))
        code = int.from_bytes(client.read().body[:4], "big")
    assert code == (10 if secret == APP_VERIFIER else 5)
    assert "password authentication failed" in str(psycopg_error(proxy, stores, password="wrong"))
    if not secret.startswith("md5"):                   # the store asks for SCRAM
        assert logs_in(proxy, stores, APP, APP_PASSWORD)


def psycopg_error(proxy, stores, **how):
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(proxy, stores, **how)
    return refused.value


@pytest.mark.parametrize("auth_type, word", [("scram-sha-256", "SASL"), ("md5", "password")])
def test_another_message_than_the_password_is_refused(make_proxy, stores, auth_type, word):
    proxy = make_proxy(settings={"auth": {"auth_type": auth_type}}).start()
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": APP, "database": stores.dbname}), wire.query("SELECT 1"))
        error = client.until_end()[-1].fields()
    assert (error["C"], error["M"]) == ("08P01", f"expected {word} response, got message type 81")


def local(proxy, stores, user, **more):
    return psycopg.connect(host=str(proxy.base), port=proxy.port, dbname=stores.dbname, user=user, autocommit=True,
                           **more)


def test_peer(make_proxy, stores, clusters, asked):
    me = pwd.getpwuid(os.geteuid()).pw_name
    proxy = make_proxy(users={}, settings={"auth": {"auth_type": "peer"}})
    proxy.settings["pgshunt"]["unix_socket_dir"] = proxy.base
    proxy.write_files()
    proxy.start()
    with role(clusters, me), store_hba(clusters, f"host all {me} all trust"):
        with local(proxy, stores, me) as conn:
            assert conn.execute("SELECT current_user").fetchone() == (me,)
        with pytest.raises(psycopg.OperationalError, match='Peer authentication failed for user "app"'):
            local(proxy, stores, APP)
        error = refusal(proxy, stores, me)             # there is no peer behind an address
        assert (error["C"], error["M"]) == ("28000", f'Peer authentication failed for user "{me}"')


def test_a_client_certificate_is_a_name(make_proxy, stores, asked, workspace):
    authority = Authority(workspace.path / f"auth-pki-{uuid.uuid4().hex[:8]}", "root")
    server = authority.issue("server", "pgshunt.test")
    mine, others = authority.issue("mine", "by_trust"), authority.issue("others", "somebody")
    proxy = make_proxy(users={}, settings={
        "auth": {"auth_type": "cert"},
        "tls": {"client_tls_sslmode": "require", "client_tls_cert_file": server.cert,
                "client_tls_key_file": server.key, "client_tls_ca_file": authority.cert}}).start()
    with connect(proxy, stores, user="by_trust", password=None, sslmode="require", sslcert=str(mine.cert),
                 sslkey=str(mine.key)) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("by_trust",)
    for sent, said in (({"sslcert": str(others.cert), "sslkey": str(others.key)},
                        'certificate authentication failed for user "by_trust"'),
                       ({"sslcert": "/nowhere"}, "connection requires a valid client certificate")):
        assert said in str(psycopg_error(proxy, stores, user="by_trust", sslmode="require", **sent))


# --- hba_file ---------------------------------------------------------------------------------------------------------

def with_hba(make_proxy, text, ident="", users=None):
    proxy = make_proxy(users=users)
    proxy.hba_path, ident_path = proxy.base / "hba.conf", proxy.base / "ident.conf"
    proxy.hba_path.write_text(text)
    ident_path.write_text(ident)
    proxy.settings["auth"].update(auth_type="hba", hba_file=proxy.hba_path, ident_file=ident_path)
    proxy.settings["pgshunt"]["unix_socket_dir"] = proxy.base
    proxy.write_files()
    return proxy


def test_the_first_line_of_hba_file_that_matches_decides(make_proxy, stores, asked):
    me = pwd.getpwuid(os.geteuid()).pw_name
    proxy = with_hba(make_proxy, f"""
        # type  database         user         address         method
        local   all              by_trust                     peer map=ops
        host    all              by_reject    all             reject
        host    {stores.dbname}  by_scram     127.0.0.0/8     scram-sha-256
        host    {stores.dbname}  by_scram     all             reject
        host    all              by_password  127.0.0.1 255.255.255.255 password
        hostssl all              by_md5       all             md5
        host    other            app          all             trust
    """, ident=f"ops {me} by_trust\n",
        users={"by_scram": PASSWORD, "by_password": PASSWORD, "by_md5": PASSWORD, "by_reject": PASSWORD})
    proxy.settings["auth"]["server_plain_password"] = "on"
    proxy.write_files()
    proxy.start()
    assert logs_in(proxy, stores, "by_scram") and logs_in(proxy, stores, "by_password")
    with local(proxy, stores, "by_trust") as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("by_trust",)
    with pytest.raises(psycopg.OperationalError, match='no pg_hba.conf entry for host "\\[local\\]"'):
        local(proxy, stores, "by_scram")
    error = refusal(proxy, stores, "by_reject")
    assert (error["C"], error["M"]) == ("28000", 'pg_hba.conf rejects connection for host "127.0.0.1", user '
                                        f'"by_reject", database "{stores.dbname}", no encryption')
    for user in ("by_md5", APP):
        error = refusal(proxy, stores, user)
        assert (error["C"], error["M"]) == ("28000", f'no pg_hba.conf entry for host "127.0.0.1", user "{user}", '
                                            f'database "{stores.dbname}", no encryption')


def test_reload_reads_hba_file_again_and_drops_nobody(make_proxy, stores):
    proxy = with_hba(make_proxy, "host all app all scram-sha-256\n").start()
    with connect(proxy, stores) as conn:
        proxy.hba_path.write_text("host all app all reject\n")
        proxy.admin("RELOAD")
        assert "pg_hba.conf rejects connection" in refusal(proxy, stores, APP, APP_PASSWORD)["M"]
        assert conn.execute("SELECT 1").fetchone() == (1,)
        # A file with a mistake changes nothing.
        proxy.hba_path.write_text("host all app all scram-sha-256\nhost all app localhost md5\n")
        with pytest.raises(psycopg.Error, match='hba.conf:2: invalid address "localhost"'):
            proxy.admin("RELOAD")
        assert "pg_hba.conf rejects connection" in refusal(proxy, stores, APP, APP_PASSWORD)["M"]
    code, said = proxy.command("-t", proxy.conf_path)
    assert code != 0 and 'hba.conf:2: invalid address "localhost"' in said


def test_the_example_of_the_documentation_is_one(make_proxy):
    blocks = (TOP / "docs" / "authentication.md").read_text().split("```")
    (hba,) = [block for block in blocks if block.lstrip().startswith("# type")]
    (ident,) = [block for block in blocks if block.lstrip().startswith("# map")]
    proxy = with_hba(make_proxy, hba, ident=ident)
    code, said = proxy.command("-t", proxy.conf_path)
    assert code == 0, said


# --- guessing ---------------------------------------------------------------------------------------------------------

def test_a_wrong_password_is_answered_late_and_nobody_else_waits(make_proxy, stores):
    proxy = make_proxy(settings={"auth": {"auth_delay_ms": 10000}, "pgshunt": {"workers": 1}}).start()
    with wire.RawClient(proxy.port) as guesser:
        guesser.send(wire.startup({"user": APP, "database": stores.dbname}))
        scram = wire.Scram("a guess")
        first = scram.first()
        guesser.until("R")
        guesser.send(wire.message("p", wire.text("SCRAM-SHA-256") + len(first).to_bytes(4, "big") + first))
        guesser.send(wire.message("p", scram.final(guesser.until("R")[-1].body[4:])))
        wait_log(proxy, 'login of user "app" to database ".*" from 127.0.0.1 failed: password authentication failed')
        for _ in range(3):                             # the same address, the right password
            assert logs_in(proxy, stores, APP, APP_PASSWORD)
        guesser.send(b"x" * 100000)                    # what it says meanwhile is not heard
        assert not select.select([guesser.socket], [], [], 0)[0]


def challenge(proxy, stores, user):
    with wire.RawClient(proxy.port) as client:
        client.send(wire.startup({"user": user, "database": stores.dbname}))
        offered = client.until("R")[-1].body
        first = b"n,,n=,r=abcdefghijklmnop"
        client.send(wire.message("p", wire.text("SCRAM-SHA-256") + len(first).to_bytes(4, "big") + first))
        parts = dict(part.split("=", 1) for part in client.until("R")[-1].body[4:].decode().split(","))
        return offered, len(parts["r"]), parts["s"], parts["i"]


def test_nothing_tells_which_users_exist(make_proxy, stores):
    """A known user with a plain password, one with an md5 hash, an unknown one: the same kind of challenge, the same
    salt every time, the same refusal."""
    proxy = make_proxy(users={APP: APP_PASSWORD, "old": md5_of("old")}).start()
    seen = {user: challenge(proxy, stores, user) for user in (APP, "old", "nobody")}
    assert all(challenge(proxy, stores, user) == seen[user] for user in seen)
    assert len({(offered, nonce, len(salt), rounds) for offered, nonce, salt, rounds in seen.values()}) == 1
    assert len({salt for _, _, salt, _ in seen.values()}) == 3
    said = {user: refusal(proxy, stores, user, "wrong") for user in seen}
    assert len({str({**error, "M": error["M"].replace(user, "?")}) for user, error in said.items()}) == 1


def test_who_does_not_log_in_is_sent_away(make_proxy, stores):
    proxy = make_proxy(settings={"auth": {"client_login_timeout": 1}}).start()
    with wire.RawClient(proxy.port) as client, connect(proxy, stores) as conn:
        client.send(wire.startup({"user": APP, "database": stores.dbname}))
        error = client.until_end()[-1].fields()
        assert (error["C"], error["M"]) == ("57014", "canceling authentication due to timeout")
        assert conn.execute("SELECT 1").fetchone() == (1,)
