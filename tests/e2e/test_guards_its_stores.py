"""The guard: a store itself refuses rows of tenants that do not live there, whoever sends them, in whatever way, before
and after the shut tap is taken away; and never those of a tenant where it lives."""
import random
import signal
import subprocess
import uuid

import psycopg
import pytest

import eventstore
from conftest import NOBODY, OTHER, TENANT, THIRD, connect
from events import INSERT, Appender, append, place
from eventstore import APP, APP_PASSWORD
from pgcluster import SUPERUSER, wait_until
from pgshunt import failpoints, wait_log

GUARD = "pgshunt_tenancy_guard"
TAPS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgshunt\\_tap\\_%' AND NOT tgisinternal"
GUARDS = f"SELECT count(*) FROM pg_trigger WHERE tgname = '{GUARD}' AND tgenabled = 'A'"


def direct(cluster, stores, **more):
    """The application past the proxy, as somebody who has kept the old connection string would be."""
    more.setdefault("autocommit", True)
    return psycopg.connect(cluster.conninfo(stores.dbname, APP, APP_PASSWORD), **more)


def write(conn, tenant):
    """At a position that no sequence comes to: both stores count for themselves."""
    conn.execute(INSERT.replace("(event_id", "(global_position, event_id").replace("VALUES (", "VALUES (%s, "),
                 (random.randrange(10**9, 10**12), uuid.uuid4(), uuid.uuid4(), tenant and uuid.UUID(tenant), "direct", 1,
                  "{}"))


def refused(call, *arguments, states=("0A000",)):
    with pytest.raises(psycopg.Error) as refusal:
        call(*arguments)
    assert refusal.value.sqlstate in states, refusal.value
    assert refusal.value.diag.message_primary.startswith(("tenant_lives_elsewhere: ", "tenant_moved: "))
    assert refusal.value.diag.message_hint
    return refusal.value


def settled(proxy, identity, timeout_s=20):
    """The guard has taken over from the shut tap."""
    wait_until(f"migration {identity} is settled\n{proxy.log_tail()}",
               lambda: proxy.migration(identity).get("settled_at"), timeout_s, 0.05)


def taps(cluster, stores):
    return cluster.value(stores.dbname, TAPS)


def guards(cluster, stores):
    return cluster.value(stores.dbname, GUARDS)


@pytest.fixture
def guarded(proxy, stores, moved):
    settled(proxy, moved)
    assert (taps(stores.shared, stores), taps(stores.dedicated, stores)) == (0, 0)
    assert (guards(stores.shared, stores), guards(stores.dedicated, stores)) == (1, 1)
    return moved


# --- whoever writes, however --------------------------------------------------------------------------------------------

def test_the_store_it_has_left_refuses_it(proxy, stores, guarded):
    with direct(stores.shared, stores) as conn:
        problem = refused(write, conn, TENANT)
        assert TENANT in problem.diag.message_primary and "tenancy" in problem.diag.message_detail
        for tenant in (OTHER, NOBODY, None):
            write(conn, tenant)
    assert stores.counts(TENANT) == (200, 200) and stores.counts(OTHER) == (101, 0)


def test_the_new_store_takes_nobody_else(proxy, stores, guarded):
    with direct(stores.dedicated, stores) as conn:
        for tenant in (OTHER, NOBODY):
            refused(write, conn, tenant)
        assert "without a tenant" in str(refused(write, conn, None))
        write(conn, TENANT)
    assert stores.counts(TENANT) == (200, 201) and stores.counts(OTHER) == (100, 0)


def test_other_ways_to_write(proxy, stores, guarded):
    with direct(stores.shared, stores) as conn:
        refused(conn.execute, f"UPDATE events SET tenant_id = '{TENANT}' WHERE tenant_id = '{OTHER}' AND version = 1")
        refused(conn.execute, f"UPDATE events SET tenant_id = '{OTHER}' WHERE tenant_id = '{TENANT}' AND version = 1")
        refused(conn.execute, f"UPDATE events SET payload = '{{}}' WHERE tenant_id = '{TENANT}'")
        refused(conn.execute, f"DELETE FROM events WHERE tenant_id = '{TENANT}'")
        refused(conn.execute, "INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
                " timestamp, payload) SELECT gen_random_uuid(), gen_random_uuid(), 'O', 'P', t::uuid, 1, now(), '{}'"
                f" FROM unnest(ARRAY['{OTHER}', '{TENANT}']) t")
        conn.execute(f"UPDATE events SET payload = '{{}}' WHERE tenant_id = '{OTHER}' AND version = 1")

        def copy():
            with conn.cursor().copy("COPY events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
                                    " timestamp, payload) FROM STDIN") as rows:
                for tenant in (OTHER, TENANT):
                    rows.write_row((uuid.uuid4(), uuid.uuid4(), "O", "P", uuid.UUID(tenant), 1, "2024-01-01", "{}"))
        refused(copy)
    assert stores.counts(TENANT) == (200, 200) and stores.counts(OTHER) == (100, 0)


