"""The admin socket: an operator's psql and any driver, simple and extended protocol."""
import asyncio
import os
import pwd
import stat
import subprocess
import threading
import time
import uuid

import asyncpg
import psycopg
import pytest

import wire
from conftest import NOBODY, OTHER, TENANT, connect
from events import append
from pgshunt import os_user


def refused(proxy, command):
    """What psycopg raises for an admin command."""
    with pytest.raises(psycopg.Error) as refusal:
        proxy.admin(command)
    assert refusal.value.diag.message_primary
    return refusal.value


# --- SHOW -------------------------------------------------------------------------------------------------------------

SHOWS = ["HELP", "VERSION", "CONFIG", "STORES", "TENANTS", "MIGRATIONS", "MIGRATIONS ALL", "MIGRATIONS ACTIVE"]


@pytest.mark.parametrize("what", SHOWS)
def test_show_through_psql(proxy, what):
    code, out, err = proxy.admin_psql(f"SHOW {what}")
    assert code == 0, err
    assert "row" in out


@pytest.mark.parametrize("what", SHOWS)
def test_show_through_a_driver_in_extended_protocol(proxy, what):
    async def ask():
        conn = await asyncpg.connect(host=str(proxy.base), port=proxy.admin_port, database="admin", user=os_user())
        try:
            return await conn.fetch(f"SHOW {what}")
        finally:
            await conn.close()
    assert [dict(row) for row in asyncio.run(ask())] is not None


def test_show_help_names_every_command_of_this_version(proxy):
    said = str(proxy.admin("SHOW HELP"))
    for command in ("START MIGRATION", "CUTOVER", "CHECK CUTOVER", "ABORT", "WATCH", "WAIT", "EXPLAIN ROUTE", "SHUTDOWN",
                    "SHOW AUDIT", "SHOW LAG", "SHOW ROUTE"):
        assert command in said, command


def test_show_version_is_the_programs(proxy):
    _, said = proxy.command("--version")
    assert any(str(value) and str(value) in said for row in proxy.admin("SHOW VERSION") for value in row.values())


def test_show_config_has_values_and_no_password(proxy):
    said = str(proxy.admin("SHOW CONFIG"))
    assert "app.tenant_id" in said
    assert "shunt's secret" not in said and "app's secret" not in said


def test_show_stores_has_no_password(proxy):
    rows = proxy.admin("SHOW STORES")
    assert {row["name"] for row in rows} == {"shared", "dedicated"}
    assert "secret" not in str(rows)


def test_show_route_before_and_after(proxy, stores, moved):
    assert "dedicated" in str(proxy.admin(f"SHOW ROUTE '{TENANT}'"))
    assert "dedicated" in str(proxy.admin(f"show route '{TENANT.upper()}'"))
    assert "shared" in str(proxy.admin(f"SHOW ROUTE '{NOBODY}'"))
    assert TENANT in str(proxy.admin("SHOW TENANTS"))


def test_show_migrations_has_typed_columns(proxy, stores, moved):
    (row,) = proxy.admin("SHOW MIGRATIONS ALL")
    assert list(row)[:11] == ["id", "tenant_id", "source", "target", "state", "progress_percentage", "events_copied",
                              "total_events", "sync_lag_events", "error_message", "created_at"]
    assert str(row["id"]) == moved and row["state"] == "migrated"
    assert (row["source"], row["target"], row["tenant_id"]) == ("shared", "dedicated", TENANT)
    assert int(row["events_copied"]) == int(row["total_events"]) == 200
    assert not isinstance(row["events_copied"], str), "a number is a number"
    assert proxy.admin("SHOW MIGRATIONS ACTIVE") == []
    assert len(proxy.admin(f"SHOW MIGRATIONS TENANT '{TENANT}'")) == 1
    assert proxy.admin(f"SHOW MIGRATIONS TENANT '{OTHER}'") == []


def test_show_migration_tells_what_the_cutover_cost(proxy, stores, moved):
    shown = proxy.migration(moved)
    for name in ("state", "events_copied", "total_events", "progress_percentage", "sync_lag_events", "pause_ms",
                 "held_writes", "longest_hold_ms", "error_message"):
        assert name in shown, name
    assert 0 <= float(shown["pause_ms"]) < 5000


def test_a_unique_prefix_of_an_id_is_enough(proxy, stores, moved):
    for length in (8, 13, 36):
        assert proxy.migration(moved[:length])["state"] == "migrated"


