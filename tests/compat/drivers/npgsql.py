"""Npgsql, replayed: it is in neither Debian nor npm, so its messages are sent in the order in which it sends them.

What makes it different from drivers built on libpq, and where it says so:
  - BEGIN is not sent by itself: a simple Query stands in front of the next command's extended messages, in one packet, and
    so does what resets a pooled connection (DISCARD ALL) in front of its next user's first command.
    https://github.com/npgsql/npgsql/issues/552, https://www.npgsql.org/doc/performance.html#pooled-connection-reset
  - A command that is not prepared is Parse, Bind, Describe (portal), Execute per statement, and one Sync behind the last:
    a text of several statements becomes a batch. Prepared: Parse, Describe (statement) per statement, one Sync; later
    Bind, Execute, Sync under a name like _p1. https://www.npgsql.org/doc/prepare.html
  - Results are asked for in binary. https://www.npgsql.org/doc/types/basic.html
  - It reads the catalogue of types when it first connects. https://www.npgsql.org/doc/performance.html
"""
import os
import select
import ssl
import struct
import threading
import time
import uuid

import wire
from checklist import HOMES, SLEEP, STREAM, TENANT, TENANT_EVENTS, TLS, NotThere, append, check, read, same

UUID = 2950


def open_socket():
    raw = wire.RawClient(int(os.environ["PGPORT"]), os.environ["PGHOST"])
    if TLS:
        raw.send(wire.request(wire.SSL_REQUEST))
        same(raw.bytes(1), b"S")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw.socket = context.wrap_socket(raw.socket)
    return raw


class Connector:
    """One physical connection."""

    def __init__(self):
        self.raw = open_socket()
        self.prepended = b""
        got = self.raw.login(os.environ["PGUSER"], os.environ["PGPASSWORD"], os.environ["PGDATABASE"],
                             client_encoding="UTF8", application_name="npgsql")
        assert got[-1].kind == "Z", got
        self.load_types()

    def load_types(self):
        answers = self.command("SELECT version()", TYPES)
        assert len(answers) == 2 and answers[0][0][0].startswith(b"PostgreSQL 15") and len(answers[1]) > 50

    def send(self, *messages):
        """Everything in one packet, what was prepended first."""
        self.raw.send(self.prepended, *messages)
        owed, self.prepended = bool(self.prepended), b""
        if owed:
            got = self.raw.until("Z")
            assert got[-2].kind == "C", got

    def command(self, *statements, values=(), types=()):
        """Rows of each statement: a batch, unprepared. Raises Failed."""
        messages = []
        for statement in statements:
            messages += [wire.parse(statement, types=types),
                         wire.bind(values, formats=[1] if values else [], result_formats=[1]),
                         wire.describe("P"), wire.execute()]
        self.send(*messages, wire.sync())
        return rows_of(self.raw.until("Z"))

    def prepare(self, name, statement, types=()):
        self.send(wire.parse(statement, name, types), wire.describe("S", name), wire.sync())
        failed_in(self.raw.until("Z"))

    def execute(self, name, values=()):
        self.send(wire.bind(values, name, formats=[1] if values else [], result_formats=[1]), wire.execute(), wire.sync())
        return rows_of(self.raw.until("Z"))[0]

    def begin(self, level="READ COMMITTED"):
        self.prepended += wire.query(f"BEGIN TRANSACTION ISOLATION LEVEL {level}")

    def query(self, text):
        """What Npgsql sends for itself: COMMIT, ROLLBACK, SAVEPOINT."""
        self.send(wire.query(text))
        failed_in(self.raw.until("Z"))

    def back_to_the_pool(self):
        self.prepended += wire.query("DISCARD ALL")


TYPES = """
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
FROM (
    SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
           elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind
    FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
                 CASE WHEN proc.proname = 'array_recv' THEN 'a' ELSE typ.typtype END AS typtype
          FROM pg_type AS typ LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
          LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive) AS typ
    LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemoid
    LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)) AS t
JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
WHERE typtype IN ('b', 'r', 'm', 'e', 'd') OR (typtype = 'c' AND relkind = 'c')
"""


class Failed(Exception):
    def __init__(self, fields):
        super().__init__(f"{fields['C']}: {fields['M']}")
        self.fields = fields


def failed_in(messages):
    for got in messages:
        if got.kind == "E":
            raise Failed(got.fields())
    return messages


def rows_of(messages):
    batches = [[]]
    for got in failed_in(messages):
        if got.kind == "D":
            batches[-1].append(got.values())
        elif got.kind in "CI":
            batches.append([])
    return batches[:-1]


def number(value):
    return struct.unpack({2: "!h", 4: "!i", 8: "!q"}[len(value)], value)[0]


def key(tenant):
    return uuid.UUID(tenant).bytes


def fails(code, function, *arguments):
    try:
        function(*arguments)
    except Failed as error:
        same(error.fields["C"], code)
        return error
    raise AssertionError(f"no error {code}")


def connects():
    same(Connector().raw.parameters["server_version"][:2], "15")


def errors():
    conn = Connector()
    fails("22012", conn.command, "SELECT 1", "SELECT 1/0", "SELECT 2")
    conn.command("INSERT INTO scratch VALUES (1, 'a')")
    same(fails("23505", conn.command, "INSERT INTO scratch VALUES (1, 'b')").fields["n"], "scratch_pkey")
    same(conn.command("DELETE FROM scratch RETURNING note")[0], [[b"a"]])


