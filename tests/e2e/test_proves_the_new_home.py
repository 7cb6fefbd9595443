"""CHECK MIGRATION 'id': after the switch the new home is read and written (rolled back), and the old one refuses; before it,
it says what is the case. What is wrong is named."""
import psycopg
import pytest

from conftest import OTHER, TENANT
from pgcluster import wait_until
from test_checks_before_it_moves import CATALOGUE, found


def check(proxy, migration):
    return proxy.admin(f"CHECK MIGRATION '{migration}'")


def text_of(rows, what):
    return " | ".join(row["found"] for row in rows if row["check"] == what)


def settled(proxy, migration):
    wait_until("the source is settled", lambda: proxy.migration(migration).get("settled_at"))
    return migration


@pytest.fixture
def home(proxy, stores):
    stores.fill({TENANT: 60, OTHER: 10})
    return settled(proxy, proxy.move(TENANT, "dedicated"))


def test_a_tenant_that_was_moved_is_proved_to_be_at_home(stores, proxy, home, app):
    before = [cluster.rows(stores.dbname, CATALOGUE) for cluster in (stores.shared, stores.dedicated)]
    rows = check(proxy, home)
    assert [row for row in rows if row["status"] != "ok"] == []
    assert {row["check"] for row in rows} == {"state", "route", "instances", "verification", "connection", "read", "write",
                                              "sequence", "guard", "tap", "refusal", "leftovers"}
    assert "60 events" in text_of(rows, "read") and "has taken a row" in text_of(rows, "write")
    assert "refuses a row" in text_of(rows, "refusal") and "no tap" in text_of(rows, "tap")
    assert before == [cluster.rows(stores.dbname, CATALOGUE) for cluster in (stores.shared, stores.dedicated)]
    assert stores.counts(TENANT) == (60, 60)
    assert check(proxy, home[:8])                        # a beginning is enough, as everywhere


@pytest.mark.parametrize("side,statement,status,what,part", [
    ("dedicated", "DELETE FROM events WHERE tenant_id = '{tenant}' AND version = 1", "warning", "read", "were recorded"),
    ("dedicated", "SELECT setval('events_global_position_seq', 1)", "blocker", "sequence", "stands at 1"),
    ("dedicated", "DROP TRIGGER pgshunt_tenancy_guard ON events", "blocker", "guard", "no guard"),
    ("dedicated", "UPDATE pgshunt.tenancy SET lives_here = false WHERE tenant = '{tenant}'", "blocker", "write", ""),
    ("shared", "ALTER TABLE events DISABLE TRIGGER pgshunt_tenancy_guard", "blocker", "refusal", "has taken a row"),
    ("shared", "UPDATE pgshunt.tenancy SET lives_here = true WHERE tenant = '{tenant}'", "blocker", "guard", "believes"),
    ("shared", "UPDATE pgshunt.tenant_routing SET store_id = 'shared' WHERE tenant_id = '{tenant}'", "blocker", "route",
     "leads to store"),
], ids=["rows deleted", "sequence behind", "no guard", "refused at home", "guard disabled", "guard misled", "route by hand"])
def test_what_is_wrong_is_named(stores, proxy, home, side, statement, status, what, part):
    getattr(stores, side).execute(stores.dbname, statement.replace("{tenant}", TENANT))
    rows = check(proxy, home)
    hits = [row for row in rows if row["status"] == status and row["check"] == what and part in row["found"]]
    assert hits, [row for row in rows if row["status"] != "ok"]
    assert all(row["hint"] for row in hits)


def test_before_the_switch_it_says_what_is_the_case(stores, proxy):
    stores.fill({TENANT: 60, OTHER: 10})
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    rows = check(proxy, migration)
    assert found(rows, "blocker") == [] and [what for what, _ in found(rows, "warning")] == ["state"]
    assert "dual_write" in text_of(rows, "state") and "has its tap" in text_of(rows, "tap")
    assert "leads to store \"shared\"" in text_of(rows, "route") and "60 rows" in text_of(rows, "leftovers")
    proxy.admin(f"ABORT MIGRATION '{migration}'")
    rows = check(proxy, migration)
    assert "rolled_back" in text_of(rows, "state") and "no tap" in text_of(rows, "tap")
    assert "left over" in text_of(rows, "leftovers")


def test_without_a_guard_the_shut_tap_refuses(stores, proxy):
    stores.fill({TENANT: 20, OTHER: 10})
    rows = check(proxy, settled(proxy, proxy.move(TENANT, "dedicated", "guard = off")))
    assert [row for row in rows if row["status"] != "ok"] == []
    assert "stays" in text_of(rows, "tap") and "refuses a row" in text_of(rows, "refusal")


def test_a_store_that_is_down_and_an_id_that_is_none(stores, proxy, home):
    stores.dedicated.stop()
    assert [row["check"] for row in check(proxy, home) if not row["ok"]] == ["connection"]
    stores.dedicated.start()
    for bad, sqlstate in (("deadbeef", "42704"), ("x'; DROP TABLE events; --", "42704")):
        with pytest.raises(psycopg.Error) as refused:
            proxy.admin("CHECK MIGRATION '%s'" % bad.replace("'", "''"))
        assert refused.value.sqlstate == sqlstate
