"""What pgshunt makes of a statement, it tells: EXPLAIN ROUTE of one, SHOW PLANS of all that it has read."""
import threading
import uuid

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until

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
    said = explain(proxy, "SELECT * FROM events WHERE version = $1 AND tenant_id = $2"
                          f" WITH VALUES (7, '{TENANT.upper()}')")
    assert (said["tenant"], said["evidence"], said["store"]) == (TENANT, "parameter", "shared")
    said = explain(proxy, "SELECT * FROM events WHERE tenant_id = $1 WITH VALUES (NULL)")
    assert said["store"] == "shared" and said["tenant"] in (None, "(none)")


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


# --- feeds over all tenants -------------------------------------------------------------------------------------------

FEED = "SELECT * FROM events WHERE global_position > {} ORDER BY global_position LIMIT 10"


def shapes(proxy, what):
    return [row for row in proxy.admin("SHOW SHAPES") if row["what"] == what]


def attempt(call, *arguments):
    try:
        return call(*arguments)
    except psycopg.Error:
        return None


def in_the_way(proxy, identity):
    """The checks that hold up a cutover, by name."""
    return [row["check"] for row in proxy.check_cutover(identity)[1] if not row["ok"]]


def test_a_cutover_waits_until_each_feed_is_accepted(proxy, stores, moving):
    proxy.wait_cutover_ready(moving, accept=False)
    with connect(proxy, stores) as conn:
        for position in range(3):
            conn.execute(FEED.format(position))
    ready, rows = proxy.check_cutover(moving)
    feed = next(row for row in rows if row["check"] == "feed")
    assert not ready and feed["status"] == "blocker" and "3 times" in feed["found"]
    assert "limit ?" in feed["found"] and "without the tenant's new rows" in feed["found"]
    for force in ("", " FORCE"):
        with pytest.raises(psycopg.Error) as refusal:
            proxy.admin(f"CUTOVER MIGRATION '{moving}'{force}")
        assert refusal.value.sqlstate == "55000" and "ACCEPT SHAPE" in str(proxy.check_cutover(moving))

    seen = shapes(proxy, "feed")
    assert len(seen) == 1 and seen[0]["count"] == 3 and not seen[0]["accepted"] and seen[0]["why"]
    proxy.admin(f"ACCEPT SHAPE {seen[0]['n']} REASON 'it reads both'")
    accepted = shapes(proxy, "feed")[0]
    assert accepted["accepted"] and accepted["reason"] == "it reads both" and accepted["accepted_by"]
    assert in_the_way(proxy, moving) == []
    proxy.admin(f"WITHDRAW SHAPE {seen[0]['n']}")
    assert in_the_way(proxy, moving) == ["feed"]
    proxy.admin(f"ACCEPT SHAPE {seen[0]['n']}")
    assert proxy.cutover(moving, accept=False)[0]["state"] == "migrated"
    audited = stores.shared.rows(stores.dbname, "SELECT event_type FROM pgshunt.migration_audit_log"
                                                " WHERE event_type LIKE 'shape%' ORDER BY id")
    assert [row[0] for row in audited] == ["shape_accepted", "shape_withdrawn", "shape_accepted"]


def test_the_control_database_is_lost_while_a_shape_is_accepted(proxy, stores):
    """Either it is accepted or it is not, and the audit says the same; the next attempt decides."""
    stores.fill({TENANT: 5})
    with connect(proxy, stores) as conn:
        conn.execute(FEED.format(1))
    number = shapes(proxy, "feed")[0]["n"]
    table = "pgshunt.shapes"
    waiting = f"SELECT pid FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
    with psycopg.connect(stores.conninfos()["shared"]) as holder:
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        said = []

        def accept():
            try:
                said.append(proxy.admin(f"ACCEPT SHAPE {number} REASON 'known'"))
            except psycopg.Error as problem:
                said.append(problem)

        thread = threading.Thread(target=accept)
        thread.start()
        wait_until("it waits for the control database", lambda: stores.shared.rows(stores.dbname, waiting))
        for (pid,) in stores.shared.rows(stores.dbname, waiting):
            stores.shared.execute(stores.dbname, f"SELECT pg_terminate_backend({pid})")
    thread.join(30)
    wait_until("it is back", lambda: attempt(shapes, proxy, "feed"), 20)
    accepted = shapes(proxy, "feed")[0]["accepted"]
    assert isinstance(said[0], psycopg.Error) != accepted, said
    audited = "SELECT count(*) FROM pgshunt.migration_audit_log WHERE event_type = 'shape_accepted'"
    assert stores.shared.value(stores.dbname, audited) == accepted
    proxy.admin(f"ACCEPT SHAPE {number} REASON 'known'")
    assert shapes(proxy, "feed")[0]["accepted"]


