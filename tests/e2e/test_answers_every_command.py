"""Every command in every state: it does what it says, or is refused with the state, what was expected and what to type;
wrong ids, names, values, types, and SQL in every quoted argument change nothing."""
import contextlib

import psycopg
import pytest

import eventstore
from conftest import NOBODY, OTHER, TEMPLATE, TENANT, THIRD, connect
from events import append
from pgcluster import wait_until

STATES = ("pending", "bulk_copy", "dual_write", "paused", "failed", "rolled_back", "migrated")

# What comes of a command in a state: the state it leads to, or the SQLSTATE of its refusal, or "" (it answers, and
# nothing changes). An end is what is asked of last, so each row runs against a migration of its own where it changes it.
EXPECTED = {
    "PAUSE MIGRATION '{id}'": {"pending": "55000", "bulk_copy": "paused", "dual_write": "paused", "paused": "55000",
                               "failed": "55000", "rolled_back": "55000", "migrated": "55000"},
    "RESUME MIGRATION '{id}'": {"pending": "55000", "bulk_copy": "55000", "dual_write": "55000", "paused": "bulk_copy",
                                "failed": "55000", "rolled_back": "55000", "migrated": "55000"},
    "ALTER MIGRATION '{id}' SET (batch_size = 77)": {"pending": "", "bulk_copy": "", "dual_write": "", "paused": "",
                                                     "failed": "55000", "rolled_back": "55000", "migrated": "55000"},
    "CUTOVER MIGRATION '{id}'": {"pending": "55000", "bulk_copy": "55000", "dual_write": "migrated", "paused": "55000",
                                 "failed": "55000", "rolled_back": "55000", "migrated": "55000"},
    "ABORT MIGRATION '{id}' PURGE TARGET": {"pending": "rolled_back", "bulk_copy": "rolled_back", "dual_write": "rolled_back",
                               "paused": "rolled_back", "failed": "rolled_back", "rolled_back": "55000",
                               "migrated": "55000"},
    "CHECK CUTOVER '{id}'": {"pending": "", "bulk_copy": "", "dual_write": "", "paused": "", "failed": "55000",
                             "rolled_back": "55000", "migrated": "55000"},
    "SHOW LAG '{id}'": {"pending": "", "bulk_copy": "", "dual_write": "", "paused": "", "failed": "55000",
                        "rolled_back": "55000", "migrated": "55000"},
    "SHOW MIGRATION '{id}'": dict.fromkeys(STATES, ""),
    "SHOW AUDIT '{id}'": dict.fromkeys(STATES, ""),
    "SHOW FAILURES '{id}'": dict.fromkeys(STATES, ""),
    "RESUME WRITES TENANT '{tenant}'": dict.fromkeys(STATES, ""),
    "EMERGENCY STOP TENANT '{tenant}'": {"pending": "failed", "bulk_copy": "failed", "dual_write": "failed",
                                         "paused": "failed", "failed": "", "rolled_back": "", "migrated": ""},
}


class Lives:
    """Migrations of one tenant after the other, each brought into the state that is wanted."""

    def __init__(self, make_proxy, stores):
        self.proxy = make_proxy(settings={"migration": {"max_concurrent_migrations": 2}}).start()
        self.stores, self.identity = stores, None
        stores.fill({TENANT: 1500, OTHER: 10, THIRD: 10})

    def bring(self, state):
        slow = "batch_size = 50, max_bulk_copy_rate = 200" if state in ("bulk_copy", "paused") else ""
        self.identity = self.proxy.start_migration(TENANT, "dedicated", slow)
        if state in ("bulk_copy", "paused"):
            self.proxy.wait_state(self.identity, "bulk_copy")
        else:
            self.proxy.wait_state(self.identity, "dual_write")
        if state == "dual_write":
            self.proxy.wait_cutover_ready(self.identity)
        elif state == "paused":
            self.proxy.admin(f"PAUSE MIGRATION '{self.identity}'")
        elif state == "failed":
            self.proxy.admin(f"EMERGENCY STOP TENANT '{TENANT}'")
            wait_until("it is cleaned up", lambda: self.proxy.migration(self.identity).get("settled_at"), 10)
        elif state == "rolled_back":
            self.proxy.admin(f"ABORT MIGRATION '{self.identity}' PURGE TARGET")
        elif state == "migrated":
            self.proxy.wait_cutover_ready(self.identity)
            self.proxy.cutover(self.identity)

    def clear(self):
        """The tenant is at its source again, and its rows there alone."""
        with contextlib.suppress(psycopg.Error):
            self.proxy.admin(f"ABORT MIGRATION '{self.identity}' PURGE TARGET")


