"""The control database stands on a server of its own, and is lost (killed, frozen) in every phase of a migration; and an
operator changes its rows in the middle of a cutover. Who cannot know what holds does not guess: writes of the moving
tenant are held, everybody else's go on, and nothing is lost."""
import threading
import time

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import Appender, append, place
from pgcluster import Cluster, HarnessError, wait_until

LEASE_MS = 1000


@pytest.fixture(scope="module")
def server(workspace):
    """The control database's own."""
    cluster = Cluster(workspace, "control")
    cluster.create()
    cluster.start()
    eventstore.create_roles(cluster)
    yield cluster
    cluster.stop()


@pytest.fixture
def control(server, stores):
    """(the server, settings for a proxy); the database is new."""
    if not server.running():
        server.start()
    eventstore.create_database(server, stores.dbname, table=False)
    yield server, {"control": {"conninfo": eventstore.store_conninfo(server, stores.dbname), "lease_ms": LEASE_MS},
                   "migration": {"cutover_timeout_ms": 5000, "write_hold_timeout_ms": 20000}}
    if not server.running():
        server.start()
    eventstore.drop_database(server, stores.dbname)


def lose(server, way):
    server.freeze() if way == "frozen" else server.kill()


def find(server, way):
    server.thaw() if way == "frozen" else server.start()


def in_background(call):
    def run():
        try:
            call()
        except (psycopg.Error, HarnessError):
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def drive(proxy, identity, timeout_s=60):
    """Whatever an operator would do, until the tenant has moved."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            state = proxy.state(identity)
            if state == "migrated":
                return
            if state == "dual_write" and proxy.check_cutover(identity)[0]:
                proxy.cutover(identity)
        except (psycopg.Error, HarnessError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"not migrated: {proxy.migration(identity)}\n{proxy.log_tail()}")


def appenders_of(proxy, stores):
    made = [Appender(proxy, stores, tenant, reconnect=True) for tenant in (TENANT, OTHER)]
    for appender in made:
        appender.start()
        appender.wait_appended(3)
    return made


def finish(appenders, stores, home):
    for appender in appenders:
        appender.wait_appended(5)
        appender.stop()
        assert not appender.errors, appender.errors
        appender.check(home if appender.tenant == TENANT else stores.shared)
    assert stores.counts(OTHER)[1] == 0


@pytest.mark.parametrize("way", ["killed", "frozen"])
@pytest.mark.parametrize("phase", ["bulk_copy", "dual_write"])
def test_lost_before_the_cutover(make_proxy, stores, control, phase, way):
    server, settings = control
    proxy = make_proxy(settings=settings).start()
    stores.fill({TENANT: 2000, OTHER: 100})
    appenders = appenders_of(proxy, stores)
    slowly = "max_bulk_copy_rate = 500, batch_size = 100" if phase == "bulk_copy" else None
    identity = proxy.start_migration(TENANT, "dedicated", slowly)
    proxy.wait_state(identity, phase)
    lose(server, way)
    appenders[1].wait_appended(20)             # it has nothing to do with the move
    time.sleep(2 * LEASE_MS / 1000)
    appenders[1].wait_appended(20)
    find(server, way)
    drive(proxy, identity)
    finish(appenders, stores, stores.dedicated)


@pytest.mark.parametrize("point, way", [
    ("cutover.after_pause", "killed"), ("cutover.after_close", "frozen"), ("cutover.after_catch_up", "killed"),
    ("cutover.after_shut", "killed"), ("cutover.after_shut", "frozen"), ("cutover.before_switch", "killed"),
    ("cutover.before_switch", "frozen"), ("cutover.after_switch", "killed")])
def test_lost_in_the_pause(make_proxy, stores, control, point, way):
    server, settings = control
    proxy = make_proxy(settings=settings).start(failpoint=f"{point}=sleep:1200")
    stores.fill({TENANT: 300, OTHER: 100})
    appenders = appenders_of(proxy, stores)
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    order = in_background(lambda: proxy.cutover(identity))
    wait_until("the cutover is under way", lambda: proxy.state(identity) != "dual_write", 10, 0.02)
    time.sleep(0.3)
    lose(server, way)
    appenders[1].wait_appended(20)
    time.sleep(2.5)
    find(server, way)
    order.join(40)
    drive(proxy, identity)
    finish(appenders, stores, stores.dedicated)


@pytest.mark.parametrize("point", ["cutover.after_close", "cutover.before_switch"])
@pytest.mark.parametrize("rows", ["route", "migration", "both"])
def test_an_operators_update_in_the_middle_of_the_pause(make_proxy, stores, point, rows):
    """The emergency stop in plain SQL: nothing is switched, and writes go on at the source."""
    proxy = make_proxy(settings={"migration": {"cutover_timeout_ms": 5000, "write_hold_timeout_ms": 20000}})
    proxy.start(failpoint=f"{point}=sleep:1000")
    stores.fill({TENANT: 300, OTHER: 100})
    appenders = appenders_of(proxy, stores)
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    order = in_background(lambda: proxy.cutover(identity))
    wait_until("the cutover is under way", lambda: proxy.state(identity) == "cutover_paused", 10, 0.02)
    time.sleep(0.2)
    with stores.shared.connect(stores.dbname) as conn:
        conn.execute("SET search_path = pgshunt")
        if rows != "migration":
            conn.execute("UPDATE tenant_routing SET migration_state = 'normal', target_store_id = NULL,"
                         " updated_at = NOW() WHERE migration_state != 'normal'")
        if rows != "route":
            conn.execute("UPDATE tenant_migrations SET state = 'failed', error_message = 'Emergency stop - manual"
                         " intervention' WHERE state NOT IN ('migrated', 'failed', 'rolled_back')")
    order.join(40)
    for appender in appenders:
        appender.wait_appended(10)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT)[0] == stores.shared.port
    assert proxy.state(identity) != "migrated"
    finish(appenders, stores, stores.shared)
