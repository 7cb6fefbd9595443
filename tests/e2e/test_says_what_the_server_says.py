"""Once a tenant lives elsewhere, what has nothing to do with tenants is still the server's to answer."""
import struct

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from events import append
from eventstore import APP, APP_PASSWORD

# None of these can run, whatever it names: the server says why.
MISSPELT = [
    "SELEC * FROM events",
    "INSERT INTO events (tenant_id VALUES (1)",
    "SELECT * FROM events WHERE aggregate_type = 'never closed",
    "UPDATE events SET payload = WHERE version = 1",
]


def said(app, statement):
    with pytest.raises(psycopg.Error) as refusal:
        app.execute(statement)
    return refusal.value


@pytest.mark.parametrize("statement", MISSPELT)
def test_a_statement_that_cannot_be_parsed(proxy, stores, moved, app, statement):
    with stores.shared.connect(stores.dbname) as direct:
        expected = said(direct, statement)
    refusal = said(app, statement)
    assert (refusal.sqlstate, str(refusal)) == (expected.sqlstate, str(expected))


@pytest.mark.parametrize("tenant", [TENANT, OTHER])
def test_it_fails_the_transaction_where_it_is(proxy, stores, moved, tenant):
    """What was written before it is not committed, whichever store it stands in."""
    before = stores.counts(tenant)
    with connect(proxy, stores, autocommit=False) as conn:
        append(conn, tenant)
        assert said(conn, MISSPELT[0]).sqlstate == "42601"
        assert said(conn, "SELECT 1").sqlstate == "25P02"
        assert conn.execute("COMMIT").statusmessage == "ROLLBACK"
    assert stores.counts(tenant) == before


def test_large_objects_by_function_calls(proxy, stores, moved):
    """libpq calls lo_creat and its like by their oids (FunctionCall): they are the default store's."""
    oids = dict(stores.shared.rows(stores.dbname, "SELECT proname::text, oid FROM pg_proc WHERE proname ~ '^lo_'"))
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)

        def call(name, *arguments):
            client.send(wire.function_call(oids[name], [struct.pack("!i", argument) for argument in arguments]))
            answers = client.until("Z")
            assert [answer.kind for answer in answers] == ["V", "Z"], answers
            return struct.unpack("!ii", answers[0].body)[1]
        made = call("lo_creat", 0x60000)
        assert stores.shared.rows(stores.dbname, "SELECT oid FROM pg_largeobject_metadata") == [(made,)]
        assert call("lo_unlink", made) == 1
        # In a transaction whose BEGIN has not been sent yet.
        client.send(wire.query("BEGIN"))
        client.until("Z")
        made = call("lo_creat", 0x60000)
        client.send(wire.query("ROLLBACK"))
        client.until("Z")
    assert stores.shared.rows(stores.dbname, "SELECT oid FROM pg_largeobject_metadata") == []
