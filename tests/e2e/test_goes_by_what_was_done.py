"""What the session is said to be decides where a statement of no tenant goes: pgshunt remembers what the server has done,
not what was sent. Pipelines fail in the middle, commits are skipped, portals are bound and never executed; wherever a
statement then runs, the tenant that the server itself believes in lives there. TENANT has moved to dedicated."""
import random
import struct
import time

import pytest

import wire
from conftest import OTHER, TENANT
from eventstore import APP, APP_PASSWORD

PROBE = "SELECT current_setting('port'), current_setting('app.tenant_id', true) FROM events LIMIT 1"
LOCKING = PROBE + " FOR SHARE"             # a write: where the tenant is not known it is refused, a read goes to shared
SETTING = "app.tenant_id"


@pytest.fixture
def client(few, stores):
    with session(few, stores) as raw:
        yield raw


@pytest.fixture
def few(make_proxy, stores):
    stores.fill({TENANT: 20, OTHER: 10})
    proxy = make_proxy().start()
    proxy.move(TENANT, "dedicated")
    return proxy


def session(proxy, stores):
    raw = wire.RawClient(proxy.port)
    raw.login(APP, APP_PASSWORD, stores.dbname)
    raw.ports = {TENANT: stores.dedicated.port, OTHER: stores.shared.port, "": stores.shared.port}
    return raw


def run(*texts):
    """A pipeline without its Sync."""
    return b"".join(wire.parse(text) + wire.bind() + wire.execute() for text in texts)


def ask(client, *messages):
    """Everything sent at once; the answers up to each ReadyForQuery."""
    data = b"".join(messages)
    client.send(data)
    return [client.until("Z") for _ in range(count_ready(data))]


def count_ready(data):
    at = ready = 0
    while at < len(data):
        ready += data[at:at + 1] in (b"Q", b"S")
        at += 1 + struct.unpack_from("!I", data, at + 1)[0]
    return ready


def probes(answers):
    return [m.values() for answer in answers for m in answer if m.kind == "D" and len(m.values()) == 2]


def look(client):
    """Where a statement of no tenant runs, and the tenant that is set there; the two fit."""
    answers = ask(client, wire.query(PROBE))
    assert len(probes(answers)) == 1, answers
    (port, tenant), = probes(answers)
    tenant = (tenant or b"").decode()
    assert int(port) == client.ports[tenant], f"{tenant} is set where a statement ran at {port}"
    return tenant


def set_tenant(tenant, how="SET"):
    return f"{how} {SETTING} = '{tenant}'"


# --- one by one -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("texts, then", [
    (("BEGIN", "set", "COMMIT", "SELECT 1/0"), TENANT),
    (("set", "COMMIT", "SELECT 1/0"), TENANT),
    (("set", "SELECT 1/0", "COMMIT"), OTHER),
    (("SELECT 1/0", "set"), OTHER),
    (("BEGIN", "set", "ROLLBACK", "SELECT 1/0"), OTHER),
    (("BEGIN", "SAVEPOINT a", "set", "ROLLBACK TO a", "COMMIT"), OTHER),
    (("BEGIN", "SAVEPOINT a", "set", "RELEASE a", "COMMIT", "SELECT 1/0"), TENANT),
    (("BEGIN", "local", "COMMIT"), OTHER),
], ids=lambda value: "-".join(word.split()[0] for word in value) if isinstance(value, tuple) else value[:1])
@pytest.mark.parametrize("simple", [True, False], ids=["query", "pipeline"])
def test_a_setting_in_what_fails(client, simple, texts, then):
    words = {"set": set_tenant(TENANT), "local": set_tenant(TENANT, "SET LOCAL")}
    texts = [words.get(text, text) for text in texts]
    ask(client, wire.query(set_tenant(OTHER)))
    ask(client, wire.query(";".join(texts)) if simple else run(*texts) + wire.sync())
    assert look(client) == then


def test_a_local_setting_of_a_pipeline_without_a_block(client):
    """It lasts until the Sync, and what stands behind it goes by it, also to another store."""
    ask(client, wire.query(set_tenant(TENANT)))
    assert look(client) == TENANT
    answers = ask(client, run(set_tenant(OTHER, "SET LOCAL"), PROBE) + wire.sync())
    assert probes(answers) == [[str(client.ports[OTHER]).encode(), OTHER.encode()]]
    assert look(client) == TENANT


