"""After a move: each statement reaches the store where its tenant lives, however it says whose rows it means; and a
statement that cannot be answered rightly gets an error, never an answer from a wrong store."""
import asyncio
import uuid

import asyncpg
import psycopg
import pytest

from conftest import NOBODY, OTHER, TENANT, connect
from events import INSERT, append, place
from eventstore import APP, APP_PASSWORD

PORT = "current_setting('port')::int"


def sqlstate(conn, statement, parameters=None):
    with pytest.raises(psycopg.Error) as refusal:
        conn.execute(statement, parameters)
    assert refusal.value.diag.message_primary
    return refusal.value.sqlstate


def insert(tenant, value="{}"):
    """An INSERT with everything in its text; returns the port of the server that did it."""
    return ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp,"
            f" payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'P', {tenant}, 1, now(), '{value}')"
            f" RETURNING {PORT}")


# --- evidence in the statement ----------------------------------------------------------------------------------------

# %(t)s stands for the tenant as a literal.
READS = [
    "SELECT {p} FROM events WHERE tenant_id = {t} LIMIT 1",
    "select {p} from EVENTS where Tenant_Id={t}limit 1",
    "SELECT {p} FROM events WHERE tenant_id = {t}::uuid LIMIT 1",
    "SELECT {p} FROM events WHERE tenant_id = CAST({t} AS uuid) LIMIT 1",
    "SELECT {p} FROM events WHERE tenant_id = uuid {t} LIMIT 1",
    "SELECT {p} FROM events WHERE {t} = tenant_id LIMIT 1",
    "SELECT {p} FROM events e WHERE e.tenant_id = {t} AND e.version > 0 LIMIT 1",
    "SELECT {p} FROM public.events AS e WHERE version > 0 AND (e.tenant_id = {t} AND true) LIMIT 1",
    "SELECT {p} FROM ONLY events WHERE tenant_id = {t} LIMIT 1",
    "SELECT {p}, count(*) FROM events WHERE tenant_id = {t}",
    "SELECT {p} FROM events WHERE tenant_id IN ({t}) LIMIT 1",
    "SELECT {p} FROM events WHERE tenant_id = ANY(ARRAY[{t}]::uuid[]) LIMIT 1",
    "SELECT {p} FROM events WHERE tenant_id = {t} AND version = (SELECT max(version) FROM events"
    " WHERE tenant_id = {t}) LIMIT 1",
    "/* a comment */ SELECT -- another\n {p} FROM events WHERE tenant_id = /* here */ {t} LIMIT 1",
    "SELECT {p} FROM events WHERE tenant_id = {T} LIMIT 1",
    "SELECT {p} FROM events WHERE tenant_id = {t} ORDER BY global_position DESC LIMIT 1 FOR UPDATE",
    "WITH mine AS (SELECT * FROM events WHERE tenant_id = {t}) SELECT {p} FROM mine LIMIT 1",
    "SELECT {p} FROM events a JOIN events b USING (event_id) WHERE a.tenant_id = {t} AND b.tenant_id = {t} LIMIT 1",
]
WRITES = [
    "UPDATE events SET actor_id = 'x' WHERE tenant_id = {t} AND version = 1 RETURNING {p}",
    "DELETE FROM events WHERE tenant_id = {t} AND global_position ="
    " (SELECT min(global_position) FROM events WHERE tenant_id = {t}) RETURNING {p}",
    "UPDATE events AS e SET actor_id = 'x' WHERE e.tenant_id = {t}::uuid AND e.version = 1 RETURNING {p}",
    insert("{t}", "{{}}"),
    insert("{t}::uuid", "{{}}"),
    "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
    " VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'P', {t}, 1, now(), '{{}}'),"
    " (gen_random_uuid(), gen_random_uuid(), 'O', 'P', {t}, 1, now(), '{{}}') RETURNING {p}",
    # Without a column list the store's own order of columns counts.
    "INSERT INTO events VALUES (DEFAULT, gen_random_uuid(), gen_random_uuid(), 'O', 'P', {t}, NULL, 1, now(), '{{}}')"
    " RETURNING {p}",
]