def transactions():
    conn = Connector()
    conn.begin()
    conn.command("INSERT INTO scratch VALUES (1, 'a')")
    conn.query("ROLLBACK")
    conn.begin("REPEATABLE READ")
    conn.command("INSERT INTO scratch VALUES (2, 'b')", "SHOW transaction_isolation")
    conn.query("SAVEPOINT s")
    fails("22012", conn.command, "SELECT 1/0")
    fails("25P02", conn.command, "SELECT 1")
    conn.query("ROLLBACK TO SAVEPOINT s")
    conn.query("COMMIT")
    same([number(row[0]) for row in conn.command("DELETE FROM scratch RETURNING id")[0]], [2])
    conn.begin()                                           # never used: COMMIT goes behind it
    conn.query("COMMIT")


def prepared():
    conn = Connector()
    conn.prepare("_p1", "SELECT $1 + 1", (23,))
    for value in range(5):
        same(number(conn.execute("_p1", [struct.pack("!i", value)])[0][0]), value + 1)
    conn.send(wire.close("S", "_p1"), wire.sync())
    failed_in(conn.raw.until("Z"))
    conn.back_to_the_pool()                                # the next user's first command
    same(number(conn.command("SELECT 5")[0][0][0]), 5)


def binary():
    conn = Connector()
    row = conn.command("SELECT $1::uuid", values=[key(TENANT)], types=(UUID,))[0][0]
    same(row, [key(TENANT)])
    for tenant, port in HOMES:
        same(number(conn.command(read("$1"), values=[key(tenant)], types=(UUID,))[0][0][0]), port)


def pipeline():
    conn = Connector()
    answers = conn.command(*[f"SELECT {value}" for value in range(100)])
    same([number(rows[0][0]) for rows in answers], list(range(100)))
    fails("22012", conn.command, "INSERT INTO scratch VALUES (1, 'a')", "SELECT 1/0")
    same(conn.command("SELECT FROM scratch"), [[]])        # a batch is one transaction


def copy():
    conn = Connector()
    head = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
    rows = b"".join(struct.pack("!hii", 2, 4, value) + struct.pack("!i", 4) + b"note" for value in range(5000))
    conn.send(wire.query("COPY scratch (id, note) FROM STDIN (FORMAT BINARY)"))
    same([got.kind for got in conn.raw.until("G", "E")][-1], "G")
    conn.raw.send(wire.copy_data(head + rows + struct.pack("!h", -1)), wire.copy_done())
    same([got.kind for got in conn.raw.until("Z")], ["C", "Z"])
    conn.send(wire.query("COPY scratch TO STDOUT (FORMAT BINARY)"))
    same(sum(got.kind == "d" for got in failed_in(conn.raw.until("Z"))), 5001)    # the last says that it is
    conn.send(wire.query(f"COPY ({STREAM}) TO STDOUT"))
    assert sum(got.kind == "d" for got in failed_in(conn.raw.until("Z"))) >= TENANT_EVENTS
    conn.command("DELETE FROM scratch")


def no_cursor():
    raise NotThere("it reads rows as they come; there are no portals")


def cancel():
    conn = Connector()
    conn.command(read("$1"), values=[key(TENANT)], types=(UUID,))

    def later():
        time.sleep(0.5)
        other = open_socket()
        other.send(wire.cancel(*conn.raw.key))
        other.rest()                                       # it waits until the server has closed
    thread = threading.Thread(target=later)
    thread.start()
    fails("57014", conn.command, SLEEP)
    thread.join()
    same(number(conn.command("SELECT 1")[0][0][0]), 1)


def notify():
    here, there = Connector(), Connector()
    here.command("LISTEN news")
    there.command("NOTIFY news, 'first'", "SELECT pg_notify('news', 'second')")
    heard = []
    while len(heard) < 2 and (here.raw.buffer or select.select([here.raw.socket], [], [], 10)[0]):
        got = here.raw.read()
        same(got.kind, "A")
        heard.append(got.body[4:].split(b"\0")[1])
    same(heard, [b"first", b"second"])


def tls():
    if not TLS:
        raise NotThere("the proxy offers none in this run")
    same(Connector().raw.socket.version()[:4], "TLSv")


def tenants():
    conn = Connector()
    conn.prepare("_p1", read("$1"), (UUID,))
    conn.prepare("_p2", append("$1"), (UUID,))
    for _ in range(2):
        for tenant, port in HOMES:
            before = conn.execute("_p1", [key(tenant)])[0]
            same(number(before[0]), port)
            same(number(conn.execute("_p2", [key(tenant)])[0][0]), port)
            same(number(conn.command(append("$1"), values=[key(tenant)], types=(UUID,))[0][0][0]), port)
            same(number(conn.execute("_p1", [key(tenant)])[0][1]), number(before[1]) + 2)
    for tenant, port in HOMES:
        before = conn.execute("_p1", [key(tenant)])[0]
        for ending in ("ROLLBACK", "COMMIT"):
            conn.begin()                                   # in one packet with the append
            same(number(conn.execute("_p2", [key(tenant)])[0][0]), port)
            same(number(conn.command(append("$1"), values=[key(tenant)], types=(UUID,))[0][0][0]), port)
            conn.query(ending)
        same(number(conn.execute("_p1", [key(tenant)])[0][1]), number(before[1]) + 2)


print("version as of 8 and 9")
for feature, function in (("connect", connects), ("errors", errors), ("transactions", transactions),
                          ("prepared", prepared), ("binary", binary), ("pipeline", pipeline), ("copy", copy),
                          ("cursor", no_cursor), ("cancel", cancel), ("notify", notify), ("tls", tls),
                          ("tenants", tenants)):
    check(feature, function)