def test_audit_tells_the_story_in_order(proxy, stores, moved):
    rows = proxy.admin(f"SHOW AUDIT '{moved}'")
    states = [row["new_state"] for row in rows if row["new_state"] and row["new_state"] != row["old_state"]]
    # Two entries tell of the switch: one of the cutover, one of the migration.
    assert list(dict.fromkeys(states)) == ["pending", "bulk_copy", "dual_write", "cutover_paused", "migrated"]
    assert any(row.get("operator") == os_user() for row in rows)


def test_lag(proxy, stores):
    stores.fill({TENANT: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    assert proxy.admin(f"SHOW LAG '{identity}'")


# --- what is wrong with a command -------------------------------------------------------------------------------------

@pytest.mark.parametrize("command", ["SELECT 1 + 1 FROM nothing", "SHOW", "SHOW NONSENSE", "START", "START MIGRATION",
                                     "START MIGRATION TENANT 'x'", "CUTOVER", "SHOW MIGRATION", "WAIT MIGRATION 'x'",
                                     "START MIGRATION TENANT 'x' TO 'dedicated' WITH (", "SHOW ROUTE 'unfinished",
                                     "START MIGRATION TENANT 'x' TO 'dedicated' WITH (batch_size)", "'", "\x01", "((((",
                                     "ABORT MIGRATION 'x' REASON", "SHOW " + "x" * 100000])
def test_a_command_that_is_none(proxy, command):
    error = refused(proxy, command)
    assert error.sqlstate == "42601"
    assert proxy.admin("SHOW VERSION")


@pytest.mark.parametrize("command", ["SHOW MIGRATION '{}'", "CUTOVER MIGRATION '{}'", "CHECK CUTOVER '{}'", "SHOW LAG '{}'",
                                     "ABORT MIGRATION '{}'", "WATCH MIGRATION '{}'", "SHOW AUDIT '{}'",
                                     "WAIT MIGRATION '{}' FOR migrated TIMEOUT 1"])
@pytest.mark.parametrize("identity", [str(uuid.UUID(int=0)), "deadbeef", "not a uuid", "", "'' OR 1=1 --"])
def test_a_migration_that_is_not_known(proxy, command, identity):
    assert refused(proxy, command.format(identity)).sqlstate in ("42704", "42601")


def test_a_wrong_option_is_named(proxy, stores):
    stores.fill({TENANT: 10})
    for options, word in (("no_such_option = 1", "no_such_option"), ("batch_size = many", "batch_size"),
                          ("batch_size = 0", "batch_size"), ("batch_size = -5", "batch_size"),
                          ("listen = 'x'", "listen")):
        error = refused(proxy, f"START MIGRATION TENANT '{TENANT}' TO 'dedicated' WITH ({options})")
        assert word in str(error)
    assert proxy.admin("SHOW MIGRATIONS ALL") == []


def test_several_commands_in_one_message(proxy):
    code, out, _ = proxy.admin_psql("SHOW VERSION; SHOW STORES")
    assert code == 0 and "shared" in out


def test_what_drivers_send_by_themselves_is_accepted(proxy):
    with psycopg.connect(host=str(proxy.base), port=proxy.admin_port, dbname="admin", user=os_user()) as conn:
        conn.execute("SET application_name = 'x'")         # inside a BEGIN that psycopg sends
        assert conn.execute("SHOW VERSION").fetchall()
        conn.commit()
        conn.rollback()


def test_a_command_as_a_prepared_statement_with_parameters_of_its_own(proxy):
    with proxy.admin_connect() as conn:
        for _ in range(8):
            assert conn.execute("SHOW STORES", prepare=True).fetchall()


# --- WATCH, WAIT, and ending them -------------------------------------------------------------------------------------

def test_wait_answers_when_the_state_is_reached(proxy, stores):
    stores.fill({TENANT: 500})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.admin(f"WAIT MIGRATION '{identity}' FOR dual_write TIMEOUT 30")
    assert proxy.state(identity) == "dual_write"


def test_wait_says_so_when_the_time_is_over(proxy, stores):
    stores.fill({TENANT: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    begun = time.monotonic()
    refused(proxy, f"WAIT MIGRATION '{identity}' FOR migrated TIMEOUT 1")
    assert 0.9 < time.monotonic() - begun < 5


def test_wait_for_a_state_that_cannot_come_any_more(proxy, stores, moved):
    begun = time.monotonic()
    refused(proxy, f"WAIT MIGRATION '{moved}' FOR dual_write TIMEOUT 20")
    assert time.monotonic() - begun < 5


def test_wait_for_no_state(proxy, stores, moved):
    assert refused(proxy, f"WAIT MIGRATION '{moved}' FOR nirvana").sqlstate in ("42601", "42704", "22023")


def test_watch_tells_each_change_and_ends_with_the_migration(proxy, stores):
    stores.fill({TENANT: 2000})
    identity = proxy.start_migration(TENANT, "dedicated", "max_bulk_copy_rate = 4000, batch_size = 200")
    notices, rows = [], []

    def watch():
        with proxy.admin_connect() as conn:
            conn.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            rows.extend(conn.execute(f"WATCH MIGRATION '{identity}'").fetchall())
    watcher = threading.Thread(target=watch)
    watcher.start()
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    watcher.join(20)
    assert not watcher.is_alive() and len(rows) == 1
    assert "migrated" in str(rows)
    assert any("dual_write" in notice for notice in notices)


def test_a_cancel_request_ends_watch(proxy, stores):
    stores.fill({TENANT: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    with proxy.admin_connect() as conn:
        threading.Timer(0.5, conn.cancel).start()
        begun = time.monotonic()
        try:
            conn.execute(f"WATCH MIGRATION '{identity}'").fetchall()
        except psycopg.errors.QueryCanceled:
            pass
        assert time.monotonic() - begun < 10
        assert conn.execute("SHOW VERSION").fetchall()


def test_a_watcher_that_vanishes_hurts_nobody(proxy, stores):
    stores.fill({TENANT: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    watcher = subprocess.Popen([*proxy.admin_psql_command(), "-c", f"WATCH MIGRATION '{identity}'"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    time.sleep(0.5)
    watcher.kill()
    watcher.wait()
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)


# --- who may ----------------------------------------------------------------------------------------------------------

def test_the_sockets_are_the_owners_alone(proxy):
    """The admin socket, and the one by which a successor takes over."""
    sockets = [path for path in proxy.base.iterdir() if path.is_socket()]
    assert proxy.base / f".s.PGSQL.{proxy.admin_port}" in sockets
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_somebody_else_is_refused(proxy):
    """Even where the socket's mode would let them: the peer's credentials decide."""
    (proxy.base / f".s.PGSQL.{proxy.admin_port}").chmod(0o777)
    for folder in (proxy.base, proxy.workspace.path):
        folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    done = subprocess.run(["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "psql", "-X",
                           "-h", str(proxy.base), "-p", str(proxy.admin_port), "-d", "admin", "-U", os_user(), "-c",
                           "SHOW VERSION"], capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    assert "nobody" in done.stderr or "not allowed" in done.stderr or "denied" in done.stderr, done.stderr


def test_the_admin_database_is_not_served_to_applications(proxy, stores):
    with wire.RawClient(proxy.port) as client:
        assert client.login("app", "app's secret", "admin")[-1].kind == "E"


# --- migrations that may not be ---------------------------------------------------------------------------------------

def test_an_unknown_store(proxy, stores):
    stores.fill({TENANT: 10})
    error = refused(proxy, f"START MIGRATION TENANT '{TENANT}' TO 'nowhere'")
    assert error.sqlstate == "42704" and "nowhere" in str(error)


def test_the_store_it_lives_in(proxy, stores):
    stores.fill({TENANT: 10})
    assert refused(proxy, f"START MIGRATION TENANT '{TENANT}' TO 'shared'").sqlstate is not None
    assert proxy.admin("SHOW MIGRATIONS ACTIVE") == []


def test_a_second_migration_of_the_same_tenant(proxy, stores):
    stores.fill({TENANT: 10})
    proxy.start_migration(TENANT, "dedicated")
    error = refused(proxy, f"START MIGRATION TENANT '{TENANT.upper()}' TO 'dedicated'")
    assert error.sqlstate == "23505"


def test_a_tenant_without_rows(proxy, stores):
    stores.fill({TENANT: 10})
    error = refused(proxy, f"START MIGRATION TENANT '{NOBODY}' TO 'dedicated'")
    assert "allow_empty" in str(error.diag.message_hint) + str(error)
    assert proxy.admin("SHOW MIGRATIONS ACTIVE") == []


@pytest.mark.parametrize("tenant", ["not-a-uuid", "", "x" * 300, "11111111-1111-4111-8111-11111111111"])
def test_a_tenant_that_cannot_be_one(proxy, stores, tenant):
    stores.fill({TENANT: 10})
    assert refused(proxy, f"START MIGRATION TENANT '{tenant}' TO 'dedicated'").sqlstate is not None
    assert proxy.admin("SHOW MIGRATIONS ACTIVE") == []


def test_cutover_in_the_wrong_state(proxy, stores):
    stores.fill({TENANT: 3000})
    identity = proxy.start_migration(TENANT, "dedicated", "max_bulk_copy_rate = 1000, batch_size = 100")
    error = refused(proxy, f"CUTOVER MIGRATION '{identity}'")
    assert error.sqlstate == "55000"
    assert "bulk_copy" in str(error) or "pending" in str(error)
    assert error.diag.message_hint, "what to type next"
    assert not proxy.check_cutover(identity)[0]


def test_cutover_twice(proxy, stores, moved):
    assert refused(proxy, f"CUTOVER MIGRATION '{moved}'").sqlstate == "55000"


def test_abort_after_the_end(proxy, stores, moved):
    assert refused(proxy, f"ABORT MIGRATION '{moved}'").sqlstate == "55000"


def test_abort_twice(proxy, stores):
    stores.fill({TENANT: 10})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.admin(f"ABORT MIGRATION '{identity}'")
    proxy.wait_state(identity, "rolled_back")
    assert refused(proxy, f"ABORT MIGRATION '{identity}'").sqlstate == "55000"


# --- a target that will not do ----------------------------------------------------------------------------------------

def why_not(proxy, stores):
    """What START says about the target, at once or as the migration's end."""
    try:
        identity = proxy.start_migration(TENANT, "dedicated")
    except psycopg.Error as refusal:
        return f"{refusal} {refusal.diag.message_detail} {refusal.diag.message_hint}"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        shown = proxy.migration(identity)
        if shown["state"] in ("failed", "rolled_back"):
            return shown["error_message"]
        time.sleep(0.1)
    raise AssertionError(f"accepted: {shown}")


@pytest.mark.parametrize("change, word", [
    ("DROP TABLE events", "events"),
    ("ALTER TABLE events DROP COLUMN actor_id", "actor_id"),
    ("ALTER TABLE events ADD COLUMN surplus int NOT NULL", "surplus"),
    ("ALTER TABLE events ALTER COLUMN version TYPE smallint", "version"),
    ("ALTER TABLE events DROP CONSTRAINT events_event_id_key", "event_id"),
    ("ALTER TABLE events RENAME COLUMN tenant_id TO tenant", "tenant"),
])
def test_a_target_whose_table_is_another(proxy, stores, change, word):
    stores.fill({TENANT: 100})
    stores.dedicated.execute(stores.dbname, change)
    said = why_not(proxy, stores)
    assert word in said, said
    with connect(proxy, stores) as conn:
        append(conn, TENANT)           # nothing of it is felt at the source


def test_a_target_pgshunt_may_not_write(proxy, stores):
    stores.fill({TENANT: 100})
    stores.dedicated.execute(stores.dbname, "ALTER TABLE events OWNER TO postgres")
    assert why_not(proxy, stores)


def test_a_target_that_cannot_be_reached(proxy, stores):
    stores.fill({TENANT: 100})
    stores.dedicated.stop()
    said = why_not(proxy, stores)
    assert "dedicated" in said, said


def test_a_target_the_applications_user_cannot_log_in_to(proxy, stores):
    """The cutover is not ready: the applications would be locked out of their own tenant."""
    stores.fill({TENANT: 100})
    stores.dedicated.execute("postgres", "ALTER ROLE app NOLOGIN")
    try:
        with connect(proxy, stores) as conn:
            identity = proxy.start_migration(TENANT, "dedicated")
            proxy.wait_state(identity, "dual_write")
            append(conn, TENANT)
            time.sleep(1)
            ready, rows = proxy.check_cutover(identity)
            assert not ready and "app" in str(rows)
            with pytest.raises(psycopg.Error):
                proxy.cutover(identity)
            append(conn, TENANT)
            stores.dedicated.execute("postgres", "ALTER ROLE app LOGIN")
            append(conn, TENANT)
            proxy.wait_cutover_ready(identity)
            proxy.cutover(identity)
            append(conn, TENANT)
    finally:
        stores.dedicated.execute("postgres", "ALTER ROLE app LOGIN")


def test_two_names_of_the_same_store(make_proxy, stores):
    """source = target under another name is found out by identity, not by name."""
    twin = {**stores.conninfos(), "twin": stores.conninfos()["shared"]}
    proxy = make_proxy(conninfos=twin)
    stores.fill({TENANT: 10})
    try:
        proxy.start()
    except Exception:                  # refusing to start with such a configuration is as good
        assert "twin" in proxy.log()
        return
    assert refused(proxy, f"START MIGRATION TENANT '{TENANT}' TO 'twin'").sqlstate is not None


# --- the end ----------------------------------------------------------------------------------------------------------

def test_shutdown(proxy, stores):
    proxy.admin_psql("SHUTDOWN")
    assert proxy.wait_dead(15) == 0