def test_a_setting_sent_ahead_of_its_failure(client):
    """The next message was sent before anybody could know that the SET was skipped."""
    ask(client, wire.query(set_tenant(TENANT)))
    look(client)
    answers = ask(client, run("SELECT 1/0", set_tenant(OTHER)) + wire.sync(), wire.query(PROBE))
    assert probes(answers) == [[str(client.ports[TENANT]).encode(), TENANT.encode()]]
    answers = ask(client, run(set_tenant(OTHER), "SELECT 1/0") + wire.sync(), run(PROBE) + wire.sync())
    assert probes(answers) == [[str(client.ports[TENANT]).encode(), TENANT.encode()]]


def test_a_released_savepoint_that_was_skipped_while_everybody_was_at_home(make_proxy, stores):
    """The session outlives the move, and what it believes of itself with it."""
    stores.fill({TENANT: 20, OTHER: 10})
    proxy = make_proxy().start()
    with session(proxy, stores) as client:
        ask(client, wire.query(set_tenant(OTHER)))
        ask(client, wire.query("BEGIN"), wire.query("SAVEPOINT a"), wire.query(set_tenant(TENANT)),
            wire.query("SAVEPOINT b"))
        ask(client, run("SELECT 1/0", "RELEASE a") + wire.sync())
        ask(client, wire.query("ROLLBACK TO b"), wire.query("ROLLBACK TO a"), wire.query("COMMIT"))
        proxy.move(TENANT, "dedicated")
        assert look(client) == OTHER


@pytest.mark.parametrize("executed", [False, True], ids=["never", "later"])
def test_what_is_bound_is_not_executed(client, executed):
    ask(client, wire.query(set_tenant(OTHER)))
    ask(client, wire.parse(set_tenant(TENANT)) + wire.bind() + wire.sync())
    assert look(client) == OTHER
    ask(client, wire.query("BEGIN"))
    ask(client, wire.parse(set_tenant(TENANT)) + wire.bind(portal="p") + wire.sync())
    ask(client, wire.parse("ROLLBACK") + wire.bind(portal="q") + wire.sync())
    if executed:
        ask(client, wire.execute("p") + wire.sync())
    ask(client, wire.query("COMMIT"))
    assert look(client) == (TENANT if executed else OTHER)


@pytest.mark.parametrize("rows", [1, 0], ids=["a-row-at-a-time", "all"])
def test_a_portal_that_is_executed_twice(client, rows):
    """Its set_config() runs with its first row; another SET comes before it is executed again."""
    config = f"SELECT set_config('{SETTING}', $1, false)"
    ask(client, wire.query("BEGIN"))
    ask(client, wire.parse(config) + wire.bind([TENANT.encode()], portal="p") + wire.execute("p", rows) + wire.sync())
    assert look(client) == TENANT
    ask(client, wire.query(set_tenant(OTHER)))
    ask(client, wire.execute("p", rows) + wire.sync())
    (answer,) = ask(client, wire.query(PROBE))                  # whether the second one has set anything is not known
    assert not probes([answer]) or int(probes([answer])[0][0]) == client.ports[OTHER]
    ask(client, wire.query("ROLLBACK"))
    assert look(client) == ""


