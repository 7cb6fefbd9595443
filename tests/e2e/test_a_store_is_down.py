"""A store or the control database that is away, at start or later: clear errors, and everything works again when it is
back; what does not need it never notices."""
import time

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from events import append, place
from eventstore import APP, APP_PASSWORD
from pgcluster import free_port, wait_until


def login_answer(proxy, stores):
    """ReadyForQuery, or the fields of the error."""
    with wire.RawClient(proxy.port) as client:
        last = client.login(APP, APP_PASSWORD, stores.dbname)[-1]
        return "ready" if last.kind == "Z" else last.fields()["C"]


def wait_serving(proxy, stores):
    wait_until("logins work again", lambda: login_answer(proxy, stores) == "ready", 20, 0.2)


def test_the_target_is_down_at_start(make_proxy, stores):
    stores.dedicated.stop()
    proxy = make_proxy().start()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    stores.dedicated.start()
    proxy.move(TENANT, "dedicated")


def test_the_default_store_is_down_at_start(make_proxy, stores):
    """The control database is there too: 57P03 until it has been read, and no end."""
    stores.shared.stop()
    proxy = make_proxy()
    proxy.start(ready=False)
    wait_until("it listens", lambda: port_open(proxy), 10)
    for _ in range(3):
        assert login_answer(proxy, stores) == "57P03"
        time.sleep(0.3)
    assert proxy.running()
    stores.shared.start()
    proxy.wait_ready()
    wait_serving(proxy, stores)


def port_open(proxy):
    try:
        wire.RawClient(proxy.port).close()
        return True
    except OSError:
        return False


def test_the_control_database_is_somewhere_else_and_away(make_proxy, stores):
    nobody_there = f"host=127.0.0.1 port={free_port()} dbname=control user=pgshunt connect_timeout=2"
    proxy = make_proxy(settings={"control": {"conninfo": nobody_there}})
    proxy.start(ready=False)
    wait_until("it listens", lambda: port_open(proxy), 10)
    assert login_answer(proxy, stores) == "57P03"
    # The operator can still ask what is wrong.
    assert proxy.admin("SHOW VERSION")
    time.sleep(2)
    assert login_answer(proxy, stores) == "57P03"
    assert proxy.running()


def test_the_default_store_goes_down_and_comes_back(proxy, stores, app):
    append(app, TENANT)
    stores.shared.kill()
    with pytest.raises(psycopg.OperationalError):
        append(app, TENANT)
    assert login_answer(proxy, stores) in ("08001", "57P03")
    assert proxy.running()
    stores.shared.start()
    wait_serving(proxy, stores)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    assert stores.counts(TENANT)[0] == 2


def test_the_store_that_is_down_is_named(proxy, stores, moved):
    with connect(proxy, stores) as conn:
        assert place(conn, OTHER) == (stores.shared.port, 100)
        stores.dedicated.kill()
        with pytest.raises(psycopg.Error) as refusal:
            place(conn, TENANT)
        assert refusal.value.sqlstate == "08001"
        assert "dedicated" in str(refusal.value)
        # The client keeps its connection, and what lives elsewhere goes on.
        assert place(conn, OTHER) == (stores.shared.port, 100)
        stores.dedicated.start()
        assert place(conn, TENANT) == (stores.dedicated.port, 200)


def test_a_moved_tenant_goes_on_without_its_old_store(proxy, stores, moved):
    """Its clients are connected and have worked; the shared store goes away and takes nothing of theirs with it."""
    with connect(proxy, stores, options=f"-c app.tenant_id={TENANT}") as conn:
        append(conn, TENANT)
        stores.shared.kill()
        append(conn, TENANT)
        assert place(conn, TENANT) == (stores.dedicated.port, 202)
        stores.shared.start()


def test_a_frozen_target_is_not_felt(proxy, stores, app):
    """It takes connections and answers nothing: the source's writers do not wait for it."""
    stores.fill({TENANT: 200})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    stores.dedicated.freeze()
    try:
        begun = time.monotonic()
        for _ in range(20):
            append(app, TENANT)
        assert time.monotonic() - begun < 3
        time.sleep(2.5)     # by then whoever only asks is told what is known
        lag = proxy.admin(f"SHOW LAG '{identity}'")[0]
        assert lag["breaker"] is not None
        ready, _ = proxy.check_cutover(identity)
        assert not ready
        assert time.monotonic() - begun < 12
    finally:
        stores.dedicated.thaw()
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    assert stores.counts(TENANT)[1] == 220


def test_the_target_is_restarted_while_mirroring(proxy, stores, app):
    stores.fill({TENANT: 200})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    stores.dedicated.stop("immediate")
    for _ in range(10):
        append(app, TENANT)
    stores.dedicated.start()
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    assert stores.counts(TENANT)[1] == 210


def test_a_terminated_backend_is_only_its_clients_trouble(proxy, stores):
    with connect(proxy, stores, application_name="victim") as victim, connect(proxy, stores) as other:
        victim.execute("SELECT 1")
        stores.shared.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                          " WHERE application_name = 'victim'")
        with pytest.raises(psycopg.OperationalError):
            victim.execute("SELECT 1")
        assert other.execute("SELECT 1").fetchone() == (1,)