def outcome(proxy, command, identity):
    before = proxy.state(identity)
    try:
        proxy.admin(command)
    except psycopg.Error as refusal:
        assert refusal.diag.message_hint, (command, before, str(refusal))
        assert proxy.state(identity) == before, (command, before)
        return refusal.sqlstate
    wait_until(f"{command} settles", lambda: proxy.state(identity) != "cutover_paused", 10, 0.02)
    after = proxy.state(identity)
    return "" if after == before else after


# The pending one has a story of its own below.
@pytest.mark.parametrize("state", [state for state in STATES if state != "pending"])
def test_every_command_in(make_proxy, stores, state):
    lives = Lives(make_proxy, stores)
    lives.bring(state)
    for command, expected in EXPECTED.items():
        text = command.format(id=lives.identity, tenant=TENANT)
        assert outcome(lives.proxy, text, lives.identity) == expected[state], (text, state)
        if expected[state] in STATES:
            lives.clear()
            if lives.proxy.state(lives.identity) == "migrated":
                return                  # CUTOVER stands for all that follows: the tenant has gone
            lives.bring(state)


@pytest.fixture
def queue(make_proxy, stores):
    """One slot, and three migrations to a store each: the first copies slowly, the others wait."""
    extra = [f"{stores.dbname}_{n}" for n in (2, 3)]
    for dbname in extra:
        eventstore.create_database(stores.dedicated, dbname, TEMPLATE)
    conninfos = {**stores.conninfos(), **{f"extra{n}": eventstore.store_conninfo(stores.dedicated, dbname)
                                          for n, dbname in enumerate(extra)}}
    proxy = make_proxy(conninfos=conninfos, settings={"migration": {"max_concurrent_migrations": 1}}).start()
    stores.fill({TENANT: 3000, OTHER: 100, THIRD: 100})
    first = proxy.start_migration(TENANT, "dedicated", "batch_size = 50, max_bulk_copy_rate = 50")
    proxy.wait_state(first, "bulk_copy")
    others = [proxy.start_migration(tenant, store) for tenant, store in ((OTHER, "extra0"), (THIRD, "extra1"))]
    yield proxy, [first, *others]
    proxy.stop()
    for dbname in extra:
        eventstore.drop_database(stores.dedicated, dbname)


def places(proxy):
    return {str(row["id"]): (row["state"], row["queue_place"]) for row in proxy.admin("SHOW MIGRATIONS")}


def test_the_others_wait_for_their_turn(queue):
    """What ends or rests makes room, in the order of their START; who is resumed goes first, and waits, too."""
    proxy, (first, second, third) = queue
    assert places(proxy) == {first: ("bulk_copy", None), second: ("pending", 1), third: ("pending", 2)}
    proxy.kill()
    proxy.start()
    wait_until("the first goes on", lambda: float(proxy.migration(first).get("rate") or 0) > 0, 20)
    assert [state for state, _ in places(proxy).values()] == ["bulk_copy", "pending", "pending"]
    proxy.admin(f"PAUSE MIGRATION '{first}'")
    proxy.wait_state(second, "dual_write", 20)
    assert places(proxy)[third] == ("pending", 1)
    answer = proxy.admin(f"RESUME MIGRATION '{first}'")[0]
    assert answer["state"] == "paused", "the second has the only slot"
    proxy.kill()
    proxy.start()
    wait_until("it is taken up", lambda: proxy.admin(f"SHOW AUDIT '{first}'")[-1]["event_type"] == "owner_changed", 10)
    proxy.admin(f"ABORT MIGRATION '{second}'")
    proxy.wait_state(first, "bulk_copy", 20)
    assert places(proxy)[third] == ("pending", 1), "the one that was resumed goes first"
    proxy.admin(f"ABORT MIGRATION '{first}'")
    proxy.wait_state(third, "dual_write", 20)