def written(form, tenant):
    return form.format(p=PORT, t=f"'{tenant}'", T=f"'{tenant.upper()}'")


@pytest.mark.parametrize("form", READS + WRITES)
def test_by_a_literal(proxy, stores, moved, app, form):
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared), (TENANT, stores.dedicated)):
        assert app.execute(written(form, tenant)).fetchone()[0] == home.port


# The tenant as a parameter: as text, as binary, of a type the client names or leaves open.
@pytest.mark.parametrize("form", [form for form in READS + WRITES
                                  if not any(literal in form for literal in ("{T}", "uuid {t}", "{t}limit"))])
@pytest.mark.parametrize("how", ["text", "text, named type", "binary"])
def test_by_a_parameter(proxy, stores, moved, app, form, how):
    number = form.count("{t}")
    mark = {"text": "%s", "text, named type": "%t", "binary": "%b"}[how]
    statement = form.format(p=PORT, t=mark)
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared), (TENANT, stores.dedicated)):
        value = tenant if how == "text" else uuid.UUID(tenant)
        assert app.execute(statement, [value] * number).fetchone()[0] == home.port


def test_by_a_parameter_through_asyncpg(proxy, stores, moved):
    """asyncpg asks for a statement's types before it names a value: the same statement then goes to two stores."""
    async def story():
        conn = await asyncpg.connect(host=proxy.host, port=proxy.port, user=APP, password=APP_PASSWORD,
                                     database=stores.dbname, ssl=False)
        try:
            reading = f"SELECT {PORT}, count(*) FROM events WHERE tenant_id = $1"
            appending = insert("$1")
            seen = []
            for tenant in (TENANT, OTHER, TENANT, TENANT, OTHER):
                seen.append((await conn.fetchrow(reading, uuid.UUID(tenant)))[0])
                seen.append(await conn.fetchval(appending, uuid.UUID(tenant)))
            return seen
        finally:
            await conn.close()
    away, home = stores.dedicated.port, stores.shared.port
    assert asyncio.run(story()) == [away, away, home, home, away, away, away, away, home, home]


