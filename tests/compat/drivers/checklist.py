"""The same questions to every driver. A program answers each with one line on stdout: `FEATURE ok`, `FEATURE no WHY` or
`FEATURE n/a WHY`; `version TEXT` is one more line.

    connect       logs in, and the server it believes to talk to has a version
    errors        SQLSTATE and the constraint's name arrive; the connection goes on
    transactions  rollback and commit do what they say; an error aborts (25P02) until the end; savepoints
    prepared      one statement, prepared once, executed with several values
    binary        parameters and results in binary, there and back
    pipeline      several statements before the first answer, an error among them
    copy          COPY FROM and TO a table; COPY (SELECT of the tenant's events) TO
    cursor        the tenant's events in small pieces
    cancel        a statement that sleeps at the tenant's store is cancelled (57014); the connection goes on
    notify        LISTEN here, NOTIFY there
    tls           the connection is encrypted
    tenants       reads and appends of both tenants, alternating, in and out of transactions, each at its own server

The environment says where and who: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE; TENANT and OTHER are the
tenants, TENANT_PORT and OTHER_PORT the ports of the servers they live at, TENANT_EVENTS how many events TENANT has.
"""
import os
import traceback

TENANT, OTHER = os.environ["TENANT"], os.environ["OTHER"]
HOMES = [(TENANT, int(os.environ["TENANT_PORT"])), (OTHER, int(os.environ["OTHER_PORT"]))]
TENANT_EVENTS = int(os.environ["TENANT_EVENTS"])
TLS = os.environ.get("PGSSLMODE", "disable") not in ("disable", "allow", "prefer")

SLEEP = f"SELECT pg_sleep(30) FROM events WHERE tenant_id = '{TENANT}' LIMIT 1"
STREAM = f"SELECT version FROM events WHERE tenant_id = '{TENANT}'"


def read(mark):
    return f"SELECT current_setting('port')::int, count(*)::int FROM events WHERE tenant_id = {mark}"


def append(mark):
    return ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, \"timestamp\","
            f" payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'Placed', {mark}, 1, now(), '{{}}')"
            " RETURNING current_setting('port')::int")


class NotThere(Exception):
    """The driver has no such thing."""


def report(feature, problem=None):
    if problem is None:
        print(feature, "ok", flush=True)
        return
    kind = "n/a" if isinstance(problem, NotThere) else "no"
    words = " ".join(str(problem).split()) or type(problem).__name__
    print(feature, kind, words[:200], flush=True)
    if kind == "no":
        traceback.print_exception(problem)


def check(feature, function, *arguments):
    try:
        function(*arguments)
        report(feature)
    except Exception as problem:
        report(feature, problem)


async def check_async(feature, function, *arguments):
    try:
        await function(*arguments)
        report(feature)
    except Exception as problem:
        report(feature, problem)


def same(seen, expected):
    assert seen == expected, f"{seen!r} instead of {expected!r}"
