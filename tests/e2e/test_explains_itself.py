"""What pgshunt makes of a statement, it tells: EXPLAIN ROUTE of one, SHOW PLANS of all that it has read."""
import uuid

import pytest

from conftest import OTHER, TENANT, connect
from events import append

MARK = "a payload that nobody may read"


def explain(proxy, statement):
    return proxy.admin(f"EXPLAIN ROUTE {statement}")[0]


@pytest.fixture
def moving(proxy, stores):
    """The tenant in dual_write."""
    stores.fill({TENANT: 20, OTHER: 20})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    return identity


def test_explain_says_what_happens_now_and_after_the_cutover(proxy, moving):
    said = explain(proxy, f"UPDATE events SET actor_id = 'x' WHERE tenant_id = '{TENANT}'")
    assert (said["class"], said["tables"], said["tenant"], said["evidence"]) == ("write", "event", TENANT, "literal")
    assert (said["store"], said["migration_state"], said["target"]) == ("shared", "dual_write", "dedicated")
    assert said["action"].startswith("sent, counted") and said["after_cutover"] == 'sent to "dedicated"'

    said = explain(proxy, f"SELECT * FROM events WHERE tenant_id IN ('{TENANT}', '{OTHER}')")
    assert said["action"] == "sent" and said["store"] == "shared"
    assert "cross_store_statement" in said["after_cutover"] and said["why"] is None

    said = explain(proxy, f"SELECT * FROM events JOIN accounts USING (id) WHERE tenant_id = '{TENANT}'")
    assert said["tables"] == "event, default" and "cross_store_statement" in said["after_cutover"]

    said = explain(proxy, "DELETE FROM events WHERE version = 7")
    assert said["action"].startswith("sent, counted") and "unattributed_write" in said["after_cutover"]
    assert "neither the statement nor anything around it" in said["why"] and "tenant_setting" in said["hint"]

    said = explain(proxy, "SELECT count(*) FROM events")
    assert said["after_cutover"].startswith("sent, without the rows of tenants that live elsewhere")
    assert "ACCEPT SHAPE" in said["hint"]

    said = explain(proxy, f"SELECT * FROM events WHERE tenant_id = '{OTHER}'")
    assert (said["action"], said["store"], said["after_cutover"], said["why"]) == ("sent", "shared", None, None)


def test_explain_names_the_parameter_that_says_the_tenant(proxy):
    said = explain(proxy, "INSERT INTO events (event_id, tenant_id, version) VALUES ($1, $5, $3)")
    assert (said["class"], said["tenant"], said["evidence"], said["store"]) == ("write", "parameter 5", "parameter",
                                                                              None)
    assert "parameter 5 says the tenant" in said["why"]


def test_explain_tells_an_error_of_the_statement(proxy, stores):
    stores.fill({TENANT: 20, OTHER: 20})
    proxy.move(TENANT, "dedicated")
    said = explain(proxy, f"SELECT * FROM events WHERE tenant_id IN ('{TENANT}', '{OTHER}')")
    assert said["action"] == "refused: 0A000" and said["why"].startswith("cross_store_statement") and said["hint"]
    said = explain(proxy, "SELEKT * FROM events")
    assert said["kind"] == "not understood" and "grammar" in said["why"]
    said = explain(proxy, "SELEKT 1")
    assert "the server will say why" in said["why"]


def test_plans_are_shown_by_shape_without_any_content(proxy, stores):
    stores.fill({TENANT: 5})
    with connect(proxy, stores) as conn:
        for version in range(100, 103):
            append(conn, TENANT, version=version, payload=f'{{"a": "{MARK}"}}')
        for _ in range(3):
            conn.execute(f"SELECT 1 FROM events WHERE tenant_id = '{uuid.uuid4()}' AND actor_id = '{MARK}'")
    plans = proxy.admin("SHOW PLANS")
    assert MARK not in str(plans)
    insert = next(plan for plan in plans if plan["shape"].startswith("insert into events"))
    assert (insert["class"], insert["tables"], insert["tenant"]) == ("write", "event", "parameter")
    select = next(plan for plan in plans if "actor_id =" in plan["shape"].replace("=", " =").replace("  ", " "))
    assert (select["class"], select["tenant"], select["hits"] + select["misses"]) == ("read", "literal", 3)
    assert select["parse_us"] > 0 and select["last_used"] is not None
