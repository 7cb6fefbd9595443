"""After a move: arrays, unnest() and comments say the tenant as well as a literal does, in text and in binary."""
import asyncio
import uuid

import asyncpg
import psycopg
import pytest

from conftest import OTHER, TENANT
from eventstore import APP, APP_PASSWORD

PORT = "current_setting('port')::int"
COLUMNS = "event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload"
NEW = "gen_random_uuid(), gen_random_uuid(), 'O', 'P'"

FORMS = [  # {t}: the tenant as a literal's content
    f"SELECT {PORT} FROM events WHERE tenant_id = ANY ('{{{{{{t}}}}}}') LIMIT 1",
    f"SELECT {PORT} FROM events WHERE tenant_id = ANY ('{{{{\"{{t}}\", NULL}}}}'::uuid[]) LIMIT 1",
    f"SELECT {PORT} FROM events e JOIN unnest('{{{{{{t}}}}}}'::uuid[]) k (t) ON k.t = e.tenant_id LIMIT 1",
    f"WITH k (t) AS (VALUES ('{{t}}'::uuid)) SELECT {PORT} FROM events e, k WHERE k.t = e.tenant_id LIMIT 1",
    f"INSERT INTO events ({COLUMNS}) SELECT {NEW}, t, 1, now(), '{{{{}}}}' FROM unnest('{{{{{{t}},{{t}}}}}}'::uuid[]) t"
    f" RETURNING {PORT}",
    f"INSERT INTO events ({COLUMNS}) SELECT {NEW}, t, v, now(), '{{{{}}}}'"
    f" FROM unnest('{{{{7,8}}}}'::int[], '{{{{{{t}},{{t}}}}}}'::uuid[]) k (v, t) RETURNING {PORT}",
    f"SELECT {PORT} FROM events LIMIT 1 /*action='read',tenant_id='{{t}}'*/",
    f"/*tenant_id='{{t}}'*/ SELECT {PORT} FROM events WHERE version = 1 LIMIT 1",
]


@pytest.mark.parametrize("form", FORMS)
def test_in_the_text(proxy, stores, moved, app, form):
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared), (TENANT, stores.dedicated)):
        assert app.execute(form.format(t=tenant)).fetchone()[0] == home.port


@pytest.mark.parametrize("binary", [False, True])
def test_as_parameters(proxy, stores, moved, app, binary):
    for tenant, home in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
        tenants = [uuid.UUID(tenant)] * 2
        for statement, values in (
            (f"SELECT {PORT} FROM events WHERE tenant_id = ANY (%b) LIMIT 1" if binary else
             f"SELECT {PORT} FROM events WHERE tenant_id = ANY (%t) LIMIT 1", [tenants]),
            (f"INSERT INTO events ({COLUMNS}) SELECT {NEW}, t, v, now(), '{{}}' FROM unnest("
             + ("%b::int[], %b::uuid[]" if binary else "%t::int[], %t::uuid[]") + f") k (v, t) RETURNING {PORT}",
             [[1, 2], tenants]),
        ):
            assert app.execute(statement, values).fetchone()[0] == home.port


def test_as_asyncpg_prepares_them(proxy, stores, moved, app):
    async def ports():
        conn = await asyncpg.connect(host=proxy.host, port=proxy.port, user=APP, password=APP_PASSWORD, ssl=False,
                                     database=stores.dbname)
        try:
            statement = await conn.prepare(f"SELECT {PORT} FROM events WHERE tenant_id = ANY ($1) LIMIT 1")
            return [await statement.fetchval([uuid.UUID(t)]) for t in (TENANT, OTHER, TENANT)]
        finally:
            await conn.close()

    assert asyncio.run(ports()) == [stores.dedicated.port, stores.shared.port, stores.dedicated.port]


@pytest.mark.parametrize("statement", [
    f"INSERT INTO events ({COLUMNS}) SELECT {NEW}, t, 1, now(), '{{}}' FROM unnest('{{{TENANT},{OTHER}}}'::uuid[]) t",
    f"UPDATE events SET actor_id = 'x' WHERE tenant_id = '{TENANT}' /*tenant_id='{OTHER}'*/",
    f"UPDATE events SET actor_id = 'x' WHERE tenant_id <> ALL ('{{{OTHER}}}')",
    "DO $$ BEGIN DELETE FROM events; END $$",
])
def test_what_would_be_wrong_somewhere_is_refused(proxy, stores, moved, app, statement):
    with pytest.raises(psycopg.Error) as refusal:
        app.execute(statement)
    assert refusal.value.sqlstate == "0A000"
