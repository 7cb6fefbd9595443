"""Random schemas, statements and values: whatever is said, and however, a row is in the store of its tenant; what pgshunt
cannot tell is refused, and then it is nowhere.

    PGSHUNT_SEEDS=100,101 PGSHUNT_STATEMENTS=5000 pytest test_rows_land_where_their_tenant_lives.py     the long form
"""
import decimal
import os
import random
import uuid

import psycopg
import pytest
from psycopg import sql

from conftest import connect
from eventstore import APP, OWNER
from pgcluster import wait_until

SEEDS = [int(seed) for seed in os.environ.get("PGSHUNT_SEEDS", "1,2,3").split(",")]
STATEMENTS = int(os.environ.get("PGSHUNT_STATEMENTS", "160"))
PATTERN = "^[a-z]+:(.*):[0-9]+$"  # of a stream's id; its owner is in it
TYPES = ["uuid", "text", "varchar", "int4", "int8", "numeric", "tier"]


def tenants_of(kind, rng):
    """(value for a parameter, spellings as text) of six tenants; the first spelling is the canonical one."""
    if kind == "uuid":
        values = [uuid.UUID(int=rng.getrandbits(128)) for _ in range(6)]
        return [(v, [str(v), str(v).upper(), "{%s}" % v, v.hex]) for v in values]
    if kind in ("int4", "int8", "numeric"):
        numbers = rng.sample(range(1, 100000), 6)
        make = decimal.Decimal if kind == "numeric" else int
        return [(make(n), [str(n), "0%d" % n, " %d " % n]) for n in numbers]
    if kind == "tier":
        return [(f"T{n}", [f"T{n}"]) for n in range(6)]
    return [(name, [name]) for name in ("acme", "Acme", "o'neil", "b\\c", "ümlaut", "with space")]