def test_a_prepared_statement_follows_its_tenant(proxy, stores, app):
    """Prepared before the move, executed before and after it, by name."""
    stores.fill({TENANT: 50, OTHER: 50})
    asking = "SELECT current_setting('port')::int, count(*) FROM events WHERE tenant_id = %s"
    for _ in range(3):
        assert app.execute(asking, [uuid.UUID(TENANT)], prepare=True).fetchone() == (stores.shared.port, 50)
    app.execute(f"PREPARE by_hand AS SELECT current_setting('port')::int FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
    app.execute("PREPARE guess (uuid) AS INSERT INTO events (tenant_id) VALUES ($1)")
    proxy.move(TENANT, "dedicated")
    assert app.execute(asking, [uuid.UUID(TENANT)], prepare=True).fetchone() == (stores.dedicated.port, 50)
    assert app.execute(asking, [uuid.UUID(OTHER)], prepare=True).fetchone() == (stores.shared.port, 50)
    assert app.execute("EXECUTE by_hand").fetchone() == (stores.dedicated.port,)
    with pytest.raises(psycopg.Error) as refusal:      # no constant: better an error than a guess
        app.execute(f"EXECUTE guess (lower('{TENANT}')::uuid)")
    assert refusal.value.sqlstate == "0A000" and "unattributed_write" in str(refusal.value)


def test_settings_follow_to_the_other_store(proxy, stores, app):
    stores.fill({TENANT: 50})
    app.execute("SET work_mem = '7MB'")
    app.execute("SET TimeZone = 'Asia/Tokyo'")
    app.execute("SET application_name = 'follower'")
    proxy.move(TENANT, "dedicated")
    asking = ("SELECT current_setting('port')::int, current_setting('work_mem'), current_setting('TimeZone'),"
              " current_setting('application_name') FROM events WHERE tenant_id = %s LIMIT 1")
    assert app.execute(asking, [uuid.UUID(TENANT)]).fetchone() == (stores.dedicated.port, "7MB", "Asia/Tokyo", "follower")


# --- evidence around the statement ------------------------------------------------------------------------------------

VERSION = f"SELECT {PORT}, coalesce(max(version), 0) FROM events WHERE aggregate_id = %s AND aggregate_type = %s"


def test_by_the_startup_option(proxy, stores, moved):
    for options, home in ((f"-c app.tenant_id={TENANT}", stores.dedicated), (f"-c app.tenant_id={OTHER}", stores.shared)):
        with connect(proxy, stores, options=options) as conn:
            assert conn.execute(VERSION, [uuid.uuid4(), "Order"]).fetchone() == (home.port, 0)


def test_by_the_startup_parameter_itself(proxy, stores, moved):
    async def ask():
        conn = await asyncpg.connect(host=proxy.host, port=proxy.port, user=APP, password=APP_PASSWORD, ssl=False,
                                     database=stores.dbname, server_settings={"app.tenant_id": TENANT})
        try:
            return await conn.fetchval(f"SELECT {PORT} FROM events WHERE aggregate_id = $1 UNION ALL SELECT {PORT}"
                                       " LIMIT 1", uuid.uuid4())
        finally:
            await conn.close()
    assert asyncio.run(ask()) == stores.dedicated.port


def test_by_set(proxy, stores, moved, app):
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared), (TENANT.upper(), stores.dedicated)):
        app.execute(f"SET app.tenant_id = '{tenant}'")
        assert app.execute(VERSION, [uuid.uuid4(), "Order"]).fetchone()[0] == home.port
    app.execute("RESET app.tenant_id")
    assert app.execute(f"SELECT {PORT} FROM events WHERE tenant_id = '{OTHER}' LIMIT 1").fetchone()[0] == stores.shared.port


def test_by_set_local_only_for_the_transaction(proxy, stores, moved, app):
    with app.transaction():
        app.execute(f"SET LOCAL app.tenant_id = '{TENANT}'")
        assert app.execute(VERSION, [uuid.uuid4(), "Order"]).fetchone()[0] == stores.dedicated.port
    with app.transaction():
        app.execute(f"SET LOCAL app.tenant_id = '{OTHER}'")
        assert app.execute(VERSION, [uuid.uuid4(), "Order"]).fetchone()[0] == stores.shared.port


def test_by_set_config(proxy, stores, moved, app):
    with app.transaction():
        app.execute(f"SELECT set_config('app.tenant_id', '{TENANT}', true)")
        assert app.execute(VERSION, [uuid.uuid4(), "Order"]).fetchone()[0] == stores.dedicated.port


def test_a_setting_undone_by_rollback_is_undone(proxy, stores, moved, app):
    app.execute(f"SET app.tenant_id = '{OTHER}'")
    app.execute("BEGIN")
    app.execute(f"SET app.tenant_id = '{TENANT}'")
    app.execute("ROLLBACK")
    assert app.execute(VERSION, [uuid.uuid4(), "Order"]).fetchone()[0] == stores.shared.port


def test_the_transactions_tenant_counts_for_what_says_nothing(proxy, stores, moved, app):
    with app.transaction():
        stream = uuid.uuid4()
        append(app, TENANT, stream)
        assert app.execute(VERSION, [stream, "Order"]).fetchone() == (stores.dedicated.port, 1)


# --- transactions -----------------------------------------------------------------------------------------------------

