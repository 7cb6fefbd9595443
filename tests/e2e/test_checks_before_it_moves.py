"""CHECK MIGRATION: everything that START would refuse or warn of, each found by itself, and nothing changed by looking.

START runs the same checks: a blocker is its error, a warning a NOTICE and a line in the audit."""
import psycopg
import pytest

from conftest import OTHER, TENANT
from eventstore import APP, OWNER, PGSHUNT, PGSHUNT_PASSWORD

# What a look must not change, in both stores: objects, triggers, rights, sequences, rows.
CATALOGUE = """
SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_trigger),
       (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'), (SELECT count(*) FROM pg_constraint),
       (SELECT string_agg(relname || coalesce(relacl::text, ''), ' ' ORDER BY oid) FROM pg_class
         WHERE relnamespace = 'public'::regnamespace),
       (SELECT count(*) FROM events), (SELECT last_value FROM events_global_position_seq)
"""


def check(proxy, options=None, tenant=TENANT, store="dedicated"):
    extra = f" WITH ({options})" if options else ""
    return proxy.admin(f"CHECK MIGRATION TENANT '{tenant}' TO '{store}'{extra}")


def found(rows, status):
    return [(row["check"], row["found"]) for row in rows if row["status"] == status]


def run(cluster, stores, *statements):
    for statement in statements:
        cluster.execute(stores.dbname, statement)


def test_a_healthy_pair_has_nothing_to_complain_of_and_is_not_changed(stores, proxy):
    stores.fill({TENANT: 30, OTHER: 10})
    before = [cluster.rows(stores.dbname, CATALOGUE) for cluster in (stores.shared, stores.dedicated)]
    routes = stores.shared.rows(stores.dbname, "SELECT (SELECT count(*) FROM pgshunt.tenant_migrations),"
                                " (SELECT count(*) FROM pgshunt.migration_audit_log),"
                                " (SELECT count(*) FROM pgshunt.tenant_routing), (SELECT count(*) FROM pgshunt.stores)")
    rows = check(proxy)
    assert found(rows, "warning") == [] and found(rows, "blocker") == []
    assert {row["check"] for row in rows} >= {
        "connection", "route", "identity", "columns", "declared", "rights", "rows", "positions", "row_security",
        "read_only", "replication_role", "version", "encoding", "server_settings", "partitions", "defaults",
        "constraints", "indexes", "triggers", "rules", "policies", "types", "functions", "position_index", "sequence",
        "roles", "role_settings", "logins", "connections", "open_transactions", "tap", "guard", "size", "space", "lag",
        "duration"}
    assert all(row["ok"] is True and row["hint"] is None for row in rows)
    assert "30 events" in dict(found(rows, "ok"))["size"]
    assert before == [cluster.rows(stores.dbname, CATALOGUE) for cluster in (stores.shared, stores.dedicated)]
    assert routes == stores.shared.rows(
        stores.dbname, "SELECT (SELECT count(*) FROM pgshunt.tenant_migrations),"
        " (SELECT count(*) FROM pgshunt.migration_audit_log), (SELECT count(*) FROM pgshunt.tenant_routing),"
        " (SELECT count(*) FROM pgshunt.stores)")
    proxy.move(TENANT, "dedicated")           # what it promised