class World:
    """One schema in two stores, a pgshunt before them, and what was said so far."""

    def __init__(self, seed, stores, make_proxy):
        self.rng = random.Random(seed)
        self.stores = stores
        self.kind = self.rng.choice(TYPES)
        self.type = self.kind
        self.tenants = tenants_of(self.kind, self.rng)
        self.away = set(self.rng.sample(range(6), 2))
        self.columns = ["id", "owner", "marker", "stream", "extra"]
        self.rng.shuffle(self.columns)
        self.markers = {}  # marker -> rows that must be there
        self.number = 0
        for cluster in (stores.shared, stores.dedicated):
            cluster.execute(stores.dbname, self.schema())
        self.proxy = make_proxy({"events": {
            "table": "ledger", "tenant_column": "owner", "position_column": "id", "event_id_column": "id",
            "stream_columns": "stream", "version_column": "id", "companion_tables": "outbox(tenant_column=whose)",
            "write_functions": "append(tenant_arg=2)", "stream_pattern": PATTERN}}).start()
        for n in self.away:
            stores.shared.execute(stores.dbname,
                                  "INSERT INTO pgshunt.tenant_routing (tenant_id, store_id, migration_state, generation)"
                                  " VALUES (%s, 'dedicated', 'normal', 1)", [self.tenants[n][1][0]])
        wait_until("the routes are known", lambda: len(self.proxy.admin("SHOW TENANTS")) == len(self.away))

    def schema(self):
        types = {"id": "bigserial", "owner": f"{self.type} DEFAULT nullif(current_setting('app.tenant_id', true), '')::{self.type}",
                 "marker": "text", "stream": "text", "extra": "int DEFAULT 0"}
        columns = ", ".join(f"{name} {types[name]}" for name in self.columns)
        return f"""
SET ROLE {OWNER};
{"CREATE TYPE tier AS ENUM ('T0', 'T1', 'T2', 'T3', 'T4', 'T5');" if self.kind == "tier" else ""}
CREATE TABLE ledger ({columns});
CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.owner := coalesce(NEW.owner, substring(NEW.stream from '{PATTERN}')::{self.type}); RETURN NEW; END $$;
CREATE TRIGGER own BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION own();
CREATE TABLE outbox (marker text, whose {types["owner"]});
CREATE TABLE staging (owner {self.type}, marker text);
CREATE FUNCTION append(marker text, owner {self.type}) RETURNS bigint LANGUAGE sql AS
  'INSERT INTO ledger (marker, owner) VALUES (marker, owner) RETURNING id';
GRANT ALL ON ALL TABLES IN SCHEMA public TO {APP};
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {APP};
"""

    # --- pieces of statements

    def marker(self):
        self.number += 1
        return f"m{self.number}"

    def pick(self, most=1):
        """Some tenants, most often of one store."""
        count = self.rng.randint(1, most)
        some = [n for n in range(6) if (n in self.away) == (self.rng.random() < 0.4)] or [0]
        return [self.rng.choice(some if self.rng.random() < 0.8 else range(6)) for _ in range(count)]

    def value(self, n, parameters):
        """The tenant as a literal in some spelling, or as a parameter in some format, cast or not."""
        value, spellings = self.tenants[n]
        how = self.rng.choice(["literal", "cast", "text", "binary", "text"])
        if how in ("literal", "cast"):
            literal = sql.Literal(self.rng.choice(spellings)).as_string(None)
            return literal + (f"::{self.type}" if how == "cast" else "")
        parameters.append(value if how == "binary" or self.rng.random() < 0.5 else str(self.tenants[n][1][0]))
        cast = f"::{self.type}" if how == "text" or self.kind in ("int4", "int8", "numeric", "uuid", "tier") else ""
        return ("%b" if how == "binary" else "%s") + cast

    def names(self, columns):
        return ", ".join(columns)

    # --- statements: each returns (text, parameters, marker, {tenant index or None: rows}); None: what is right is a refusal

    def insert(self, suffix=""):
        marker, tenants, parameters = self.marker(), self.pick(4), []
        columns = ["owner", "marker"] + self.rng.sample(["extra", "stream"], self.rng.randint(0, 2))
        self.rng.shuffle(columns)
        rows = []
        for n in tenants:
            given = []
            for column in columns:
                given.append(self.value(n, parameters) if column == "owner" else f"'{marker}'" if column == "marker" else "NULL")
            rows.append("(" + ", ".join(given) + ")")
        return (f"INSERT INTO ledger ({self.names(columns)}) VALUES {', '.join(rows)}{suffix}", parameters, marker, tenants)

    def insert_returning(self):
        text, *rest = self.insert(" ON CONFLICT DO NOTHING RETURNING id")
        if self.rng.random() < 0.5:
            text = f"WITH w AS ({text}) SELECT * FROM w"
        return text, *rest

    def insert_by_place(self):
        marker, tenants, parameters = self.marker(), self.pick(3), []
        plain = {"id": "DEFAULT", "marker": f"'{marker}'", "stream": "'s'", "extra": "1"}
        rows = ["(" + ", ".join(self.value(n, parameters) if c == "owner" else plain[c] for c in self.columns) + ")"
                for n in tenants]
        return f"INSERT INTO ledger VALUES {', '.join(rows)}", parameters, marker, tenants

    def insert_null(self):
        marker = self.marker()
        return f"INSERT INTO ledger (owner, marker) VALUES (NULL, '{marker}')", [], marker, [None]

    def insert_select(self):
        marker, tenants, parameters = self.marker(), self.pick(3), []
        if self.rng.random() < 0.5:
            items = ", ".join(self.value(n, parameters) for n in tenants)
            return (f"INSERT INTO ledger (owner, marker) SELECT t, '{marker}' FROM unnest(ARRAY[{items}]::{self.type}[]) AS u (t)",
                    parameters, marker, tenants)
        values = [self.tenants[n][1][0] for n in tenants]
        return (f"INSERT INTO ledger (owner, marker) SELECT unnest(%s::{self.type}[]), '{marker}'", [values], marker, tenants)

    def insert_unseen(self):
        marker = self.marker()
        source = self.rng.choice([f"SELECT owner, '{marker}' FROM staging", f"SELECT min(owner), '{marker}' FROM staging"
                                  if self.kind not in ("uuid",) else f"SELECT owner, '{marker}' FROM staging LIMIT 1"])
        return f"INSERT INTO ledger (owner, marker) {source}", [], marker, None

    def insert_by_setting(self):
        marker, (n,) = self.marker(), self.pick()
        spelled = sql.Literal(self.rng.choice(self.tenants[n][1])).as_string(None)
        setting = self.rng.choice([f"SET app.tenant_id = {spelled}", f"SELECT set_config('app.tenant_id', {spelled}, false)"])
        return (setting, f"INSERT INTO {self.rng.choice(['ledger', 'outbox'])} (marker) VALUES ('{marker}')"), [], marker, [n]

    def insert_by_nothing(self):
        marker = self.marker()
        return f"INSERT INTO ledger (marker) VALUES ('{marker}')", [], marker, None

    def companion(self):
        marker, tenants, parameters = self.marker(), self.pick(2), []
        rows = ", ".join(f"('{marker}', {self.value(n, parameters)})" for n in tenants)
        return f"INSERT INTO outbox VALUES {rows}", parameters, marker, tenants

    def both(self):
        marker, (n,), parameters = self.marker(), self.pick(), []
        first, second = self.value(n, parameters), self.value(n, parameters)
        return (f"WITH e AS (INSERT INTO ledger (owner, marker) VALUES ({first}, '{marker}') RETURNING id)"
                f" INSERT INTO outbox (whose, marker) SELECT {second}, '{marker}' FROM e", parameters, marker, [n, n])

    def merge(self):
        marker, (n,), parameters = self.marker(), self.pick(), []
        first, second = self.value(n, parameters), self.value(n, parameters)
        return (f"MERGE INTO ledger l USING (VALUES (1)) AS v (x) ON l.owner = {first} AND l.marker = '{marker}'"
                f" WHEN NOT MATCHED THEN INSERT (owner, marker) VALUES ({second}, '{marker}')", parameters, marker, [n])

    def function(self):
        marker, (n,), parameters = self.marker(), self.pick(), []
        call = self.rng.choice(["SELECT append('{m}', {t})", "SELECT * FROM append('{m}', {t})",
                                "SELECT append(owner => {t}, marker => '{m}')", "WITH a AS (SELECT append('{m}', {t})) SELECT 1 FROM a"])
        return call.format(m=marker, t=self.value(n, parameters)), parameters, marker, [n]

    def prepared(self):
        marker, (n,) = self.marker(), self.pick()
        name = f"p{self.number}"
        literal = sql.Literal(self.rng.choice(self.tenants[n][1])).as_string(None)
        return ((f"PREPARE {name} (text, {self.type}) AS INSERT INTO ledger (marker, owner) VALUES ($1, $2)",
                 f"EXECUTE {name} ('{marker}', {literal})"), [], marker, [n])

    def update(self):
        (n,), parameters = self.pick(), []
        condition = self.rng.choice(["owner = {t}", "owner IN ({t})", "{t} = owner", "owner = ANY(ARRAY[{t}]::%s[])" % self.type])
        return f"UPDATE ledger SET extra = extra + 1 WHERE {condition.format(t=self.value(n, parameters))}", parameters, None, []

    def hand_over(self):
        """An UPDATE that gives rows to another tenant: right only within one store."""
        (a,), (b,), parameters = self.pick(), self.pick(), []
        target, condition = self.value(b, parameters), self.value(a, parameters)
        return f"UPDATE ledger SET owner = {target} WHERE owner = {condition}", parameters, None, []

    def delete_nothing(self):
        (n,), parameters = self.pick(), []
        return f"DELETE FROM ledger WHERE owner = {self.value(n, parameters)} AND marker = 'none'", parameters, None, []

    def expression(self):
        marker, (n,), parameters = self.marker(), self.pick(), []
        value = f"(CASE WHEN true THEN {self.value(n, parameters)} END)::{self.type}"
        return f"INSERT INTO ledger (owner, marker) VALUES ({value}, '{marker}')", parameters, marker, None

    def stream(self, n, parameters):
        """The id of a stream that names the tenant, as a literal or a parameter."""
        name = f"order:{self.tenants[n][1][0]}:{self.rng.randint(1, 99)}"
        if self.rng.random() < 0.5:
            return sql.Literal(name).as_string(None)
        parameters.append(name)
        return self.rng.choice(["%s", "%b", "%s::text"])

    def insert_by_stream(self):
        marker, tenants, parameters = self.marker(), self.pick(3), []
        if self.rng.random() < 0.3:
            values = [f"bill:{self.tenants[n][1][0]}:1" for n in tenants]
            return f"INSERT INTO ledger (marker, stream) SELECT '{marker}', unnest(%s::text[])", [values], marker, tenants
        rows = ", ".join(f"({self.stream(n, parameters)}, '{marker}')" for n in tenants)
        return f"INSERT INTO ledger (stream, marker) VALUES {rows}", parameters, marker, tenants

    def insert_against_stream(self):
        """An id that names another tenant than the row has is an error."""
        marker, parameters = self.marker(), []
        a, b = self.rng.sample(range(6), 2)
        return (f"INSERT INTO ledger (stream, owner, marker) VALUES ({self.stream(a, parameters)}, {self.value(b, parameters)},"
                f" '{marker}')", parameters, marker, None)

    def update_by_stream(self):
        (n,), parameters = self.pick(), []
        condition = self.rng.choice(["stream = {s}", "stream IN ({s})", "stream = ANY(ARRAY[{s}])"])
        return f"UPDATE ledger SET extra = 7 WHERE {condition.format(s=self.stream(n, parameters))}", parameters, None, []

    def copy(self):
        """COPY FROM STDIN: its tenants are in its rows."""
        marker, tenants = self.marker(), self.pick(4)
        form = self.rng.choice(["text", "csv"] + ["binary"] * (self.kind != "tier"))
        table, owner, columns = self.rng.choice([("ledger", "owner", ["owner", "marker", "extra"]), ("outbox", "whose", ["whose", "marker"])])
        self.rng.shuffle(columns)
        rows = []
        for n in tenants:
            value = self.tenants[n][0] if form == "binary" else self.rng.choice(self.tenants[n][1])
            rows.append([value if c == owner else marker if c == "marker" else 3 for c in columns])
        types = [self.kind if c == owner else "text" if c == "marker" else "int4" for c in columns]
        return Copy(f"COPY {table} ({self.names(columns)}) FROM STDIN (FORMAT {form})", form, types, rows), [], marker, tenants

    def message(self):
        """Several statements in one message: all of it, or nothing."""
        marker, tenants, texts = self.marker(), self.pick(3), []
        for n in tenants:
            literal = sql.Literal(self.rng.choice(self.tenants[n][1])).as_string(None)
            texts.append(self.rng.choice([f"INSERT INTO ledger (marker, owner) VALUES ('{marker}', {literal})",
                                          f"INSERT INTO outbox VALUES ('{marker}', {literal})",
                                          f"SELECT append('{marker}', {literal})"]))
        texts.insert(self.rng.randint(0, len(texts)), self.rng.choice(["SELECT 1", "", "SET work_mem = '5MB'"]))
        return "; ".join(texts), [], marker, tenants

    def message_with_setting(self):
        marker, (n,) = self.marker(), self.pick()
        literal = sql.Literal(self.rng.choice(self.tenants[n][1])).as_string(None)
        return f"SET app.tenant_id = {literal}; INSERT INTO ledger (marker) VALUES ('{marker}')", [], marker, [n]

    FORMS = [insert, insert_by_stream, insert_against_stream, update_by_stream, copy, copy, message, message_with_setting, insert, insert_returning, insert_by_place, insert_null, insert_select, insert_unseen, insert_by_setting,
             insert_by_nothing, companion, both, merge, function, prepared, update, hand_over, delete_nothing, expression]

    # --- running and checking

    def run(self, conn):
        form = self.rng.choice(self.FORMS)
        text, parameters, marker, tenants = form(self)
        texts = text if isinstance(text, tuple) else (text,)
        in_block = self.rng.random() < 0.3
        prepare = self.rng.choice([True, False, None])
        try:
            with conn.transaction() if in_block else _nothing():
                for one in texts:
                    if isinstance(one, Copy):
                        one.run(conn)
                    elif parameters:
                        conn.execute(one, parameters, prepare=prepare)
                    else:
                        conn.execute(one.replace("%%", "%"))
            done = True
        except psycopg.Error as refusal:
            done = False
            assert refusal.sqlstate == "0A000", f"{texts} {parameters}: {refusal}"
            stores = {n in self.away for n in tenants or ()}
            careful = form is World.hand_over or (form is World.prepared and self.kind == "tier")  # more than need be
            assert tenants is None or len(stores) > 1 or careful, f"refused: {texts} {parameters}: {refusal}"
        finally:
            conn.execute("RESET app.tenant_id")
        assert not (done and tenants is None), f"landed somewhere: {texts} {parameters}"
        if marker is not None:
            self.markers[marker] = (len(tenants) if done else 0, texts, parameters)

    def check(self):
        found = {}
        for at_dedicated, cluster in ((False, self.stores.shared), (True, self.stores.dedicated)):
            for table, column in (("ledger", "owner"), ("outbox", "whose")):
                for owner, marker in cluster.rows(self.stores.dbname, f"SELECT {column}::text, marker FROM {table}"):
                    found[marker] = found.get(marker, 0) + 1
                    home = owner is not None and any(self.tenants[n][1][0] == owner for n in self.away)
                    assert home == at_dedicated, f"a row of {owner} is in the wrong store: {self.markers[marker]}"
        for marker, (count, texts, parameters) in self.markers.items():
            assert found.get(marker, 0) == count, f"{found.get(marker, 0)} rows instead of {count}: {texts} {parameters}"
        return sum(found.values())


class Copy:
    def __init__(self, statement, form, types, rows):
        self.statement, self.form, self.types, self.rows = statement, form, types, rows

    def __repr__(self):
        return f"{self.statement} {self.rows}"

    def run(self, conn):
        with conn.cursor() as cursor, cursor.copy(self.statement) as copy:
            if self.form == "binary":
                copy.set_types(self.types)
            for row in self.rows:
                if self.form == "csv":
                    copy.write(",".join('"' + str(value).replace('"', '""') + '"' for value in row) + "\n")
                else:
                    copy.write_row(row)


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_land_where_their_tenant_lives(seed, stores, make_proxy):
    world = World(seed, stores, make_proxy)
    print(f"seed {seed}: tenants are {world.kind}, columns {world.columns}")
    with connect(world.proxy, stores) as conn:
        for _ in range(STATEMENTS):
            world.run(conn)
    assert world.check() > 0
