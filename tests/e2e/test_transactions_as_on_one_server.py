"""Random transactions over three tenants and a table of none, in two stores, against the same on a single PostgreSQL:
every answer and every row at the end must be the same. Where the proxy refuses a second writing store, the single
server is given a statement that fails, so that both go on with a failed transaction.

    PGSHUNT_MODEL_SEEDS=1000-1999 pytest test_transactions_as_on_one_server.py      # more, or other ones
"""
import os
import random
import uuid

import pytest

import eventstore
import wire
from conftest import OTHER, TEMPLATE, TENANT, THIRD
from eventstore import APP, APP_PASSWORD

TENANTS = (TENANT, TENANT, OTHER, THIRD)           # the one away twice: it is half of the world
SEEDS = os.environ.get("PGSHUNT_MODEL_SEEDS", "1-40")
FAILS = "SELECT 1/0 AS refused"

SETUP = """
    CREATE TABLE prices (item text PRIMARY KEY, cents int);
    INSERT INTO prices VALUES ('tea', 350), ('milk', 90);
    GRANT ALL ON prices TO app;
""" + "".join(f"""
    INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)
    SELECT md5('{tenant}' || n)::uuid, md5('{tenant}')::uuid, 'Order', 'Placed', '{tenant}', n, '2024-01-01', '{{}}'
    FROM generate_series(1, 5) AS n;""" for tenant in (TENANT, OTHER, THIRD))


