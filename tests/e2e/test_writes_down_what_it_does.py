"""The audit: who did what to a migration, when, from which state to which. An entry for every change, or no change."""
import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until
from pgshunt import os_user


def audit(proxy, identity):
    return proxy.admin(f"SHOW AUDIT '{identity}'")


def moves(entries):
    """(event, from, to) of the entries that changed the state."""
    return [(row["event_type"], row["old_state"], row["new_state"]) for row in entries
            if row["old_state"] != row["new_state"]]


def test_a_whole_migration(proxy, stores):
    stores.fill({TENANT: 3000, OTHER: 100})
    identity = proxy.move(TENANT, "dedicated", "batch_size = 100")
    entries = wait_until("its source is tidied up", lambda: (
        lambda rows: rows if rows[-1]["event_type"] == "source_settled" else None)(audit(proxy, identity)), 20)
    assert moves(entries) == [
        ("migration_started", None, "pending"),
        ("phase_changed", "pending", "bulk_copy"),
        ("phase_changed", "bulk_copy", "dual_write"),
        ("cutover_initiated", "dual_write", "cutover_paused"),
        ("cutover_completed", "cutover_paused", "migrated"),
        ("migration_completed", "cutover_paused", "migrated"),
    ]
    events = [row["event_type"] for row in entries]
    assert events.index("verification_started") < events.index("verification_completed")
    assert events.index("verification_completed") < events.index("cutover_initiated")
    assert {"owner_changed", "route_announced", "cutover_report"} < set(events)
    by_event = {row["event_type"]: row for row in entries}
    for event in ("migration_started", "cutover_initiated", "cutover_completed", "migration_completed"):
        assert by_event[event]["operator"] == os_user(), event
    assert all(row["created_at"] is not None for row in entries)
    assert [row["created_at"] for row in entries] == sorted(row["created_at"] for row in entries)


def test_every_tenth_of_a_copy(proxy, stores):
    stores.fill({TENANT: 3000})
    identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 50, max_bulk_copy_rate = 1000")
    proxy.wait_state(identity, "dual_write")
    steps = [row["details"] for row in audit(proxy, identity) if row["event_type"] == "progress_checkpoint"]
    shares = stores.shared.rows(stores.dbname, """SELECT (details->>'percentage')::float, (details->>'events_copied')::int,
        (details->>'total_events')::int FROM pgshunt.migration_audit_log WHERE event_type = 'progress_checkpoint'
        ORDER BY id""")
    assert 2 <= len(shares) == len(steps) <= 10
    tenths = [int(share // 10) for share, _, _ in shares]
    assert tenths == sorted(set(tenths)), "one entry for each tenth at most"
    assert all(abs(share - 100 * copied / total) < 0.1 for share, copied, total in shares)


def test_a_target_that_fails_and_comes_back(proxy, stores):
    stores.fill({TENANT: 100})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    stores.dedicated.kill()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    wait_until("the failure is written down",
               lambda: "error_occurred" in [row["event_type"] for row in audit(proxy, identity)], 20)
    stores.dedicated.start()
    wait_until("so is the recovery",
               lambda: "target_recovered" in [row["event_type"] for row in audit(proxy, identity)], 60)


def forbid_entries(stores, condition):
    stores.shared.execute(stores.dbname, f"""
        CREATE FUNCTION pgshunt.no_entry() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no room for an entry'; END $$;
        CREATE TRIGGER no_entry BEFORE INSERT ON pgshunt.migration_audit_log FOR EACH ROW
            WHEN ({condition}) EXECUTE FUNCTION pgshunt.no_entry()""")


def allow_entries(stores):
    stores.shared.execute(stores.dbname, "DROP TRIGGER no_entry ON pgshunt.migration_audit_log")


def test_without_an_entry_nothing_changes(proxy, stores):
    stores.fill({TENANT: 100})
    forbid_entries(stores, "NEW.event_type = 'migration_started'")
    with pytest.raises(psycopg.Error, match="no room"):
        proxy.start_migration(TENANT, "dedicated")
    assert proxy.admin("SHOW MIGRATIONS ALL") == []
    allow_entries(stores)

    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    stores.shared.execute(stores.dbname, "DROP FUNCTION pgshunt.no_entry")
    forbid_entries(stores, "NEW.event_type = 'migration_completed'")
    with pytest.raises(psycopg.Error):
        proxy.cutover(identity)
    assert proxy.state(identity) == "dual_write"
    assert proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]["store_id"] == "shared"
    allow_entries(stores)
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    assert proxy.state(identity) == "migrated"


def test_every_move_that_is_not_in_the_table_is_refused_by_the_database(proxy, stores):
    """All pairs of states, asked of the one function that changes a state."""
    allowed = {"pending": {"bulk_copy", "failed", "rolled_back"},
               "bulk_copy": {"dual_write", "paused", "failed", "rolled_back"},
               "dual_write": {"cutover_paused", "paused", "failed", "rolled_back"},
               "paused": {"bulk_copy", "dual_write", "failed", "rolled_back"},
               "cutover_paused": {"migrated", "dual_write", "failed", "rolled_back"},
               "migrated": set(), "failed": {"rolled_back"}, "rolled_back": set()}
    shared, dbname = stores.shared, stores.dbname
    for before, after in ((a, b) for a in allowed for b in allowed):
        with shared.connect(dbname) as conn:
            conn.execute("SET search_path = pgshunt")
            conn.execute("SET pgshunt.ledger = on")
            conn.execute("BEGIN")
            conn.execute("""INSERT INTO tenant_migrations (id, tenant_id, source_store_id, target_store_id, state)
                VALUES ('00000000-0000-4000-8000-000000000001', 't', 'shared', 'dedicated', %s)""", [before])
            conn.execute("""INSERT INTO tenant_routing VALUES ('t', 'shared', %s, 'dedicated',
                '00000000-0000-4000-8000-000000000001')""",
                         [before if before in ("bulk_copy", "dual_write", "cutover_paused") else "normal"])
            enter = """SELECT migration_enter('00000000-0000-4000-8000-000000000001', 0, %s, %s, 0, %s, 'phase_changed',
                'tester', NULL, NULL, 'here')"""
            route = after if after in ("bulk_copy", "dual_write", "cutover_paused") else "normal"
            if after in allowed[before]:
                conn.execute(enter, [before, after, route])
                assert conn.execute("SELECT state FROM tenant_migrations").fetchone()[0] == after
                assert conn.execute("SELECT old_state, new_state, operator FROM migration_audit_log").fetchall() == [
                    (before, after, "tester")]
            else:
                with pytest.raises(psycopg.Error) as refusal:
                    conn.execute(enter, [before, after, route])
                assert refusal.value.sqlstate == "55000", (before, after)
                assert refusal.value.diag.message_detail == "invalid_state_transition"
            conn.execute("ROLLBACK")


@pytest.mark.parametrize("state", ["bulk_copy", "migrated", "paused", "rolled_back", "pending"])
def test_by_hand_a_migration_can_only_be_stopped(proxy, stores, state):
    stores.fill({TENANT: 100})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    with pytest.raises(psycopg.Error) as refusal:
        stores.shared.execute(stores.dbname, f"UPDATE pgshunt.tenant_migrations SET state = '{state}'")
    assert refusal.value.sqlstate == "55000"
    assert proxy.state(identity) == "dual_write"