def test_no_role_and_no_setting_passes(proxy, stores, guarded):
    with stores.shared.connect(stores.dbname) as boss:          # a superuser
        for setting in ("SET session_replication_role = replica", "SET pgshunt.copier = on", "SET ROLE pgshunt"):
            boss.execute(setting)
            refused(write, boss, TENANT)
            boss.execute("RESET ALL")
            boss.execute("RESET ROLE")
    with direct(stores.shared, stores) as conn:                  # and nobody needs a right to pass it
        conn.execute("SET search_path = pg_temp")
        conn.execute("CREATE TEMP TABLE tenancy (tenant text, lives_here bool)")
        conn.execute("SET search_path = public")
        refused(write, conn, TENANT)
        write(conn, OTHER)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT * FROM pgshunt.tenancy")


def test_a_tenant_in_capitals_and_a_trigger_that_changes_it(proxy, stores, guarded):
    """It sees the row as it is stored."""
    with direct(stores.shared, stores) as conn:
        refused(conn.execute, INSERT.replace("%s, %s, 'Order'", "gen_random_uuid(), gen_random_uuid(), 'Order'"),
                (TENANT.upper(), "x", 1, "{}"))
    stores.shared.execute(stores.dbname, f"""
        CREATE FUNCTION zz() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.tenant_id := '{TENANT}'; RETURN NEW; END $$;
        CREATE TRIGGER zz BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION zz();""")
    with direct(stores.shared, stores) as conn:
        refused(write, conn, OTHER)
    assert stores.counts(TENANT) == (200, 200)


# --- the hand-over from the shut tap -------------------------------------------------------------------------------------