def test_behind_a_prepare_transaction_that_rolls_back(client, stores):
    """It ends a failed transaction: what was sent behind it is not part of that any more."""
    ask(client, wire.query("BEGIN"), wire.query(f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' LIMIT 1"),
        wire.query("SELECT 1/0"))
    answers = ask(client, wire.query("PREPARE TRANSACTION 'no'"),
                  wire.query(f"SELECT current_setting('port'), tenant_id FROM events WHERE tenant_id = '{OTHER}' LIMIT 1"))
    assert probes(answers) == [[str(client.ports[OTHER]).encode(), OTHER.encode()]]


# --- channels and belongings ------------------------------------------------------------------------------------------

def notified(client, stores, channel):
    """Which stores' notifications come."""
    for name in ("shared", "dedicated"):
        getattr(stores, name).execute(stores.dbname, "SELECT pg_notify(%s, %s)", (channel, name))
    heard, until = set(), time.monotonic() + 2
    while len(heard) < 2 and time.monotonic() < until:
        for answer in ask(client, wire.query("SELECT 1")):
            heard |= {m.body[4:].split(b"\0")[1].decode() for m in answer if m.kind == "A"}
        time.sleep(0.05)
    return heard


@pytest.mark.parametrize("texts, listens", [
    (("BEGIN", "LISTEN news", "COMMIT", "SELECT 1/0"), True),
    (("BEGIN", "LISTEN news", "ROLLBACK", "SELECT 1/0"), False),
    (("LISTEN news", "SELECT 1/0"), False),
    (("SELECT 1/0", "LISTEN news"), False),
], ids=["committed", "rolled-back", "failed", "skipped"])
def test_a_listen_in_a_pipeline_that_fails(client, stores, texts, listens):
    ask(client, run(*texts) + wire.sync())
    assert notified(client, stores, "news") == ({"shared", "dedicated"} if listens else set())


def test_a_temporary_table_of_a_pipeline_that_fails_behind_its_commit(client):
    make = f"CREATE TEMPORARY TABLE scratch AS SELECT 1 AS n FROM events WHERE tenant_id = '{TENANT}'"
    ask(client, run("BEGIN", make, "COMMIT", "SELECT 1/0") + wire.sync())
    (answer,) = ask(client, wire.query("SELECT current_setting('port'), count(*) FROM scratch"))
    assert probes([answer]) == [[str(client.ports[TENANT]).encode(), b"20"]]


def test_a_discard_all_that_is_refused_discards_nothing(client):
    """In a block it is an error; what the session has at another store is there afterwards."""
    ask(client, wire.query(f"CREATE TEMPORARY TABLE scratch AS SELECT 1 AS n FROM events WHERE tenant_id = '{TENANT}'"))
    ask(client, wire.query(f"SELECT 1 FROM events WHERE tenant_id = '{OTHER}' LIMIT 1"))
    answers = ask(client, wire.query("BEGIN"), wire.query("DISCARD ALL"), wire.query("ROLLBACK"))
    assert [m.fields()["C"] for m in answers[1] if m.kind == "E"] == ["25001"]
    (answer,) = ask(client, wire.query("SELECT current_setting('port'), count(*) FROM scratch"))
    assert probes([answer]) == [[str(client.ports[TENANT]).encode(), b"20"]]
    ask(client, wire.query(f"SELECT 1 FROM events WHERE tenant_id = '{OTHER}' LIMIT 1"), wire.query("DISCARD ALL"))
    (answer,) = ask(client, wire.query("SELECT 1 FROM scratch"))
    assert answer[0].fields()["C"] == "42P01"


# --- anything ---------------------------------------------------------------------------------------------------------

STATEMENTS = [set_tenant(TENANT), set_tenant(OTHER), set_tenant(TENANT, "SET LOCAL"), set_tenant(OTHER, "SET LOCAL"),
              f"RESET {SETTING}", f"SELECT set_config('{SETTING}', '{TENANT}', true)", "BEGIN", "BEGIN", "COMMIT", "COMMIT",
              "COMMIT AND CHAIN", "ROLLBACK", "SAVEPOINT a", "SAVEPOINT b", "RELEASE a", "ROLLBACK TO a",
              "ROLLBACK TO b", "SELECT 1/0", LOCKING, LOCKING, LOCKING, LOCKING]


def some_messages(chance):
    """As bytes, and as they read."""
    sent, said = b"", []
    for _ in range(chance.randint(1, 4)):
        texts = chance.choices(STATEMENTS, k=chance.randint(1, 5))
        simple = chance.random() < 0.4
        sent += wire.query(";".join(texts)) if simple else run(*texts) + wire.sync()
        said.append(("Query " if simple else "pipeline ") + "; ".join(texts))
    return sent, said


@pytest.mark.parametrize("pool_mode", ["session", "transaction"])
def test_random_pipelines_sent_ahead_of_their_answers(make_proxy, stores, pool_mode):
    """Wherever a statement of no tenant was answered, the tenant that was set there lives there."""
    stores.fill({TENANT: 20, OTHER: 10})
    proxy = make_proxy(settings={"pgshunt": {"pool_mode": pool_mode}}).start()
    proxy.move(TENANT, "dedicated")
    answered = 0
    for seed in range(30):
        chance = random.Random(seed)
        history = []
        with session(proxy, stores) as client:
            for _ in range(15):
                sent, said = some_messages(chance)
                history += said
                for port, tenant in probes(ask(client, sent)):
                    answered += 1
                    tenant = (tenant or b"").decode()
                    if tenant != "":                        # else the transaction's tenant counts, if it has one
                        assert int(port) == client.ports[tenant], f"seed {seed}: tenant '{tenant}' at {port} behind " + " | ".join(history)
            (answer,) = ask(client, wire.query("ROLLBACK"))
            assert answer[-1].body == b"I", (f"seed {seed}", answer, history[-4:])
            look(client)
    assert answered > 50