def test_a_feed_keeps_its_number_and_its_acceptance_over_a_restart(proxy, stores):
    stores.fill({TENANT: 5})
    with connect(proxy, stores) as conn:
        conn.execute(FEED.format(1))
        conn.execute("SELECT count(*) FROM events")
    first = shapes(proxy, "feed")
    assert len(first) == 2
    proxy.admin(f"ACCEPT SHAPE {first[0]['n']} REASON 'known'")
    proxy.stop()
    proxy.start()
    with connect(proxy, stores) as conn:
        conn.execute(FEED.format(2))
    again = {row["n"]: row for row in shapes(proxy, "feed")}
    assert again.keys() == {row["n"] for row in first}
    assert again[first[0]["n"]]["count"] == 2 and again[first[0]["n"]]["reason"] == "known"
    assert not again[first[1]["n"]]["accepted"], "seen before the restart, and still to be accepted"
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin("ACCEPT SHAPE 4711")
    assert refusal.value.sqlstate == "42704"


def test_a_statement_without_a_tenant_is_logged_by_shape_once(proxy, stores):
    with connect(proxy, stores) as conn:
        for value in range(20):
            conn.execute(f"UPDATE events SET actor_id = '{MARK}' WHERE version = {value}")
    found = shapes(proxy, "unattributed_write")
    assert len(found) == 1 and found[0]["count"] == 20 and MARK not in str(found)
    logged = [line for line in proxy.log().splitlines() if "unattributed_write" in line and "actor_id" in line]
    assert len(logged) == 1 and MARK not in logged[0]
    totals = {row["name"]: row["value"] for row in proxy.admin("SHOW TOTALS")}
    assert totals["unattributed"] == 20


# --- the rehearsal on paper -------------------------------------------------------------------------------------------

@pytest.fixture
def ledgered(stores):
    """A table that nobody has declared: it lives in the default store."""
    stores.shared.execute(stores.dbname, "CREATE TABLE accounts (id int, note text)")
    stores.shared.execute(stores.dbname, "GRANT ALL ON accounts TO PUBLIC")


def conflicts(proxy, identity):
    """What the rehearsal has found, as CHECK CUTOVER tells it: [(after the cutover, shape), …]."""
    rows = proxy.check_cutover(identity)[1]
    return sorted(tuple(row["found"].split("after the cutover: ", 1)[1].split(": ", 1)[-1].split(": ", 1))
                  for row in rows if row["check"] == "rehearsal" and not row["ok"])


def test_what_would_fail_after_the_cutover_is_told_before(proxy, stores, moving, ledgered):
    with connect(proxy, stores) as conn:
        with conn.transaction():
            append(conn, TENANT, version=900)
            conn.execute("INSERT INTO accounts VALUES (1, 'in the same transaction')")
        conn.execute(f"SELECT 1 FROM events JOIN accounts ON true WHERE tenant_id = '{TENANT}'")
        conn.execute("DELETE FROM events WHERE version = 4711")
        with conn.transaction():
            append(conn, TENANT, version=901)
            conn.execute("SELECT max(global_position) FROM events")
    found = {row["what"]: row for row in proxy.admin("SHOW SHAPES")}
    assert found["cross_store_transaction"]["shape"].startswith("insert into accounts")
    assert "accounts" in found["cross_store_statement"]["shape"]
    assert found["cross_store_transaction"]["tenants"] == TENANT
    assert "max" in found["missed_rows"]["shape"]
    assert in_the_way(proxy, moving) == ["rehearsal"] * 4
    proxy.accept_shapes()
    assert proxy.cutover(moving, accept=False)[0]["state"] == "migrated"
    with connect(proxy, stores) as conn:         # and so it is
        for statement in (f"SELECT 1 FROM events JOIN accounts ON true WHERE tenant_id = '{TENANT}'",
                          "DELETE FROM events WHERE version = 4711"):
            with pytest.raises(psycopg.Error) as refusal:
                conn.execute(statement)
            assert refusal.value.sqlstate == "0A000"
        with pytest.raises(psycopg.Error) as refusal, conn.transaction():
            append(conn, TENANT, version=902)
            conn.execute("INSERT INTO accounts VALUES (1, 'in the same transaction')")
        assert "cross_store_transaction" in str(refusal.value)