def test_begin_is_sent_where_its_first_statement_goes(proxy, stores, moved, app):
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
        before = stores.counts(tenant)
        app.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert place(app, tenant)[0] == home.port
        assert app.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)
        append(app, tenant)
        app.execute("COMMIT")
        after = stores.counts(tenant)
        assert after[home is stores.dedicated] == before[home is stores.dedicated] + 1
        assert after[home is stores.shared] == before[home is stores.shared]


def test_rollback_and_savepoints_work_there_too(proxy, stores, moved, app):
    before = stores.counts(TENANT)
    app.execute("BEGIN")
    app.execute("SAVEPOINT early")
    append(app, TENANT)
    app.execute("SAVEPOINT late")
    append(app, TENANT)
    app.execute("ROLLBACK TO late")
    append(app, TENANT)
    app.execute("RELEASE early")
    app.execute("COMMIT")
    assert stores.counts(TENANT) == (before[0], before[1] + 2)
    app.execute("BEGIN")
    append(app, TENANT)
    app.execute("ROLLBACK")
    assert stores.counts(TENANT) == (before[0], before[1] + 2)


def test_an_empty_transaction_is_answered(proxy, stores, moved, app):
    assert app.execute("BEGIN").statusmessage == "BEGIN"
    assert app.execute("COMMIT").statusmessage == "COMMIT"
    assert app.execute("BEGIN").statusmessage == "BEGIN"
    assert app.execute("SAVEPOINT a").statusmessage == "SAVEPOINT"
    assert app.execute("ROLLBACK").statusmessage == "ROLLBACK"
    assert app.execute("SELECT 1").fetchone() == (1,)


def test_a_second_store_in_one_transaction_is_refused(proxy, stores, moved, app):
    app.execute("BEGIN")
    append(app, TENANT)
    assert sqlstate(app, INSERT, (uuid.uuid4(), uuid.uuid4(), uuid.UUID(OTHER), "story", 1, "{}")) == "0A000"
    assert sqlstate(app, "SELECT 1") == "25P02"
    app.execute("ROLLBACK")
    assert place(app, TENANT) == (stores.dedicated.port, 200)
    assert place(app, OTHER) == (stores.shared.port, 100)


def test_commit_after_such_a_refusal_rolls_back(proxy, stores, moved, app):
    app.execute("BEGIN")
    append(app, OTHER)
    assert sqlstate(app, f"DELETE FROM events WHERE tenant_id = '{TENANT}'") == "0A000"
    assert app.execute("COMMIT").statusmessage == "ROLLBACK"
    assert stores.counts(OTHER) == (100, 0) and stores.counts(TENANT)[1] == 200


# --- what is refused --------------------------------------------------------------------------------------------------

def test_two_stores_in_one_statement_are_refused(proxy, stores, moved, app):
    assert sqlstate(app, f"SELECT count(*) FROM events WHERE tenant_id IN ('{TENANT}', '{OTHER}')") == "0A000"
    assert sqlstate(app, f"UPDATE events SET actor_id = 'x' WHERE tenant_id IN ('{TENANT}', '{OTHER}')") == "0A000"


def test_rows_of_two_stores_in_one_insert_are_refused(proxy, stores, moved, app):
    before = stores.counts(TENANT), stores.counts(OTHER)
    row = "(gen_random_uuid(), gen_random_uuid(), 'O', 'P', '{}', 1, now(), '{{}}')"
    statement = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp,"
                 f" payload) VALUES {row.format(TENANT)}, {row.format(OTHER)}")
    assert sqlstate(app, statement) == "0A000"
    assert (stores.counts(TENANT), stores.counts(OTHER)) == before