class Writer:
    """Writes programs: a list of units, each sent at once and then answered; (how, [statement, …])."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.number = seed * 100000
        self.away = self.random.random() < 0.5          # which store this program mostly writes in

    def pick(self, *choices):
        return self.random.choice(choices)

    def tenant(self, writes):
        if writes and self.random.random() < 0.85:
            return TENANT if self.away else self.pick(OTHER, THIRD)
        return self.random.choice(TENANTS)

    def insert(self):
        self.number += 1
        tenant = self.tenant(True)
        event = uuid.UUID(int=self.number)
        stream = uuid.UUID(int=(self.pick(self.number, self.number - 1) << 8) + TENANTS.index(tenant))  # sometimes twice
        return ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
                f" VALUES ('{event}', '{stream}', 'O', 'P', '{tenant}', 1, '2024-01-01', '{{}}')")

    def read(self):
        tenant = self.tenant(False)
        return self.pick(f"SELECT count(*), sum(version) FROM events WHERE tenant_id = '{tenant}'",
                         f"SELECT version, actor_id FROM events WHERE tenant_id = '{tenant}' ORDER BY event_id LIMIT 3",
                         "SELECT sum(cents) FROM prices", "SELECT 1", "SHOW work_mem", "SHOW transaction_isolation",
                         "SHOW transaction_read_only")

    def write(self):
        if not self.away and self.random.random() < 0.3:
            return f"UPDATE prices SET cents = cents + {self.random.randrange(9)}"
        return self.pick(self.insert(), self.insert(), f"UPDATE events SET actor_id = '{self.random.randrange(99)}'"
                                                       f" WHERE tenant_id = '{self.tenant(True)}'",
                         f"DELETE FROM events WHERE tenant_id = '{self.tenant(True)}' AND event_type = 'P'")

    def error(self):
        return self.pick(f"SELECT 1/0 FROM events WHERE tenant_id = '{self.tenant(False)}'", "SELECT cents/0 FROM prices",
                         "SELECT nonsense", f"INSERT INTO events (tenant_id) VALUES ('{self.tenant(True)}')")

    def savepoint(self):
        return self.pick("SAVEPOINT {}", "SAVEPOINT {}", "ROLLBACK TO {}", "ROLLBACK TO {}", "RELEASE {}").format(
            self.pick("a", "b", "c"))

    def control(self):
        return self.pick("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE", "COMMIT",
                         "COMMIT", "ROLLBACK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN")

    def setting(self):
        return self.pick("SET LOCAL work_mem = '{}MB'", "SET work_mem = '{}MB'", "RESET work_mem",
                         "SET TRANSACTION READ ONLY").format(self.random.randrange(1, 9))

    def statement(self):
        kind = self.random.choices([self.read, self.write, self.error, self.savepoint, self.control, self.setting],
                                   [35, 25, 4, 18, 8, 5])[0]
        return kind()

    def statements(self, how):
        """Left out is what is known to be refused or to differ: SET TRANSACTION outside a block holds until the Sync of
        its pipeline, in its store only; RELEASE and ROLLBACK TO behind another statement of the same Query."""
        most = {"query": 1, "queries": 4, "pipeline": 5, "together": 3}[how]
        found = [self.statement() for _ in range(self.random.randrange(1, most + 1))]
        barred = {"pipeline": ("SET TRANSACTION",), "together": ("RELEASE", "ROLLBACK TO")}.get(how, ())
        return [text if not text.startswith(barred) else "SELECT 2" for text in found] if barred else found

    def program(self):
        units = []
        for _ in range(self.random.randrange(2, 5)):
            units.append(("query", ["BEGIN" if self.random.random() < 0.7 else self.control()]))
            for _ in range(self.random.randrange(2, 9)):
                how = self.random.choices(["query", "queries", "pipeline", "together"], [50, 15, 30, 5])[0]
                units.append((how, self.statements(how)))
            units.append(("query", [self.pick("COMMIT", "COMMIT", "ROLLBACK")]))
        return units


# --- playing ----------------------------------------------------------------------------------------------------------

def shown(message):
    """What must be the same on both sides of one message of the backend."""
    if message.kind == "D":
        return "D", tuple(message.values())
    if message.kind in "EN":
        return message.kind, message.fields()["C"]
    if message.kind in "CZ":
        return message.kind, message.body
    return message.kind


def is_refusal(message):
    return message.kind == "E" and message.fields()["M"].startswith("cross_store")


def play(client, how, statements):
    """The answers to one unit, up to each ReadyForQuery."""
    if how == "pipeline":
        client.send(b"".join(wire.parse(text) + wire.bind() + wire.describe("P") + wire.execute() for text in statements)
                    + wire.sync())
        return [client.until("Z")]
    if how == "together":
        client.send(wire.query("; ".join(statements)))
        return [client.until("Z")]
    client.send(b"".join(wire.query(text) for text in statements))
    return [client.until("Z") for _ in statements]


def refused_index(how, answers):
    """Which statement of the unit the proxy refused; None: none of them."""
    for at, answer in enumerate(answers):
        for message in answer:
            if is_refusal(message):
                return at if how != "pipeline" else sum(m.kind in "CI" for m in answer)
    return None


def writes(statement):
    return any(word in statement for word in ("INSERT", "UPDATE", "DELETE"))


def model_of(how, statements, refused):
    if refused is None:
        return statements
    if how == "together":
        return [FAILS]
    return statements[:refused] + [FAILS] + statements[refused + 1:]


def alike(how, proxied, modelled, refused):
    """A refusal is at another moment of its statement than a division by zero, and has another code."""
    def cut(answers):
        out = [[shown(message) for message in answer] for answer in answers]
        if refused is None:
            return out
        kept = []
        for at, answer in enumerate(out):
            if how == "pipeline" or at == refused:
                error = next(i for i, m in enumerate(answer) if m[0] == "E")
                done = max([i + 1 for i, m in enumerate(answer[:error]) if m[0] in "CI"], default=0)
                kept.append(answer[:done] + ["refused"] + answer[error + 1:])
            else:
                kept.append(answer)
        return kept
    return cut(proxied) == cut(modelled)


def rows(cluster, dbname, condition):
    return cluster.rows(dbname, "SELECT event_id, aggregate_id, event_type, tenant_id, actor_id, version FROM events"
                                f" WHERE {condition} ORDER BY event_id")


@pytest.fixture
def model(stores):
    dbname = stores.dbname + "_model"
    eventstore.create_database(stores.shared, dbname, TEMPLATE)
    yield dbname
    eventstore.drop_database(stores.shared, dbname)


def describe(seed, units, at, proxied, modelled):
    lines = [f"seed {seed}, unit {at}:"]
    lines += [f"  {'>' if n == at else ' '} {how}: {'; '.join(statements)}" for n, (how, statements) in enumerate(units[:at + 1])]
    lines += ["proxy:  " + str([[shown(m) for m in answer] for answer in proxied]),
              "single: " + str([[shown(m) for m in answer] for answer in modelled])]
    return "\n".join(lines)


@pytest.mark.parametrize("pool_mode", ["session", "transaction"])
def test_every_answer_and_every_row_is_the_same(make_proxy, stores, model, pool_mode):
    proxy = make_proxy({"pgshunt": {"pool_mode": pool_mode}}).start()
    for dbname in (stores.dbname, model):
        stores.shared.execute(dbname, SETUP)
    proxy.move(TENANT, "dedicated")
    first, last = (int(number) for number in SEEDS.split("-"))
    refusals = units_played = 0
    for seed in range(first, last + 1):
        units = Writer(seed).program()
        with wire.RawClient(proxy.port) as client, wire.RawClient(stores.shared.port) as single:
            client.login(APP, APP_PASSWORD, stores.dbname)
            single.login(APP, APP_PASSWORD, model)
            for at, (how, statements) in enumerate(units):
                proxied = play(client, how, statements)
                refused = refused_index(how, proxied)
                if refused is not None:
                    refusals += 1
                    assert how == "together" or writes(statements[refused]), describe(seed, units, at, proxied, [])
                modelled = play(single, how, model_of(how, statements, refused))
                assert alike(how, proxied, modelled, refused), describe(seed, units, at, proxied, modelled)
                units_played += 1
        assert rows(stores.dedicated, stores.dbname, f"tenant_id = '{TENANT}'") \
            == rows(stores.shared, model, f"tenant_id = '{TENANT}'"), f"seed {seed}"
        assert rows(stores.shared, stores.dbname, f"tenant_id <> '{TENANT}'") \
            == rows(stores.shared, model, f"tenant_id <> '{TENANT}'"), f"seed {seed}"
        prices = "SELECT item, cents FROM prices ORDER BY item"
        assert stores.shared.rows(stores.dbname, prices) == stores.shared.rows(model, prices), f"seed {seed}"
    assert refusals < units_played / 4
