"""auth_query: users that are not in auth_file are looked up in the default store, whatever they are called."""
import pytest

import wire
from conftest import OTHER, TENANT, TOP, connect
from eventstore import APP, APP_PASSWORD
from events import place
from pgcluster import scram_verifier
from pgshunt import wait_log
from storehba import role, store_hba
from test_authenticates import PASSWORD, VERIFIER, logs_in, refusal

ASKER, ASKERS_PASSWORD = "asker", "asker's own"


def example(language):
    """The first block of that language in docs/authentication.md."""
    return (TOP / "docs" / "authentication.md").read_text().split(f"```{language}\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def asker(clusters):
    """A role that may read everybody's password, as auth_user must."""
    with role(clusters, ASKER, scram_verifier(ASKERS_PASSWORD), "LOGIN SUPERUSER"):
        yield


@pytest.fixture
def asking(make_proxy, asker):
    """A proxy that knows nobody but the asker."""
    def make(users=None, **auth):
        users = {ASKER: ASKERS_PASSWORD} if users is None else users
        return make_proxy(users=users, settings={"auth": {"auth_user": ASKER, **auth}}).start()
    return make


def test_a_user_logs_in_to_both_stores_by_what_the_default_store_knows(asking, stores):
    stores.fill({TENANT: 20, OTHER: 10})
    proxy = asking()
    proxy.move(TENANT, "dedicated")
    with connect(proxy, stores) as conn:
        assert place(conn, TENANT) == (stores.dedicated.port, 20)
        assert place(conn, OTHER) == (stores.shared.port, 10)


NAMES = ["o'clock", 'with "quotes"', "x' OR '1'='1", "'; DROP ROLE app; --", "$1", "back\\slash", "ünï©ødé", "UPPER",
         " blank "]


def test_a_name_is_a_name(asking, stores, clusters):
    proxy = asking(auth_delay_ms=0)
    for user in NAMES:
        with role(clusters, user, VERIFIER):
            assert logs_in(proxy, stores, user), user
        # The same name without a role, and a role without a password, are refused like a wrong password.
        with role(clusters, user + "?"):
            for stranger in (user + "?", user + "!"):
                error = refusal(proxy, stores, stranger)
                assert (error["C"], error["M"]) == ("28P01", f'password authentication failed for user "{stranger}"')
    assert logs_in(proxy, stores, APP, APP_PASSWORD)


def test_auth_file_comes_first(asking, stores):
    proxy = asking(users={ASKER: ASKERS_PASSWORD, APP: "not what the store has"})
    assert refusal(proxy, stores, APP, APP_PASSWORD)["C"] == "28P01"


def test_a_function_may_answer_for_a_role_with_few_rights(make_proxy, stores):
    """What docs/authentication.md advises, word for word."""
    try:
        for statement in example("sql").split(";\n"):
            stores.shared.execute("postgres", statement)
        settings = dict(line.partition(";")[0].strip().split(" = ") for line in example("ini").splitlines()[2:])
        proxy = make_proxy(users={settings["auth_user"]: "its own"}, settings={"auth": settings}).start()
        assert logs_in(proxy, stores, APP, APP_PASSWORD)
        assert refusal(proxy, stores, "postgres", "")["C"] == "28P01"
    finally:
        stores.shared.execute("postgres", "DROP FUNCTION IF EXISTS pgshunt_lookup(text)")
        stores.shared.execute("postgres", "DROP ROLE IF EXISTS pgshunt_auth")


def test_a_lost_connection_costs_no_login(asking, stores, clusters):
    proxy = asking()
    assert logs_in(proxy, stores, APP, APP_PASSWORD)
    with role(clusters, "later", VERIFIER):
        stores.shared.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                          " WHERE application_name = 'pgshunt auth_query'")
        assert logs_in(proxy, stores, "later")


def test_a_changed_password_is_looked_up_again_once_the_old_one_fails(asking, stores, clusters):
    proxy = asking(auth_delay_ms=0)
    proxy.settings["pgshunt"]["workers"] = 1
    proxy.stop()
    proxy.write_files()
    proxy.start()
    with role(clusters, "fickle", VERIFIER):
        assert logs_in(proxy, stores, "fickle")
        other = scram_verifier("something new")
        for cluster in clusters:
            cluster.execute("postgres", f"ALTER ROLE fickle PASSWORD '{other}'")
        refusal(proxy, stores, "fickle", "something new")          # perhaps remembered still
        assert logs_in(proxy, stores, "fickle", "something new")


FAILING = [("SELECT 1 / 0, $1::text", "division by zero"),
           ("SELECT nothing FROM nowhere WHERE $1 = ''", 'relation "nowhere" does not exist'),
           ("SELECT usename FROM pg_shadow WHERE usename = $1", "must return two columns"),
           ("SELECT 'app', passwd FROM pg_shadow WHERE $1 <> ''", "more than one row"),
           ("SELECT 'someone', $1::text", "another user than it was asked for")]


def test_a_query_that_fails_is_told_to_the_log_and_not_to_strangers(asking, stores):
    proxy = asking()
    for query, said in FAILING:
        proxy.settings["auth"]["auth_query"] = query
        proxy.write_files()
        proxy.admin("RELOAD")
        error = refusal(proxy, stores, APP, APP_PASSWORD)
        assert (error["C"], error["M"]) == ("08001", "store_unavailable: the user's password cannot be looked up")
        wait_log(proxy, said)
        assert logs_in_as_asker(proxy, stores)


def logs_in_as_asker(proxy, stores):
    with connect(proxy, stores, user=ASKER, password=ASKERS_PASSWORD) as conn:
        return conn.execute("SELECT current_user").fetchone() == (ASKER,)


def test_an_asker_whom_the_store_refuses_is_told_to_the_log(asking, stores, clusters):
    proxy = asking()
    with store_hba(clusters, f"host all {ASKER} all reject"):
        assert refusal(proxy, stores, APP, APP_PASSWORD)["C"] == "08001"
        wait_log(proxy, "pg_hba.conf rejects connection")
    assert logs_in(proxy, stores, APP, APP_PASSWORD)


def test_many_ask_at_once(asking, stores):
    proxy = asking(auth_delay_ms=0)
    clients = [wire.RawClient(proxy.port) for _ in range(30)]
    try:
        for number, client in enumerate(clients):
            user = APP if number % 3 else f"nobody{number}"
            client.send(wire.startup({"user": user, "database": stores.dbname}))
        clients.pop(1).reset()                                     # who asks may go
        for number, client in enumerate(clients):
            assert client.authenticate(APP_PASSWORD)[-1].kind in "ZE"
        assert logs_in(proxy, stores, APP, APP_PASSWORD)
    finally:
        for client in clients:
            client.close()


def test_a_query_without_a_place_for_the_name_is_a_mistake(make_proxy):
    proxy = make_proxy(settings={"auth": {"auth_user": ASKER, "auth_query": "SELECT 1, 2"}})
    code, said = proxy.command("-t", proxy.conf_path)
    assert code != 0 and "auth_query does not ask for $1" in said
