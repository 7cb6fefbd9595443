"""psycopg 2: libpq, simple protocol only."""
import io
import select
import threading
import time

import psycopg2
import psycopg2.extensions

from checklist import HOMES, SLEEP, STREAM, TENANT, TENANT_EVENTS, TLS, NotThere, append, check, read, same


def connect():
    conn = psycopg2.connect("")
    conn.autocommit = True
    return conn


def one(conn, statement, values=None):
    with conn.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone() if cursor.description else None


def fails(conn, code, statement):
    try:
        one(conn, statement)
    except psycopg2.Error as error:
        same(error.pgcode, code)
        return error
    raise AssertionError(f"no error {code}")


def connects():
    with connect() as conn:
        same(conn.server_version // 10000, 15)
        same(one(conn, "SELECT 1"), (1,))


def errors():
    conn = connect()
    fails(conn, "22012", "SELECT 1/0")
    one(conn, "INSERT INTO scratch VALUES (1, 'a')")
    same(fails(conn, "23505", "INSERT INTO scratch VALUES (1, 'b')").diag.constraint_name, "scratch_pkey")
    same(one(conn, "DELETE FROM scratch RETURNING note"), ("a",))


def transactions():
    conn = connect()
    conn.autocommit = False
    one(conn, "INSERT INTO scratch VALUES (1, 'a')")
    conn.rollback()
    one(conn, "INSERT INTO scratch VALUES (2, 'b')")
    one(conn, "SAVEPOINT s")
    fails(conn, "22012", "SELECT 1/0")
    fails(conn, "25P02", "SELECT 1")
    one(conn, "ROLLBACK TO s")
    conn.commit()
    same(one(conn, "DELETE FROM scratch RETURNING id"), (2,))
    conn.commit()


def prepared():
    conn = connect()
    one(conn, "PREPARE sum (int, int) AS SELECT $1 + $2")
    for number in range(5):
        same(one(conn, "EXECUTE sum (%s, 1)", [number]), (number + 1,))
    one(conn, "DEALLOCATE sum")


def not_there(what):
    def raiser():
        raise NotThere(what)
    return raiser


def copy():
    conn = connect()
    with conn.cursor() as cursor:
        cursor.copy_expert("COPY scratch FROM STDIN", io.StringIO("".join(f"{n}\tnote {n}\n" for n in range(5000))))
        out = io.StringIO()
        cursor.copy_expert("COPY scratch TO STDOUT", out)
        same(len(out.getvalue().splitlines()), 5000)
        out = io.StringIO()
        cursor.copy_expert(f"COPY ({STREAM}) TO STDOUT", out)
        assert len(out.getvalue().splitlines()) >= TENANT_EVENTS
    one(conn, "DELETE FROM scratch")


def cursor():
    conn = connect()
    conn.autocommit = False
    with conn.cursor("pieces") as named:
        named.itersize = 7
        named.execute(STREAM)
        assert sum(1 for _ in named) >= TENANT_EVENTS
    conn.commit()


def cancel():
    conn = connect()
    one(conn, read("%s"), [TENANT])
    later = threading.Timer(0.5, conn.cancel)
    later.start()
    fails(conn, "57014", SLEEP)
    later.join()
    same(one(conn, "SELECT 1"), (1,))


def notify():
    here, there = connect(), connect()
    one(here, "LISTEN news")
    one(there, "NOTIFY news, 'first'")
    one(there, "SELECT pg_notify('news', 'second')")
    deadline = time.monotonic() + 10
    while len(here.notifies) < 2 and time.monotonic() < deadline:
        select.select([here], [], [], 1)
        here.poll()
    same([note.payload for note in here.notifies], ["first", "second"])


def tls():
    if not TLS:
        raise NotThere("the proxy offers none in this run")
    assert connect().info.ssl_in_use


def tenants():
    conn = connect()
    for _ in range(2):
        for tenant, port in HOMES:
            before = one(conn, read("%s"), [tenant])
            same(before[0], port)
            same(one(conn, append("%s"), [tenant]), (port,))
            same(one(conn, read("%s"), [tenant]), (port, before[1] + 1))
    conn.autocommit = False
    for tenant, port in HOMES:
        before = one(conn, read("%s"), [tenant])
        same(one(conn, append("%s"), [tenant]), (port,))
        conn.rollback()
        same(one(conn, append("%s"), [tenant]), (port,))
        same(one(conn, append("%s"), [tenant]), (port,))
        conn.commit()
        same(one(conn, read("%s"), [tenant]), (port, before[1] + 2))
        conn.commit()


print("version", psycopg2.__version__.split()[0])
check("connect", connects)
check("errors", errors)
check("transactions", transactions)
check("prepared", prepared)
check("binary", not_there("the driver speaks text only"))
check("pipeline", not_there("the driver has none"))
check("copy", copy)
check("cursor", cursor)
check("cancel", cancel)
check("notify", notify)
check("tls", tls)
check("tenants", tenants)
