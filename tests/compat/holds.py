"""pool_mode = transaction: what makes a session keep its server, asked of a pool of one. Somebody else either gets that
server between two transactions, or is told so after `query_wait_timeout`.

    rows, passed, failed = ask(stand)
    rows       (what, whether it keeps its server, what lets it go)
"""
from collections import namedtuple

import psycopg

import eventstore
from stand import TENANT

WAITED = "53300"

# keeps: whether another client has to wait. still: what must be true then, or in the next transaction.
Thing = namedtuple("Thing", "what says keeps still")
THINGS = (
    Thing("`SET`, `set_config()`", ["SET work_mem = '7MB'"], False,
          "SELECT current_setting('work_mem') = '7MB'"),
    Thing("`PREPARE`, prepared statements of drivers", ["PREPARE mine AS SELECT 1"], False, "EXECUTE mine"),
    Thing("`CREATE TEMPORARY TABLE … ON COMMIT DROP`",
          ["BEGIN", "CREATE TEMPORARY TABLE brief (x int) ON COMMIT DROP", "COMMIT"], False,
          "SELECT to_regclass('brief') IS NULL"),
    Thing("`pg_advisory_xact_lock()`", ["SELECT pg_advisory_xact_lock(1)"], False, "SELECT true"),
    Thing("cursors without `WITH HOLD`",
          ["BEGIN", "DECLARE brief CURSOR FOR SELECT 1", "FETCH brief", "COMMIT"], False, "SELECT true"),
    Thing("`NOTIFY`", ["NOTIFY mine"], False, "SELECT true"),
    Thing("`LISTEN`", ["LISTEN mine"], True, "SELECT count(*) = 1 FROM pg_listening_channels()"),
    Thing("session advisory locks", ["SELECT pg_advisory_lock(1)"], True,
          "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"),
    Thing("temporary tables", ["CREATE TEMPORARY TABLE mine (x int)"], True, "SELECT to_regclass('mine') IS NOT NULL"),
    Thing("cursors `WITH HOLD`", ["BEGIN", "DECLARE mine CURSOR WITH HOLD FOR SELECT true", "COMMIT"], True, "FETCH mine"),
    Thing("`set_config()` of a name that is computed",
          ["SELECT set_config('a.' || 'b', '1', false)"], False, "SELECT current_setting('a.b') = '1'"),
)


def connect(stand):
    return psycopg.connect(stand.proxy.conninfo(stand.dbname, eventstore.APP, eventstore.APP_PASSWORD), autocommit=True)


def has_to_wait(conn):
    try:
        conn.execute("SELECT 1")
    except psycopg.Error as refused:
        if refused.sqlstate != WAITED:
            raise
        return True
    return False


def holds(thing, other, stand):
    """What is wrong; None: nothing."""
    with connect(stand) as one:
        for statement in thing.says:
            one.execute(statement)
        if has_to_wait(other) != thing.keeps:
            return "it does not keep its server" if thing.keeps else "it keeps its server"
        if not one.execute(thing.still).fetchone()[0]:
            return f"not so any more: {thing.still}"
        if thing.keeps:
            one.execute("DISCARD ALL")
            if has_to_wait(other):
                return "DISCARD ALL does not let it go"
        # A tenant that lives elsewhere is served all the same.
        one.execute("SELECT count(*) FROM events WHERE tenant_id = %s", [TENANT])
    return None


def ask(stand):
    stand.pool("transaction", workers=1, default_pool_size=1, query_wait_timeout=1)
    rows, failed = [], 0
    with connect(stand) as other:
        for thing in THINGS:
            wrong = holds(thing, other, stand)
            if wrong:
                failed += 1
                print(f"FAILED transaction pooling: {thing.what}: {wrong}")
            rows.append((thing.what, "keeps it" if thing.keeps else "goes on with any"))
    return rows, len(THINGS) - failed, failed