@pytest.mark.parametrize("statement", [
    "DELETE FROM events WHERE version > 100000",
    "UPDATE events SET actor_id = 'x' WHERE event_type = 'none'",
    "INSERT INTO events SELECT * FROM events WHERE false",
    "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
    " VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'P', md5(random()::text)::uuid, 1, now(), '{}')",
    f"DELETE FROM events WHERE tenant_id = '{TENANT}' OR version > 100000",
    f"DELETE FROM events WHERE NOT tenant_id = '{OTHER}'",
    "TRUNCATE events",
])
def test_a_write_of_unknown_tenants_is_refused_once_one_has_moved(proxy, stores, moved, app, statement):
    before = stores.counts(TENANT), stores.counts(OTHER)
    assert sqlstate(app, statement) == "0A000"
    assert (stores.counts(TENANT), stores.counts(OTHER)) == before


def test_a_write_of_unknown_tenants_passes_while_all_are_at_home(proxy, stores, app):
    stores.fill({TENANT: 20})
    assert app.execute("UPDATE events SET actor_id = 'x' WHERE version = 1").rowcount == 2


def test_evidence_that_contradicts_itself_is_refused(proxy, stores, moved, app):
    app.execute(f"SET app.tenant_id = '{OTHER}'")
    assert sqlstate(app, f"DELETE FROM events WHERE tenant_id = '{TENANT}'") == "0A000"
    assert stores.counts(TENANT)[1] == 200


def test_a_tenant_nobody_has_heard_of_lives_in_the_default_store(proxy, stores, moved, app):
    assert place(app, NOBODY) == (stores.shared.port, 0)


def test_neutral_statements_work_in_between(proxy, stores, moved, app):
    for _ in range(3):
        assert place(app, TENANT)[0] == stores.dedicated.port
        assert app.execute("SELECT 1").fetchone() == (1,)
        assert place(app, OTHER)[0] == stores.shared.port
        assert app.execute("SHOW server_version").fetchone()[0].startswith("15")


def test_tables_of_no_tenant_stay_in_the_default_store(proxy, stores, moved, app):
    stores.shared.execute(stores.dbname, "CREATE TABLE prices (item text, cents int);"
                                         "INSERT INTO prices VALUES ('tea', 350); GRANT SELECT ON prices TO app")
    assert place(app, TENANT)[0] == stores.dedicated.port
    assert app.execute(f"SELECT {PORT}, cents FROM prices").fetchone() == (stores.shared.port, 350)


def test_the_stores_themselves_refuse_a_tenant_that_does_not_live_there(proxy, stores, moved):
    """Were a statement ever sent to the old store, the store would not take the row: its tap stays shut."""
    for cluster, tenant in ((stores.shared, TENANT),):
        with psycopg.connect(cluster.conninfo(stores.dbname, APP, APP_PASSWORD), autocommit=True) as direct:
            assert sqlstate(direct, INSERT, (uuid.uuid4(), uuid.uuid4(), uuid.UUID(tenant), "direct", 1, "{}")) \
                in ("0A000", "40001")
    assert stores.counts(OTHER) == (100, 0)


def test_routes_survive_a_restart(proxy, stores, moved):
    proxy.stop()
    proxy.start()
    with connect(proxy, stores) as conn:
        assert place(conn, TENANT) == (stores.dedicated.port, 200)
        assert place(conn, OTHER) == (stores.shared.port, 100)


# --- EXPLAIN ROUTE ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("statement, tenant, store", [
    (f"SELECT * FROM events WHERE tenant_id = '{TENANT}'", TENANT, "dedicated"),
    (f"SELECT * FROM events WHERE tenant_id = '{OTHER}'", OTHER, "shared"),
    (f"DELETE FROM events WHERE tenant_id = '{TENANT}'", TENANT, "dedicated"),
    ("SELECT count(*) FROM events", None, "shared"),
    ("SELECT 1", None, None),
])
def test_explain_route_says_how_a_statement_is_read(proxy, stores, moved, statement, tenant, store):
    said = " ".join(str(value) for row in proxy.admin(f"EXPLAIN ROUTE {statement}") for value in row.values())
    assert tenant is None or tenant in said
    assert store is None or store in said