def test_the_tap_stays_until_nobody_has_an_older_snapshot(proxy, stores):
    """To a snapshot from before the switch the guard's entry is not there: the tap refuses its writes as long as it lives."""
    stores.fill({TENANT: 50, OTHER: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    with direct(stores.shared, stores, autocommit=False) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert old.execute("SELECT count(*) FROM events").fetchone() == (100,)
        proxy.cutover(identity)
        wait_log(proxy, "the shut tap of tenant .* stays until pid")
        assert taps(stores.shared, stores) > 0 and not proxy.migration(identity).get("settled_at")
        assert old.execute("SELECT count(*) FROM pg_trigger WHERE tgname = %s", [GUARD]).fetchone() == (1,)
        with direct(stores.shared, stores) as late:        # the tap and the guard both stand
            refused(write, late, TENANT)
            write(late, OTHER)
        write(old, OTHER)
        refused(write, old, TENANT, states=("40001",))
        old.rollback()
    settled(proxy, identity)
    assert taps(stores.shared, stores) == 0
    with direct(stores.shared, stores) as late:
        refused(write, late, TENANT)


def test_a_prepared_transaction_keeps_the_tap_too(proxy, stores):
    stores.fill({TENANT: 50, OTHER: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    with direct(stores.shared, stores) as conn:
        conn.execute("BEGIN")
        write(conn, OTHER)
        conn.execute("PREPARE TRANSACTION 'parked'")
        proxy.cutover(identity)
        wait_log(proxy, "stays until prepared transaction parked")
        assert taps(stores.shared, stores) > 0
        refused(write, conn, TENANT)
        conn.execute("COMMIT PREPARED 'parked'")
    settled(proxy, identity)
    assert taps(stores.shared, stores) == 0


def test_a_transaction_from_before_the_switch_is_told_to_try_again(proxy, stores):
    """It has no snapshot, so it does not keep the tap; the guard's entry tells that it was there first."""
    stores.fill({TENANT: 50, OTHER: 50})
    with direct(stores.shared, stores, autocommit=False) as old:
        old.execute("SELECT 1")
        identity = proxy.move(TENANT, "dedicated")
        settled(proxy, identity)
        refused(write, old, TENANT, states=("40001",))


AFTER = [name for name in failpoints() if name in ("guard.before_entry", "guard.after_entry", "guard.before_tap_gone",
                                                   "guard.after_tap_gone")]


@pytest.mark.parametrize("name", AFTER)
def test_killed_at(make_proxy, stores, name):
    """Whichever step of the hand-over is the last one: the old store refuses the tenant, and the next start ends it."""
    stores.fill({TENANT: 100, OTHER: 50})
    proxy = make_proxy().start(failpoint=f"{name}=crash")
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    try:
        proxy.cutover(identity)
    except psycopg.Error:
        pass        # it may die before it has answered
    assert proxy.wait_dead() == -signal.SIGKILL
    with direct(stores.shared, stores) as conn:
        refused(write, conn, TENANT)
        write(conn, OTHER)
    with direct(stores.dedicated, stores) as conn:
        write(conn, TENANT)
        refused(write, conn, OTHER)
    proxy.start()
    settled(proxy, identity)
    assert taps(stores.shared, stores) == 0
    with direct(stores.shared, stores) as conn:
        refused(write, conn, TENANT)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        append(conn, OTHER)
    assert stores.counts(TENANT) == (100, 102) and stores.counts(OTHER) == (52, 0)


def answers(proxy):
    """The control database is connected again."""
    try:
        return proxy.admin("SHOW MIGRATIONS ALL")
    except psycopg.Error:
        return None


@pytest.mark.parametrize("name", [name for name in AFTER if "before" in name])
def test_the_control_database_is_lost_at(make_proxy, stores, name):
    """While the guard is handed over, every connection to the control database is cut: the old store goes on refusing the
    tenant, and the hand-over ends by itself."""
    stores.fill({TENANT: 100, OTHER: 50})
    proxy = make_proxy().start(failpoint=f"{name}=sleep:700")
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    for _ in range(4):
        stores.shared.execute(stores.dbname, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE"
                                             " 'pgshunt%' AND pid <> pg_backend_pid()")
        with direct(stores.shared, stores) as conn:
            refused(write, conn, TENANT, states=("0A000", "40001"))
    wait_until("it is back", lambda: answers(proxy), 20)
    settled(proxy, identity, 30)
    assert taps(stores.shared, stores) == 0
    with direct(stores.shared, stores) as conn:
        refused(write, conn, TENANT)
        write(conn, OTHER)
    with direct(stores.dedicated, stores) as conn:
        refused(write, conn, OTHER)
    assert stores.counts(TENANT) == (100, 100) and stores.counts(OTHER) == (51, 0)


# --- ways back ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fails_at", ["cutover.after_catch_up", "cutover.before_switch"])
def test_a_cutover_that_is_taken_back_shuts_the_target_again(make_proxy, stores, fails_at):
    """The target had let the tenant in already."""
    stores.fill({TENANT: 100, OTHER: 50})
    proxy = make_proxy().start(failpoint=f"{fails_at}=error")
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    with pytest.raises(psycopg.Error):
        proxy.cutover(identity)
    proxy.wait_state(identity, "dual_write")
    entry = f"SELECT lives_here FROM pgshunt.tenancy WHERE tenant = '{TENANT}'"
    wait_until("the target's entry is taken out again", lambda: stores.dedicated.value(stores.dbname, entry) is False, 20)
    with direct(stores.dedicated, stores) as conn:
        refused(write, conn, TENANT, states=("0A000", "40001"))
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    proxy.stop()
    proxy.start()
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    settled(proxy, identity)
    assert stores.counts(TENANT) == (101, 101)


def test_killed_when_the_target_has_let_it_in(make_proxy, stores):
    stores.fill({TENANT: 100, OTHER: 50})
    proxy = make_proxy().start(failpoint="cutover.after_catch_up=crash")
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    with pytest.raises(psycopg.Error):
        proxy.cutover(identity)
    assert proxy.wait_dead() == -signal.SIGKILL
    proxy.start()
    proxy.wait_state(identity, "dual_write")
    entry = f"SELECT lives_here FROM pgshunt.tenancy WHERE tenant = '{TENANT}'"
    wait_until("the target's entry is taken out again", lambda: stores.dedicated.value(stores.dbname, entry) is False, 20)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    assert stores.counts(TENANT) == (101, 100) or stores.counts(TENANT) == (101, 101)


def test_an_abort_leaves_the_target_closed(proxy, stores):
    stores.fill({TENANT: 50, OTHER: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
    proxy.wait_state(identity, "rolled_back")
    with direct(stores.shared, stores) as conn:
        for tenant in (TENANT, OTHER, NOBODY, None):
            write(conn, tenant)
    with direct(stores.dedicated, stores) as conn:
        refused(write, conn, TENANT)
    identity = proxy.move(TENANT, "dedicated")
    settled(proxy, identity)
    assert stores.counts(TENANT) == (51, 51)


def come_home(proxy, stores):
    """TENANT's old rows are deleted where it comes back to; the id of the migration, ready to be cut over."""
    with psycopg.connect(stores.conninfos()["shared"]) as conn:
        conn.execute("SET pgshunt.copier = on")
        conn.execute(f"DELETE FROM events WHERE tenant_id = '{TENANT}'")
    identity = proxy.start_migration(TENANT, "shared")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    return identity


def test_a_tenant_comes_home(proxy, stores, guarded):
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    identity = come_home(proxy, stores)
    appender = Appender(proxy, stores, TENANT)
    appender.start()
    appender.wait_appended(5)
    with direct(stores.shared, stores) as conn:
        refused(write, conn, TENANT)       # not before it lives there
    proxy.cutover(identity)
    appender.wait_appended(20)
    appender.stop()
    assert not appender.errors
    appender.check(stores.shared)
    settled(proxy, identity)
    with direct(stores.shared, stores) as conn:
        write(conn, TENANT)
        write(conn, OTHER)
    with direct(stores.dedicated, stores) as conn:
        refused(write, conn, TENANT)
    assert taps(stores.dedicated, stores) == 0


@pytest.mark.parametrize("name", [name for name in failpoints() if name in (
    "cutover.after_catch_up", "cutover.before_switch", "cutover.after_switch", "guard.before_let_in", "guard.after_let_in")])
def test_killed_as_it_comes_home(make_proxy, stores, name):
    """Wherever it lives after that, that store takes its writes, and the other one does not. With control tables of its own
    the default store is told after the switch, by whoever starts next."""
    stores.fill({TENANT: 100, OTHER: 50})
    apart = {"control": {"conninfo": stores.conninfos()["shared"]}} if name.startswith("guard.") else {}
    proxy = make_proxy(apart).start()
    settled(proxy, proxy.move(TENANT, "dedicated"))
    proxy.stop()
    proxy.start(failpoint=f"{name}=crash")
    identity = come_home(proxy, stores)
    with pytest.raises(psycopg.Error):
        proxy.cutover(identity)
    assert proxy.wait_dead() == -signal.SIGKILL
    switched = name in ("cutover.after_switch", "guard.before_let_in", "guard.after_let_in")
    if not switched:
        with direct(stores.shared, stores) as conn:
            refused(write, conn, TENANT)
    proxy.start()
    with connect(proxy, stores) as conn:
        if name == "guard.before_let_in":
            wait_until("it is let in", lambda: attempt(append, conn, TENANT), 10)
        else:
            append(conn, TENANT)
        if not switched:
            assert place(conn, TENANT)[0] == stores.dedicated.port
            proxy.wait_cutover_ready(identity)
            proxy.cutover(identity)
            append(conn, TENANT)
        assert place(conn, TENANT) == (stores.shared.port, 101 + (not switched))
    settled(proxy, identity)
    with direct(stores.dedicated, stores) as conn:
        refused(write, conn, TENANT)


def attempt(call, *arguments):
    try:
        call(*arguments)
        return True
    except psycopg.errors.FeatureNotSupported as problem:
        assert "tenant_lives_elsewhere" in str(problem)
        return False


def test_a_route_that_was_changed_by_hand_needs_a_second_word(proxy, stores, guarded):
    """The old store has none of the tenant's newer events: it takes new ones only when it has been told, too."""
    stores.shared.execute(stores.dbname, f"UPDATE pgshunt.tenant_routing SET store_id = 'shared' WHERE tenant_id = '{TENANT}'")
    with connect(proxy, stores) as conn:
        wait_until("the route is obeyed", lambda: place(conn, TENANT)[0] == stores.shared.port, 10)
        refused(write, conn, TENANT)
        stores.shared.execute(stores.dbname, f"UPDATE pgshunt.tenancy SET lives_here = true WHERE tenant = '{TENANT}'")
        append(conn, TENANT)
    assert stores.counts(TENANT) == (201, 200)


# --- putting it on -------------------------------------------------------------------------------------------------------

def test_without_a_guard_the_shut_tap_stays(proxy, stores):
    stores.fill({TENANT: 50, OTHER: 50})
    identity = proxy.move(TENANT, "dedicated", "guard = off")
    settled(proxy, identity)
    assert (guards(stores.shared, stores), guards(stores.dedicated, stores)) == (0, 0)
    assert taps(stores.shared, stores) > 0
    with direct(stores.shared, stores) as conn:
        refused(write, conn, TENANT)
    with direct(stores.dedicated, stores) as conn:
        write(conn, OTHER)


def test_a_guard_that_comes_later_knows_who_has_moved(proxy, stores):
    """Tenants that were moved without one, and before there was one, are refused and let in all the same."""
    stores.fill({TENANT: 50, OTHER: 50, THIRD: 50})
    settled(proxy, proxy.move(TENANT, "dedicated", "guard = off"))
    for cluster in (stores.shared, stores.dedicated):        # as an earlier release has left it
        cluster.execute(stores.dbname, "DROP TABLE pgshunt.tenancy CASCADE")
    stores.shared.execute(stores.dbname, "SELECT 1")
    proxy.admin(f"ABORT MIGRATION '{home_again(proxy, stores)}'")
    assert (guards(stores.shared, stores), guards(stores.dedicated, stores)) == (1, 1)
    with direct(stores.shared, stores) as conn:
        refused(write, conn, TENANT)
        write(conn, OTHER)
    with direct(stores.dedicated, stores) as conn:
        write(conn, TENANT)
        refused(write, conn, OTHER)


def home_again(proxy, stores):
    """Puts guards on both stores: a migration that is begun does."""
    stores.shared.execute(stores.dbname, f"ALTER TABLE events DISABLE TRIGGER USER; DELETE FROM events WHERE tenant_id ="
                                         f" '{TENANT}'")
    identity = proxy.start_migration(TENANT, "shared")
    proxy.wait_state(identity, "dual_write")
    return identity


def test_a_long_writer_is_named_and_waited_for(proxy, stores):
    """Nobody queues behind the trigger, and the target's guard is waited for as the tap is."""
    stores.fill({TENANT: 50, OTHER: 50})
    with direct(stores.dedicated, stores, autocommit=False) as long:
        write(long, THIRD)
        identity = proxy.start_migration(TENANT, "dedicated")
        wait_log(proxy, r"events.* waits for pid \d+ \(user app")
        with direct(stores.dedicated, stores) as other:
            other.execute("SET statement_timeout = '3s'")
            write(other, THIRD)
        assert proxy.state(identity) == "pending"
        long.rollback()
    proxy.wait_state(identity, "dual_write")


def test_partitions_are_guarded(make_proxy, stores):
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, f"""
            ALTER TABLE events RENAME TO plain;
            CREATE TABLE events (LIKE plain INCLUDING DEFAULTS, PRIMARY KEY (event_id)) PARTITION BY HASH (event_id);
            CREATE INDEX ON events (tenant_id, global_position);
            CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
            CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
            ALTER TABLE events OWNER TO {eventstore.OWNER}; ALTER TABLE events_0 OWNER TO {eventstore.OWNER};
            ALTER TABLE events_1 OWNER TO {eventstore.OWNER};
            GRANT SELECT, INSERT, UPDATE, DELETE ON events, events_0, events_1 TO app;""")
    stores.fill({TENANT: 50, OTHER: 50})
    proxy = make_proxy().start()
    settled(proxy, proxy.move(TENANT, "dedicated"))
    assert guards(stores.shared, stores) == 3 and taps(stores.shared, stores) == 0
    with direct(stores.shared, stores) as conn:
        said = {table: set() for table in ("events", "events_0", "events_1")}
        for table, states in said.items():
            for _ in range(20):
                with pytest.raises(psycopg.Error) as refusal:
                    conn.execute(INSERT.replace("INTO events", f"INTO {table}"),
                                 (uuid.uuid4(), uuid.uuid4(), uuid.UUID(TENANT), "x", 1, "{}"))
                states.add(refusal.value.sqlstate)
        wrong_partition = "23514"
        assert said == {"events": {"0A000"}, "events_0": {"0A000", wrong_partition}, "events_1": {"0A000", wrong_partition}}
        write(conn, OTHER)
    assert stores.counts(TENANT) == (50, 50)


def test_a_dump_of_a_store_can_be_restored(proxy, stores, guarded):
    """Trigger, function and table go along; the copy guards like the original."""
    copy = stores.dbname + "_copy"
    server = ["-h", str(stores.dedicated.socket_dir), "-p", str(stores.dedicated.port), "-U", SUPERUSER]
    stores.dedicated.execute("postgres", f"CREATE DATABASE {copy} TEMPLATE template0")
    try:
        dump = subprocess.run(["pg_dump", *server, "-d", stores.dbname], capture_output=True, text=True,
                              check=True, timeout=60).stdout
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *server, "-d", copy], input=dump,
                       text=True, check=True, capture_output=True, timeout=60)
        with psycopg.connect(stores.dedicated.conninfo(copy, APP, APP_PASSWORD), autocommit=True) as conn:
            write(conn, TENANT)
            refused(write, conn, OTHER)
        assert stores.dedicated.value(copy, GUARDS) == 1
    finally:
        eventstore.drop_database(stores.dedicated, copy)
