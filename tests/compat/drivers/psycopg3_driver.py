"""psycopg 3, as programs without asyncio use it."""
import datetime
import threading
import uuid

import psycopg

from checklist import HOMES, SLEEP, STREAM, TENANT, TENANT_EVENTS, TLS, NotThere, append, check, read, same


def connect(**more):
    return psycopg.connect("", **{"autocommit": True, **more})


def fails(conn, code, statement):
    try:
        conn.execute(statement)
    except psycopg.Error as error:
        same(error.sqlstate, code)
        return error
    raise AssertionError(f"no error {code}")


def connects():
    with connect() as conn:
        same(conn.info.server_version // 10000, 15)
        same(conn.execute("SELECT 1").fetchone(), (1,))


def errors():
    with connect() as conn:
        fails(conn, "22012", "SELECT 1/0")
        conn.execute("INSERT INTO scratch VALUES (1, 'a')")
        same(fails(conn, "23505", "INSERT INTO scratch VALUES (1, 'b')").diag.constraint_name, "scratch_pkey")
        same(conn.execute("DELETE FROM scratch RETURNING note").fetchone(), ("a",))


def transactions():
    with connect(autocommit=False) as conn:
        conn.execute("INSERT INTO scratch VALUES (1, 'a')")
        conn.rollback()
        with conn.transaction():
            conn.execute("INSERT INTO scratch VALUES (2, 'b')")
            try:
                with conn.transaction():                   # a savepoint
                    fails(conn, "22012", "SELECT 1/0")
                    fails(conn, "25P02", "SELECT 1")
                    raise psycopg.Rollback()
            except psycopg.Rollback:
                pass
        same(conn.execute("DELETE FROM scratch RETURNING id").fetchall(), [(2,)])


def prepared():
    with connect() as conn:
        for number in range(8):
            same(conn.execute("SELECT %s::int + 1", [number], prepare=True).fetchone(), (number + 1,))
        conn.execute("DISCARD ALL")
        conn._prepared.clear()
        same(conn.execute("SELECT %s::int + 1", [9], prepare=True).fetchone(), (10,))


def binary():
    now = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=datetime.timezone.utc)
    values = [uuid.UUID(TENANT), 2 ** 40, 1.5, b"\0\1\xff", now, [1, 2, 3]]
    with connect() as conn:
        seen = conn.execute("SELECT %b::uuid, %b::int8, %b::float8, %b::bytea, %b::timestamptz, %b::int[]", values,
                            binary=True).fetchone()
        same(list(seen), values)
        with conn.cursor(binary=True) as cursor:
            for tenant, port in HOMES:
                same(cursor.execute(read("%b"), [uuid.UUID(tenant)]).fetchone()[0], port)


def pipeline():
    with connect() as conn:
        with conn.pipeline():
            cursors = [conn.execute("SELECT %s::int", [number]) for number in range(200)]
        same([cursor.fetchone()[0] for cursor in cursors], list(range(200)))
        try:
            with conn.pipeline() as line:
                conn.execute("INSERT INTO scratch VALUES (1, 'a')")
                line.sync()
                conn.execute("INSERT INTO scratch VALUES (2, 'b')")
                conn.execute("SELECT 1/0")
                conn.execute("INSERT INTO scratch VALUES (3, 'c')")
            raise AssertionError("no error")
        except psycopg.errors.DivisionByZero:
            pass
        same(conn.execute("DELETE FROM scratch RETURNING id").fetchall(), [(1,)])
        cursors = []
        with conn.pipeline() as line:
            for tenant, port in HOMES * 3:
                cursors.append((conn.execute(append("%s"), [uuid.UUID(tenant)]), port))
                cursors.append((conn.execute(append("%s"), [uuid.UUID(tenant)]), port))
                line.sync()                                # what stands before it is one transaction
        for cursor, port in cursors:
            same(cursor.fetchone(), (port,))


def copy():
    with connect() as conn, conn.cursor() as cursor:
        with cursor.copy("COPY scratch FROM STDIN") as data:
            for number in range(5000):
                data.write_row((number, f"note {number}"))
        with cursor.copy("COPY scratch TO STDOUT (FORMAT binary)") as data:
            data.set_types(["int4", "text"])
            same(sum(1 for _ in data.rows()), 5000)
        conn.execute("TRUNCATE scratch")
        with cursor.copy("COPY scratch FROM STDIN (FORMAT binary)") as data:
            data.set_types(["int4", "text"])
            data.write_row((1, "one"))
        with cursor.copy(f"COPY ({STREAM}) TO STDOUT") as data:
            assert sum(1 for _ in data.rows()) >= TENANT_EVENTS
        conn.execute("DELETE FROM scratch")


def cursor():
    with connect(autocommit=False) as conn:
        with conn.cursor("pieces") as named:
            named.itersize = 7
            named.execute(STREAM)
            assert sum(1 for _ in named) >= TENANT_EVENTS
        with conn.cursor("scrolls", scrollable=True) as named:
            named.execute(STREAM)
            named.scroll(5)
            assert len(named.fetchmany(3)) == 3


def cancel():
    with connect() as conn:
        conn.execute(read("%s"), [TENANT])
        later = threading.Timer(0.5, conn.cancel)
        later.start()
        fails(conn, "57014", SLEEP)
        later.join()
        same(conn.execute("SELECT 1").fetchone(), (1,))


def notify():
    with connect() as here, connect() as there:
        here.execute("LISTEN news")
        there.execute("NOTIFY news, 'first'")
        there.execute("SELECT pg_notify('news', 'second')")
        heard = []
        late = threading.Timer(10, here.cancel)
        for note in here.notifies():
            heard.append(note.payload)
            if len(heard) == 2:
                break
        late.cancel()
        same(heard, ["first", "second"])


def tls():
    if not TLS:
        raise NotThere("the proxy offers none in this run")
    with connect() as conn:
        assert conn.pgconn.ssl_in_use


def tenants():
    with connect() as conn:
        for _ in range(8):                                 # prepared by itself after a few
            for tenant, port in HOMES:
                before = conn.execute(read("%s"), [tenant]).fetchone()
                same(before[0], port)
                same(conn.execute(append("%s"), [tenant]).fetchone(), (port,))
                same(conn.execute(read("%s"), [tenant]).fetchone(), (port, before[1] + 1))
        for tenant, port in HOMES:
            before = conn.execute(read("%s"), [tenant]).fetchone()
            with conn.transaction():
                same(conn.execute(append("%s"), [tenant]).fetchone(), (port,))
                raise psycopg.Rollback()
            with conn.transaction():
                same(conn.execute(append("%s"), [tenant]).fetchone(), (port,))
                same(conn.execute(append("%s"), [tenant]).fetchone(), (port,))
            same(conn.execute(read("%s"), [tenant]).fetchone(), (port, before[1] + 2))


print("version", psycopg.__version__)
for feature, function in (("connect", connects), ("errors", errors), ("transactions", transactions),
                          ("prepared", prepared), ("binary", binary), ("pipeline", pipeline), ("copy", copy),
                          ("cursor", cursor), ("cancel", cancel), ("notify", notify), ("tls", tls),
                          ("tenants", tenants)):
    check(feature, function)
