"""The tables of this folder against real servers: every statement goes through pgshunt to two stores, and the log of the
one that got it says which that was. What pgshunt must not guess, neither got.

    servers.py TABLE...        PGSHUNT_PROGRAM names the program; prints "N statements, N elsewhere, N left out"

Tenants A, acme and 42 live in store dedicated, all others in shared. What the grammar cannot read may come to store shared, whose
error it is, and to no other. Left out are rows for which any store will do, a COPY FROM STDIN (its rows say it), partitions and
namesakes (tests/e2e/test_finds_what_is_declared.py).
"""
import os
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "lib")]

import eventstore  # noqa: E402
import wire  # noqa: E402
from pgcluster import Cluster, Workspace, wait_until  # noqa: E402
from pgshunt import Pgshunt  # noqa: E402

DBNAME = "corpus"
TYPES = {"uuid": 2950, "text": 25, "varchar": 1043, "int2": 21, "int4": 23, "int8": 20, "numeric": 1700, "bool": 16,
         "uuid[]": 2951, "text[]": 1009, "int8[]": 1016, "int4[]": 1007, "own": 17000, "own[]": 17001}
PASSWORD = "'" + eventstore.APP_PASSWORD.replace("'", "''") + "'"
USERS = {"{A}": "for_a", "{B}": "for_b"}  # mapped to these tenants
# What the planner sees of each statement alone, and a session knows from the one before it in the same message.
TOGETHER = {"set app.tenant_id = '{A}'; select * from events": "dedicated",
            "select 1, version from events /*tenant_id='{A}'*/; select 2, version from events": "dedicated"}
RESETS = {"all": "RESET ALL", "it": "RESET app.tenant_id", "everything": "DISCARD ALL", "default": "SET app.tenant_id TO DEFAULT"}
UNDONE = ("SAVEPOINT s", "SET LOCAL app.tenant_id = '{}'", "SELECT 1 FROM events WHERE version = 0", "ROLLBACK TO s")
SAID = {"setting": "SET app.tenant_id = '{}'", "search_path": "SET search_path TO {}",
        "setting?": "SELECT set_config('app.tenant_id', x, false) FROM (VALUES ('q')) v (x)", "sjis": "SET client_encoding TO sjis",
        "backslashes": "SET standard_conforming_strings = off", "shadowed": "CREATE TEMP TABLE events (tenant_id uuid, version int)"}

SCHEMA = f"""
SET ROLE {eventstore.OWNER};
DROP TABLE events;
CREATE TABLE events (global_position bigserial, event_id uuid, aggregate_id uuid, aggregate_type varchar, event_type varchar,
  tenant_id uuid, actor_id text, version int, timestamp timestamptz, payload jsonb, created_at timestamptz);
CREATE TABLE outbox (id bigint, tenant_id text, payload jsonb);
CREATE TABLE accounts (tenant bigint, name text);
CREATE TABLE streams (id uuid, tenant_id uuid, v bigint);
CREATE TABLE labels (tenant_id varchar, label text);
CREATE TYPE tier AS ENUM ('free', 'gold', 'A', 'B');
CREATE TABLE plans (tier tier, x text);
CREATE TABLE ledgers (tenant_no numeric, x text);
CREATE TABLE countries (code text);
CREATE TABLE journal (stream text UNIQUE, tenant_id uuid, n int);
CREATE TABLE heads (tenant_id uuid, stream varchar);
RESET ROLE;
CREATE SCHEMA es AUTHORIZATION {eventstore.OWNER};
SET ROLE {eventstore.OWNER};
CREATE TABLE es."Events" (id bigint, "Tenant" text, data jsonb);
CREATE TABLE orphans (x text);
CREATE VIEW shown AS SELECT event_id AS id, tenant_id AS owner FROM events;
CREATE FUNCTION write_message(id varchar, stream varchar, type varchar) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION append_event(payload text, tenant uuid DEFAULT NULL) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION es.read_stream(uuid, bigint DEFAULT 1) RETURNS SETOF events LANGUAGE sql AS 'SELECT * FROM events LIMIT 0';
GRANT ALL ON SCHEMA es TO {eventstore.APP};
GRANT ALL ON ALL TABLES IN SCHEMA public, es TO {eventstore.APP};
"""
EVENTS = {"event_id_column": "", "stream_columns": "actor_id",
          "stream_pattern": "^[a-z]+-(.{36}).*$", "stream_pattern_column": "stream",
          "companion_tables": "outbox, streams, journal, heads, labels, accounts(tenant_column=tenant), ledgers(tenant_column=tenant_no),"
                              " plans(tenant_column=tier), es.Events(tenant_column=Tenant), orphans",
          "event_views": "shown",
          "everywhere_tables": "countries",
          "write_functions": "append_event(tenant_arg=2), write_message(stream_arg=2)", "read_functions": "es.read_stream(tenant_arg=1)"}