STREAM = "aggregate_id = '{}' AND aggregate_type = 'Order'"


def test_a_stream_beside_a_table_that_stays_behind(proxy, stores, moving, ledgered):
    """Whose the stream is, nobody asks before somebody has moved; that it will be asked then, is known."""
    stream = uuid.uuid4()
    with connect(proxy, stores) as conn:
        append(conn, TENANT, stream)
        conn.execute(f"SELECT max(version) FROM events WHERE {STREAM.format(stream)}")
        assert in_the_way(proxy, moving) == []
        joined = f"SELECT count(*) FROM events, accounts WHERE {STREAM.format(stream)}"
        conn.execute(joined)
        assert in_the_way(proxy, moving) == ["rehearsal"]
        (found,) = [row for row in proxy.admin("SHOW SHAPES") if row["what"] == "cross_store_statement"]
        assert "accounts" in found["shape"] and "stream" in found["why"]
        proxy.accept_shapes()
        proxy.cutover(moving, accept=False)
        with pytest.raises(psycopg.Error, match="cross_store_statement"):
            conn.execute(joined)


def test_a_rehearsal_raises_no_false_alarm(proxy, stores, moving, ledgered):
    """All of it works after the cutover, too."""
    def work():
        with connect(proxy, stores) as conn:
            with conn.transaction():                                    # reads elsewhere, writes in one store
                conn.execute("SELECT count(*) FROM accounts")
                append(conn, TENANT, version=uuid.uuid4().int % 1000000 + 1000)
                conn.execute("SELECT count(*) FROM accounts")
            with conn.transaction():                                    # what is undone does not count
                with pytest.raises(ZeroDivisionError), conn.transaction():
                    conn.execute("INSERT INTO accounts VALUES (1, 'x')")
                    raise ZeroDivisionError
                append(conn, TENANT, version=uuid.uuid4().int % 1000000 + 1000)
            with conn.transaction():                                    # nothing of the tenant's
                append(conn, OTHER, version=uuid.uuid4().int % 1000000 + 1000)
                conn.execute("INSERT INTO accounts VALUES (1, 'x')")
            append(conn, TENANT, version=uuid.uuid4().int % 1000000 + 1000)   # two transactions are two
            conn.execute("INSERT INTO accounts VALUES (1, 'x')")
            conn.execute(f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}' AND version = 1")

    work()
    assert proxy.admin("SHOW SHAPES") == []
    proxy.wait_cutover_ready(moving, accept=False)
    proxy.cutover(moving, accept=False)
    work()


def test_a_prepared_statement_is_rehearsed_by_its_values(proxy, stores, moving):
    with connect(proxy, stores) as conn:
        for tenants in ([OTHER, OTHER], [TENANT, OTHER]):
            conn.execute("SELECT count(*) FROM events WHERE tenant_id IN (%s, %s)", [uuid.UUID(t) for t in tenants],
                         prepare=True)
    found = proxy.admin("SHOW SHAPES")
    assert [(row["what"], row["count"]) for row in found] == [("cross_store_statement", 1)]
    assert "$n" in found[0]["shape"]


# --- CHECK COVERAGE ---------------------------------------------------------------------------------------------------