def test_every_command_while_it_waits(queue):
    proxy, (_, second, third) = queue
    for command, expected in EXPECTED.items():
        for identity, tenant in ((second, OTHER), (third, THIRD)):
            if proxy.state(identity) == "pending":
                text = command.format(id=identity, tenant=tenant)
                assert outcome(proxy, text, identity) == expected["pending"], text
                break


WRONG_IDS = ("x", "zzzz", "00000000-0000-4000-8000-000000000000", "'; DROP TABLE pgshunt.tenant_migrations; --",
             "' OR '1'='1", "%", "____", "{id}0", "null", "", "é" * 30, "a" * 500)
WITH_ID = ("SHOW MIGRATION '{x}'", "SHOW LAG '{x}'", "SHOW AUDIT '{x}'", "SHOW FAILURES '{x}'", "PAUSE MIGRATION '{x}'",
           "RESUME MIGRATION '{x}'", "ALTER MIGRATION '{x}' SET (batch_size = 5)", "CUTOVER MIGRATION '{x}' FORCE",
           "CHECK CUTOVER '{x}'", "ABORT MIGRATION '{x}' PURGE TARGET", "WATCH MIGRATION '{x}'",
           "WAIT MIGRATION '{x}' FOR dual_write TIMEOUT 1")


def quoted(text):
    return text.replace("'", "''")


def picture(stores):
    """Everything that a command could have changed."""
    return stores.shared.rows(stores.dbname, """SELECT 'm', id::text, state, config::text FROM pgshunt.tenant_migrations
        UNION ALL SELECT 'r', tenant_id, migration_state, generation::text FROM pgshunt.tenant_routing
        UNION ALL SELECT 'a', max(id)::text, count(*)::text, '' FROM pgshunt.migration_audit_log ORDER BY 1, 2""")