def fixture_names():
    """The uuids behind {A} … in ../unit/sql/fixture.h."""
    text = (TOP / "tests/unit/sql/fixture.h").read_text(encoding="utf-8")
    found = dict(re.findall(r'#define (T[0-9A])\s+"([^"]+)"', text))
    return {"A": found["T1"], "B": found["T2"], "L": found["TA"], "Z": found["T9"]}


class Row:
    def __init__(self, line, where):
        self.where = where
        left, right = line.split("⇒", 1)
        self.statement = left.strip().removeprefix("!").strip()
        parts = [[column.strip() for column in part.split("|", 4)] + [""] for part in right.split(" // ")]
        self.parts = [part[:3] for part in parts]  # class, tables, tenants: of each statement of the message
        self.class_, self.tables, self.tenants, self.evidence = parts[0][:4]
        around = parts[-1][4]
        self.words, self.parameters = [], {}
        for word in filter(None, (w.strip() for w in around.split("; "))):
            name, _, value = word.partition("=")
            if name.startswith("$"):
                number, _, kind = name[1:].partition(":")
                self.parameters[int(number)] = (TYPES.get(kind, 0), value)
            else:
                self.words.append((name, value))

    def expand(self, text, names):
        for name, value in names.items():
            text = text.replace("{%s}" % name, value)
        return text.replace("⏎", "\n")

    def is_unread(self):
        return "unparsed" in self.class_

    def is_left_out(self):
        return (any(name in self.statement for name in ("events_low", "moot"))
                or "odd" in self.statement.split() or self.tenants in ("?later", "no rows")
                or any(name == "user" and value not in USERS for name, value in self.words)
                or self.evidence == "transaction" and not any(name == "transaction" for name, _ in self.words)
                or self.statement.startswith("prepare ")  # runs nothing: any server will do
                or re.match("copy .* from stdin", self.statement))  # its rows say it: tests/e2e/test_copies_rows_to_their_stores.py

    def expected(self, away):
        """The ports' names that must have got it; None: anywhere. All statements of a message go together, or not at all."""
        if self.statement in TOGETHER:
            return {TOGETHER[self.statement]}
        homes = [self.expected_of(part, away) for part in self.parts]
        homes = [home for home in homes if home is not None]
        together = set().union(*homes)
        return None if not homes else together if len(together) == 1 and all(homes) else set()

    def expected_of(self, part, away):
        class_, tables, tenants = part
        if tenants == "-":
            return {"shared"} if "default" in tables else set() if "everywhere" in tables and "write" in class_ else None
        if tenants.startswith("?"):
            return {"shared"} if class_ == "read" else set()
        if tenants == "error" or "contradicted" in tenants:
            return set()
        homes = {"dedicated" if tenant in away else "shared" for tenant in tenants.split()}
        if "default" in tables:
            homes.add("shared")
        return homes if len(homes) == 1 else set()


def rows_of(path):
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield Row(line, f"{Path(path).name}:{number}")