def test_coverage_lists_every_shape_on_declared_tables(proxy, stores, ledgered):
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, "CREATE EXTENSION pg_stat_statements")
    # Past pgshunt: one that names its tenant, one that does not, one on another table.
    stores.shared.rows(stores.dbname, f"SELECT version FROM events WHERE tenant_id = '{TENANT}' AND version = 1")
    stores.shared.rows(stores.dbname, "SELECT version FROM events WHERE payload IS NULL")
    stores.shared.rows(stores.dbname, "SELECT id FROM accounts")
    with connect(proxy, stores) as conn:
        append(conn, TENANT, payload=f'{{"a": "{MARK}"}}')
        conn.execute(FEED.format(1))
        conn.execute("SELECT id FROM accounts")
        conn.execute(f"SET app.tenant_id = '{TENANT}'")
        conn.execute("SELECT max(version) FROM events")
    covered = proxy.admin("CHECK COVERAGE")
    assert MARK not in str(covered) and "accounts" not in str(covered)
    shape = {row["shape"].split(" where")[0].split(" (")[0].split("(event_id")[0]: row for row in covered}
    assert shape["insert into events"]["status"] == "found" and shape["insert into events"]["tenant"] == "parameter"
    assert shape["insert into events"]["source"] == "pgshunt" and shape["insert into events"]["calls"] == 1
    assert (shape["select max(version) from events"]["tenant"], shape["select max(version) from events"]["status"]) \
        == ("setting", "found")
    feed = shape["select * from events"]
    assert (feed["status"], feed["unattributed"], feed["class"]) == ("unexplained", 1, "read") and feed["n"]
    past = [row for row in covered if row["source"] == "pg_stat_statements"]
    by_status = {row["status"]: row for row in past}
    assert by_status["found"]["tenant"] == "parameter" and "tenant_id" in by_status["found"]["shape"]
    assert "payload" in by_status["unexplained"]["shape"] and "pgshunt has not" in by_status["unexplained"]["why"]
    proxy.admin(f"ACCEPT SHAPE {by_status['unexplained']['n']} REASON 'a report of ours'")
    assert [row["status"] for row in proxy.admin("CHECK COVERAGE") if "payload is null" in row["shape"]] == ["accepted"]

    notices = []
    with proxy.admin_connect() as conn:
        conn.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        identity = conn.execute(f"START MIGRATION TENANT '{TENANT}' TO 'dedicated'").fetchone()["id"]
    assert any("CHECK COVERAGE" in notice for notice in notices)
    proxy.wait_state(identity, "dual_write")
    proxy.admin(f"ACCEPT SHAPE {feed['n']}")
    assert [row["status"] for row in proxy.admin("CHECK COVERAGE") if row["n"] == feed["n"]] == ["accepted"]
    proxy.wait_cutover_ready(identity, accept=False)


def test_coverage_remembers_what_an_earlier_process_has_seen(proxy, stores):
    with connect(proxy, stores) as conn:
        conn.execute("SELECT count(*) FROM events")
    proxy.stop()
    proxy.start()
    covered = proxy.admin("CHECK COVERAGE")
    assert [(row["source"], row["status"], row["shape"]) for row in covered] \
        == [("recorded", "unexplained", "select count(*) from events")]


def test_a_pipeline_is_rehearsed_as_the_one_transaction_that_it_is(proxy, stores, moving, ledgered):
    with connect(proxy, stores) as conn, conn.pipeline():
        conn.execute("INSERT INTO accounts VALUES (1, 'x')")
        conn.execute("UPDATE events SET actor_id = 'x' WHERE tenant_id = %s AND version = 1", [uuid.UUID(TENANT)])
    with connect(proxy, stores) as conn, conn.pipeline() as pipeline:
        conn.execute("DELETE FROM accounts")
        pipeline.sync()
        conn.execute("UPDATE events SET actor_id = 'y' WHERE tenant_id = %s AND version = 2", [uuid.UUID(TENANT)])
    found = proxy.admin("SHOW SHAPES")
    assert [(row["what"], row["count"]) for row in found] == [("cross_store_transaction", 1)]
    assert found[0]["shape"].startswith("update events")


def test_instances_share_what_they_have_found(make_proxy, stores):
    one, other = make_proxy(), make_proxy()
    one.start()
    other.start()
    for proxy in (one, other):
        with connect(proxy, stores) as conn:
            conn.execute(FEED.format(1))
    wait_until("what the other has found is known", lambda: shapes(one, "feed")[0]["instances"] == 2)
    found = shapes(one, "feed")
    assert len(found) == 1 and found[0]["count"] == 2
    other.admin(f"ACCEPT SHAPE {found[0]['n']} REASON 'said there'")
    assert shapes(one, "feed")[0]["reason"] == "said there"
