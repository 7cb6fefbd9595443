"""Whatever type names the tenant: it is found in a statement, tapped, copied, mirrored, verified, guarded. And types whose
equal values may have several texts are refused at START."""

import psycopg
import pytest

from conftest import connect
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until

# column type, the tenant that moves as the operator writes it, its canonical form, another one that stays; DDL before it
TYPES = {
    "uuid": ("uuid", "{6F1C2A34-0000-4000-8000-000000000001}", "6f1c2a34-0000-4000-8000-000000000001",
             "6f1c2a34-0000-4000-8000-000000000002", ""),
    "text": ("text", "Møller & søn's", "Møller & søn's", "møller & søn's", ""),
    "varchar": ("varchar(40)", "acme", "acme", "ACME", ""),
    "int4": ("int4", "+007", "7", "70", ""),
    "int8": ("int8", "-9000000000000000000", "-9000000000000000000", "9", ""),
    "numeric": ("numeric", "0120.00", "120", "12", ""),
    "numeric with a scale": ("numeric(30,2)", "123456789012345678901", "123456789012345678901", "12", ""),
    "enum": ("plan", "gold plated", "gold plated", "silver", "CREATE TYPE plan AS ENUM ('silver', 'gold plated', 'lead');"),
    "domain over uuid": ("tenant_no", "6f1c2a34-0000-4000-8000-000000000001", "6f1c2a34-0000-4000-8000-000000000001",
                         "6f1c2a34-0000-4000-8000-000000000002", "CREATE DOMAIN tenant_no AS uuid;"),
    "domain over a domain": ("inner_no", "00012", "12", "120", "CREATE DOMAIN tenant_no AS int4 CHECK (VALUE > 0);"
                                                                "CREATE DOMAIN inner_no AS tenant_no CHECK (VALUE < 1000);"),
    "domain over varchar": ("tenant_no", "acme", "acme", "acne", "CREATE DOMAIN tenant_no AS varchar(20) COLLATE \"C\";"),
}
REFUSED = {
    "char": ("char(10)", "acme", "", "blanks"),
    "domain over char": ("tenant_no", "acme", "CREATE DOMAIN tenant_no AS char(4);", "blanks"),
    "domain over an enum": ("tenant_no", "gold", "CREATE TYPE plan AS ENUM ('gold'); CREATE DOMAIN tenant_no AS plan;",
                            "operator ="),
    "citext": ("citext", "acme", "CREATE EXTENSION citext;", "citext"),
    "a collation": ("text COLLATE loose", "acme", "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2',"
                                                  " deterministic = false);", "collation"),
    "a scale that rounds": ("numeric(10,-2)", "1200", "", "rounds"),
    "bytea": ("bytea", "acme", "", "bytea"),
}


def change_type(stores, column, before):
    for cluster in (stores.shared, stores.dedicated):
        # Everybody has the rights on a type that the application has.
        cluster.execute(stores.dbname, f"{before} ALTER TABLE events DROP COLUMN tenant_id; ALTER TABLE events ADD tenant_id"
                                       f" {column}; CREATE INDEX ON events (tenant_id, global_position);")


def insert(conn, tenant, rows=1):
    for _ in range(rows):
        conn.execute("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
                     " timestamp, payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'P', %s, 1, now(), '{}')",
                     [tenant])


def port(conn, tenant):
    return conn.execute("SELECT current_setting('port')::int FROM events WHERE tenant_id = %s LIMIT 1", [tenant]).fetchone()[0]


def literal(value):
    return "'" + value.replace("'", "''") + "'"


@pytest.mark.parametrize("name", TYPES)
def test_moves(make_proxy, stores, name):
    column, typed, canonical, other, before = TYPES[name]
    change_type(stores, column, before)
    with psycopg.connect(stores.shared.conninfo(stores.dbname, APP, APP_PASSWORD), autocommit=True) as conn:
        insert(conn, typed, 20)
        insert(conn, other, 10)
        insert(conn, None, 3)
    proxy = make_proxy().start()
    identity = proxy.start_migration(typed.replace("'", "''"), "dedicated")
    assert proxy.migration(identity)["tenant_id"] == canonical
    proxy.wait_state(identity, "dual_write")
    with connect(proxy, stores) as conn:
        insert(conn, typed)                               # mirrored
        proxy.wait_cutover_ready(identity)
        proxy.cutover(identity)
        wait_until("the guard has taken over", lambda: proxy.migration(identity).get("settled_at"), 20)
        insert(conn, typed)                               # by a parameter
        conn.execute("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp,"
                     f" payload) VALUES (gen_random_uuid(), gen_random_uuid(), 'O', 'P', {literal(canonical)}, 1, now(),"
                     " '{}')")
        assert port(conn, canonical) == port(conn, typed) == stores.dedicated.port
        assert port(conn, other) == stores.shared.port
        insert(conn, other)
    where = "SELECT count(*) FROM events WHERE tenant_id = "
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM events") == 23
    assert stores.dedicated.value(stores.dbname, where + literal(canonical)) == 23
    assert stores.shared.value(stores.dbname, where + literal(other)) == 11
    for cluster, stranger, resident in ((stores.shared, typed, other), (stores.dedicated, other, typed)):
        with psycopg.connect(cluster.conninfo(stores.dbname, APP, APP_PASSWORD), autocommit=True) as conn:
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="tenant_lives_elsewhere"):
                insert(conn, stranger)
            conn.execute("UPDATE events SET payload = '{\"a\": 1}' WHERE tenant_id = %s", [resident])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(make_proxy, stores, name):
    column, tenant, before, why = REFUSED[name]
    change_type(stores, column, before)
    with stores.shared.connect(stores.dbname) as conn:
        insert(conn, tenant)
    proxy = make_proxy().start()
    with pytest.raises(psycopg.errors.FeatureNotSupported, match=why) as refusal:
        proxy.start_migration(tenant, "dedicated")
    assert "domain" in refusal.value.diag.message_hint
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM events") == 0