class Bench:
    def __init__(self, workspace):
        self.names = fixture_names()
        self.clusters = {}
        for name in ("shared", "dedicated"):
            cluster = Cluster(workspace, name, settings={"log_statement": "all", "log_line_prefix": "'%a|'"})
            cluster.create()
            cluster.start()
            eventstore.create_roles(cluster)
            eventstore.create_database(cluster, DBNAME)
            cluster.execute(DBNAME, SCHEMA)
            for user in USERS.values():
                cluster.execute(DBNAME, f"CREATE ROLE {user} LOGIN PASSWORD {PASSWORD} IN ROLE {eventstore.APP}")
            self.clusters[name] = cluster
        stores = {name: eventstore.store_conninfo(cluster, DBNAME) for name, cluster in self.clusters.items()}
        self.proxy = Pgshunt(workspace, stores, dict.fromkeys([eventstore.APP, *USERS.values()], eventstore.APP_PASSWORD),
                             settings={"events": EVENTS, "routing": {f"user.{user}": f"tenant:{self.names[tenant[1]]}"
                                                                     for tenant, user in USERS.items()}}).start()
        self.away = {"A": self.names["A"], "acme": "acme", "42": "42"}
        for tenant in self.away.values():
            self.clusters["shared"].execute(DBNAME, "INSERT INTO pgshunt.tenant_routing (tenant_id, store_id, migration_state,"
                                                    " generation) VALUES (%s, 'dedicated', 'normal', 1)", [tenant])
        wait_until("the routes are known", lambda: len(self.proxy.admin("SHOW TENANTS")) == len(self.away))

    def value(self, row, text):
        if text == "null":
            return None
        if text.startswith("\\x"):
            return bytes.fromhex(row.expand(text[2:], {k: v.replace("-", "") for k, v in self.names.items()}))
        return row.expand(text, self.names).encode()

    def send(self, row, name):
        with wire.RawClient(self.proxy.port) as client:
            user = next((USERS[value] for word, value in row.words if word == "user"), eventstore.APP)
            client.login(user, eventstore.APP_PASSWORD, DBNAME, application_name=name)
            for word, value in row.words:
                if word in SAID or word == "reset":
                    said = RESETS[value] if word == "reset" else SAID[word].format(row.expand(value, self.names))
                    client.send(wire.query(said))
                    client.until("Z")
            transaction = [value for word, value in row.words if word == "transaction"]
            if len(row.parts) == 1:
                client.send(wire.query("BEGIN"))
                client.until("Z")
            if transaction:
                tenant = row.expand(transaction[0], self.names)
                client.send(wire.query(f"SELECT 'warm' FROM events WHERE tenant_id = '{tenant}'"))
                client.until("Z")
            for said in UNDONE if any(word == "undone" for word, _ in row.words) else ():
                client.send(wire.query(said.format(row.expand(dict(row.words)["undone"], self.names))))
                client.until("Z")
            statement = row.expand(row.statement, self.names)
            if not row.parameters:
                client.send(wire.query(statement))
            else:
                count = max(row.parameters)
                given = [row.parameters.get(n, (0, "null")) for n in range(1, count + 1)]
                client.send(wire.parse(statement, types=[kind for kind, _ in given]),
                            wire.bind([self.value(row, v) for _, v in given], formats=[int(v.startswith("\\x")) for _, v in given]),
                            wire.execute(), wire.sync())
            while True:
                message = client.read()
                if message.kind == "Z":
                    return
                if message.kind == "G":  # COPY FROM STDIN
                    client.send(wire.copy_fail("enough"))

    def who_got(self, row, name):
        beginning = re.sub(r"\s+", " ", row.expand(row.statement, self.names))[:40].rstrip("; ")
        got = set()
        for store, cluster in self.clusters.items():
            text = cluster.log_path.read_text(encoding="utf-8", errors="replace")
            for entry in re.findall(rf"^{name}\|(?:LOG:  (?:statement|execute [^:]*)|STATEMENT): +(.*(?:\n\t.*)*)", text, re.M):
                if re.sub(r"\s+", " ", entry).startswith(beginning):
                    got.add(store)
        return got


def main(paths):
    tried = wrong = left_out = 0
    with Workspace("pgshunt-corpus-") as workspace:
        bench = Bench(workspace)
        sent = []
        for path in paths:
            for row in rows_of(path):
                expected = None if row.is_left_out() else row.expected(bench.away)
                if expected is None and not row.is_unread():
                    left_out += 1
                    continue
                name = f"row{len(sent)}"
                bench.send(row, name)
                sent.append((row, name, expected))
        for row, name, expected in sent:
            tried += 1
            got = bench.who_got(row, name)
            if row.is_unread():
                expected = got & {"shared"}
            if got != expected:
                wrong += 1
                print(f"{row.where}: {row.statement}\n    expected  {', '.join(expected) or 'nowhere'}\n    found     {', '.join(got) or 'nowhere'}")
        bench.proxy.stop()
    print(f"{tried} statements, {wrong} elsewhere, {left_out} left out")
    return wrong > 0


if __name__ == "__main__":
    os.environ.setdefault("PGSHUNT_PROGRAM", str(TOP / "build" / "pgshunt"))
    sys.exit(main(sys.argv[1:] or sorted(str(p) for p in Path(__file__).parent.glob("*.txt"))))