def test_wrong_ids_names_values_and_types(proxy, stores):
    stores.fill({TENANT: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    before = picture(stores)
    for command in WITH_ID:
        for wrong in WRONG_IDS:
            text = command.format(x=quoted(wrong.format(id=identity)))
            with pytest.raises(psycopg.Error) as refusal:
                proxy.admin(text)
            assert refusal.value.sqlstate == "42704", (text, str(refusal.value))
    for sqlstate, command in (
            ("42601", "ALTER MIGRATION '{id}' SET (nonsense = 1)"), ("42601", "ALTER MIGRATION '{id}' SET ()"),
            ("42601", "ALTER MIGRATION '{id}' SET (listen = '0.0.0.0:1')"),
            ("42601", "ALTER MIGRATION '{id}' SET (batch_size = 1, batch_size = 2)"),
            ("42601", "ALTER MIGRATION '{id}'"), ("42601", "ALTER MIGRATION '{id}' (batch_size = 1)"),
            ("22023", "ALTER MIGRATION '{id}' SET (batch_size = 0)"),
            ("22023", "ALTER MIGRATION '{id}' SET (batch_size = 'many')"),
            ("22023", "ALTER MIGRATION '{id}' SET (batch_size = '1; DROP TABLE events')"),
            ("22023", "ALTER MIGRATION '{id}' SET (max_bulk_copy_rate = -1)"),
            ("22023", "ALTER MIGRATION '{id}' SET (max_bulk_copy_rate = 99999999999999999999)"),
            ("55000", "ALTER MIGRATION '{id}' SET (position_mode = 'preserve')"),
            ("55000", "ALTER MIGRATION '{id}' SET (guard = off)"),
            ("55000", "ALTER MIGRATION '{id}' SET (batch_size = 7, allow_empty = on)"),
            ("22P02", "RESUME WRITES TENANT '''; DROP TABLE x; --'"), ("22P02", "EMERGENCY STOP TENANT 'no uuid'"),
            ("42601", "RESUME WRITES"), ("42601", "EMERGENCY"), ("42601", "EMERGENCY STOP EVERYTHING"),
            ("42601", "PAUSE MIGRATION"), ("42601", "PAUSE MIGRATION '{id}' BECAUSE 'x'"),
            ("42601", "RESUME MIGRATION '{id}' REASON"), ("22023", "WAIT MIGRATION '{id}' FOR nirvana"),
            ("22023", "WAIT MIGRATION '{id}' FOR migrated TIMEOUT 'soon'"),
            ("23505", f"START MIGRATION TENANT '{TENANT}' TO 'dedicated'"),
            ("42704", f"START MIGRATION TENANT '{OTHER}' TO 'nowhere''; DROP TABLE x'"),
            ("22P02", "START MIGRATION TENANT 'x''; DROP TABLE x' TO 'dedicated'"),
            ("42601", f"START MIGRATION TENANT '{OTHER}' TO 'dedicated' WITH (nonsense = 1)")):
        with pytest.raises(psycopg.Error) as refusal:
            proxy.admin(command.format(id=identity))
        assert refusal.value.sqlstate == sqlstate, (command, str(refusal.value))
    assert proxy.admin(f"EMERGENCY STOP TENANT '{NOBODY}'") == []
    assert picture(stores) == before
    assert proxy.state(identity) == "dual_write"


def test_a_reason_is_only_ever_a_reason(proxy, stores):
    reason = """it's "late"; DROP TABLE pgshunt.tenant_migrations; -- \\ {"a": 1} $1 %s é"""
    stores.fill({TENANT: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.admin(f"PAUSE MIGRATION '{identity}' REASON '{quoted(reason)}'")
    assert proxy.migration(identity)["pause_reason"] == reason
    proxy.admin(f"RESUME MIGRATION '{identity}' REASON '{quoted(reason)}'")
    proxy.admin(f"ABORT MIGRATION '{identity}' REASON '{quoted(reason)}'")
    kept = stores.shared.rows(stores.dbname, """SELECT event_type, details->>'reason' FROM pgshunt.migration_audit_log
        WHERE details->>'reason' IS NOT NULL ORDER BY id""")
    assert kept == [(event, reason) for event in ("migration_paused", "migration_resumed", "abort_requested",
                                                  "migration_aborted")]
    second = proxy.start_migration(TENANT, "dedicated") if stores.counts(TENANT)[1] == 0 else None
    assert second is None
    assert proxy.admin(f"EMERGENCY STOP REASON '{quoted(reason)}'") == []


def test_a_prefix_that_two_migrations_share(proxy, stores):
    stores.fill({TENANT: 20})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    twin = identity[:8] + "-ffff-4fff-8fff-ffffffffffff"
    stores.shared.execute(stores.dbname, """INSERT INTO pgshunt.tenant_migrations (id, tenant_id, source_store_id,
        target_store_id, state) VALUES (%s, 'x', 'a', 'b', 'rolled_back')""", [twin])
    for command in WITH_ID:
        with pytest.raises(psycopg.Error) as refusal:
            proxy.admin(command.format(x=identity[:8]))
        assert refusal.value.sqlstate == "42704" and "more than one" in str(refusal.value), command
    assert proxy.admin(f"SHOW LAG '{identity[:13]}'")
    assert proxy.state(identity) == "dual_write"


def test_alter_in_the_middle_of_a_copy(make_proxy, stores):
    """The copier goes by it at once; it outlives a kill; the audit has old and new."""
    proxy = make_proxy().start()
    stores.fill({TENANT: 3000})
    identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 100, max_bulk_copy_rate = 1")
    wait_until("a batch is copied", lambda: stores.counts(TENANT)[1] >= 100, 20)
    rows = proxy.admin(f"ALTER MIGRATION '{identity}' SET (max_bulk_copy_rate = 300, batch_size = 60)")
    assert {(row["setting"], row["old"], row["new"]) for row in rows} == {
        ("max_bulk_copy_rate", "1", "300"), ("batch_size", "100", "60")}
    wait_until("it is copied faster than one a second", lambda: stores.counts(TENANT)[1] >= 160, 20)
    entry = [row for row in proxy.admin(f"SHOW AUDIT '{identity}'") if row["event_type"] == "settings_changed"][-1]
    assert '"old": "1"' in entry["details"] and '"new": "300"' in entry["details"]
    proxy.kill()
    proxy.start()
    shown = proxy.migration(identity)
    assert (shown["max_bulk_copy_rate"], shown["batch_size"]) == ("300", "60")
    wait_until("it goes on", lambda: proxy.migration(identity).get("rate") not in (None, "0.0"), 20)
    shown = proxy.migration(identity)
    assert float(shown["eta_seconds"]) > 0 and float(shown["average_rate"]) > 0
    assert float(shown["phase_bulk_copy_seconds"]) > 0
    listed = proxy.admin("SHOW MIGRATIONS")[0]
    assert listed["rate"] is not None and listed["eta_seconds"] is not None
    proxy.admin(f"ALTER MIGRATION '{identity}' SET (max_bulk_copy_rate = 0)")
    proxy.wait_state(identity, "dual_write", 30)
    assert stores.counts(TENANT)[1] == 3000
    assert proxy.admin(f"ALTER MIGRATION '{identity}' SET (batch_size = 60)") == []


def test_failures_of_the_target(proxy, stores):
    stores.fill({TENANT: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    assert [row["failures"] for row in proxy.admin(f"SHOW FAILURES '{identity}'")] == [0]
    stores.dedicated.kill()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    wait_until("it has failed", lambda: len(proxy.admin(f"SHOW FAILURES '{identity}'")) == 2, 20)
    spell, total = proxy.admin(f"SHOW FAILURES '{identity}'")
    assert spell["spell"] == 1 and spell["failures"] >= 1 and spell["sqlstate"] and spell["error"]
    assert spell["recovered"] is None and total["recovered"] is None and total["spell"] is None
    stores.dedicated.start()
    wait_until("it is over", lambda: proxy.admin(f"SHOW FAILURES '{identity}'")[0]["recovered"], 60)
    spell, total = proxy.admin(f"SHOW FAILURES '{identity}'")
    assert total["failures"] == spell["failures"] and total["first"] == spell["first"] <= total["last"]


def test_the_queries_that_operators_have(proxy, stores):
    """As they stand in runbooks, with search_path = pgshunt."""
    stores.fill({TENANT: 400})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    with stores.shared.connect(stores.dbname) as conn:
        conn.execute("SET search_path = pgshunt")
        rows = conn.execute("""SELECT id, tenant_id, state, progress_percentage, events_copied, total_events, created_at
            FROM tenant_migrations WHERE state NOT IN ('migrated', 'failed', 'rolled_back')
            ORDER BY created_at DESC""").fetchall()
        assert [(str(row[0]), row[1], row[2], row[3], row[4], row[5]) for row in rows] == [
            (identity, TENANT, "dual_write", 100.0, 400, 400)] and rows[0][6] is not None
        assert conn.execute("""SELECT tenant_id, store_id, migration_state, target_store_id FROM tenant_routing
            WHERE migration_state != 'normal'""").fetchall() == [(TENANT, "shared", "dual_write", "dedicated")]
        assert conn.execute("""SELECT min(source_position), max(source_position), count(*)
            FROM migration_position_mappings WHERE migration_id = %s""", [identity]).fetchone()[2] == 0
        recent = conn.execute("""SELECT event_type, details, created_at FROM migration_audit_log
            WHERE migration_id = %s ORDER BY created_at DESC LIMIT 20""", [identity]).fetchall()
        assert {"migration_started", "phase_changed"} <= {row[0] for row in recent}
        assert all(isinstance(row[1], dict) and row[2] is not None for row in recent)
