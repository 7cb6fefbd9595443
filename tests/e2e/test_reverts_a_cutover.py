"""A cutover that cannot be had in time is taken back by itself: writes go on at the source, and it says who was in the
way. Nothing is lost, and the next attempt succeeds."""
import threading
import time

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import Appender, append, place
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until
from pgshunt import failpoints


@pytest.fixture
def ready(proxy, stores):
    """The id of a migration that is ready for its cutover."""
    stores.fill({TENANT: 500, OTHER: 100})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    return identity


def refused_cutover(proxy, identity):
    with pytest.raises(psycopg.Error) as refusal:
        proxy.cutover(identity)
    return refusal.value


def everything(error):
    return " ".join(filter(None, (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)))


def assert_back_and_then_done(proxy, stores, identity):
    """Back in dual_write, writes go to the source; and then it works."""
    proxy.wait_state(identity, "dual_write", 10)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT)[0] == stores.shared.port
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    source, target = stores.digests(TENANT)
    assert source == target


def test_a_transaction_past_the_proxy_that_holds_the_tenants_lock(proxy, stores, ready):
    with psycopg.connect(stores.shared.conninfo(stores.dbname, APP, APP_PASSWORD,
                                                application_name="nightly-job")) as direct:
        append(direct, TENANT)
        error = refused_cutover(proxy, ready)
        assert error.sqlstate in ("57014", "55000")
        said = everything(error) + str(proxy.admin(f"SHOW AUDIT '{ready}'"))
        assert str(direct.info.backend_pid) in said or "nightly-job" in said, said
        direct.commit()
    assert_back_and_then_done(proxy, stores, ready)


def test_a_transaction_through_the_proxy_that_does_not_end(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False) as slow:
        append(slow, TENANT)
        error = refused_cutover(proxy, ready)
        assert error.sqlstate == "57014"
        # It may go on where it is, and commit.
        append(slow, TENANT)
        slow.commit()
    assert_back_and_then_done(proxy, stores, ready)


def test_a_lock_on_its_rows_counts_as_a_writer(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False) as slow:
        slow.execute("SELECT * FROM events WHERE tenant_id = %s FOR UPDATE", [TENANT])
        assert refused_cutover(proxy, ready).sqlstate == "57014"
        slow.rollback()
    assert_back_and_then_done(proxy, stores, ready)


def test_a_transaction_that_only_reads_is_in_nobodys_way(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False) as reader:
        assert place(reader, TENANT) == (stores.shared.port, 500)
        proxy.cutover(ready)
        proxy.wait_state(ready, "migrated")
        assert place(reader, TENANT) == (stores.dedicated.port, 500), "READ COMMITTED goes on at the new store"
        reader.commit()


def test_a_repeatable_read_reader_keeps_reading_where_it_read_first(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert place(reader, TENANT) == (stores.shared.port, 500)
        proxy.cutover(ready)
        proxy.wait_state(ready, "migrated")
        assert place(reader, TENANT) == (stores.shared.port, 500)
        with pytest.raises(psycopg.errors.SerializationFailure):
            append(reader, TENANT)
        reader.rollback()
        append(reader, TENANT)
        reader.commit()
    assert stores.counts(TENANT) == (500, 501)


@pytest.mark.parametrize("way", ["past the proxy", "through the proxy"])
def test_a_prepared_transaction(proxy, stores, ready, way):
    """It keeps the tap's lock though no session has it any more: the cutover is taken back, and says which one it is."""
    conninfo = stores.shared.conninfo(stores.dbname, APP, APP_PASSWORD)
    with connect(proxy, stores) if way == "through the proxy" else psycopg.connect(conninfo, autocommit=True) as writer:
        writer.execute("BEGIN")
        append(writer, TENANT)
        writer.execute("PREPARE TRANSACTION 'undecided'")
        error = refused_cutover(proxy, ready)
        assert "undecided" in everything(error) + str(proxy.admin(f"SHOW AUDIT '{ready}'")), everything(error)
        writer.execute("COMMIT PREPARED 'undecided'")
    assert_back_and_then_done(proxy, stores, ready)


def test_a_target_that_is_gone(proxy, stores, ready):
    stores.dedicated.kill()
    error = refused_cutover(proxy, ready)
    assert error.sqlstate is not None
    with connect(proxy, stores) as conn:
        append(conn, TENANT)           # a target's failure never reaches a client
    stores.dedicated.start()
    assert_back_and_then_done(proxy, stores, ready)


def test_held_writes_go_on_at_the_source(proxy, stores, ready):
    """They are held while the cutover tries, and then answered as if nothing had been."""
    with connect(proxy, stores, autocommit=False) as slow:
        append(slow, TENANT)
        appender = Appender(proxy, stores, TENANT)
        appender.start()
        appender.wait_appended(5)
        refused_cutover(proxy, ready)
        appender.wait_appended(5)
        slow.commit()
    appender.stop()
    assert not appender.errors, appender.errors
    appender.check(stores.shared)


def test_other_tenants_are_not_held(proxy, stores, ready):
    with connect(proxy, stores, autocommit=False) as slow:
        append(slow, TENANT)
        other = Appender(proxy, stores, OTHER)
        other.start()
        other.wait_appended(5)
        other.slowest_ms = 0.0
        refused_cutover(proxy, ready)
        other.wait_appended(5)
        other.stop()
        slow.rollback()
    assert not other.errors
    assert other.slowest_ms < 300, "half a second of a cutover that tried was felt by another tenant"


def test_a_held_statement_can_be_cancelled(make_proxy, stores):
    """It is answered 57014 by the proxy; the connection goes on."""
    proxy = make_proxy(settings={"migration": {"cutover_timeout_ms": 4000, "write_hold_timeout_ms": 10000}}).start()
    stores.fill({TENANT: 100})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    with connect(proxy, stores, autocommit=False) as slow, connect(proxy, stores) as held:
        append(slow, TENANT)
        cutover = threading.Thread(target=lambda: refused_cutover(proxy, identity))
        cutover.start()
        time.sleep(0.5)
        threading.Timer(0.3, held.cancel).start()
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            append(held, TENANT)
        assert time.monotonic() - begun < 3
        cutover.join()
        slow.commit()
        append(held, TENANT)
    assert stores.counts(TENANT)[0] == 102


def test_a_write_held_for_too_long_is_told_so(make_proxy, stores):
    """write_hold_timeout_ms is at least the cutover's timeout + 1 s: only a cutover that hangs lets it pass."""
    slow_switch = next((name for name in failpoints() if "switch" in name), None)
    assert slow_switch, "a failpoint around the switch is needed"
    proxy = make_proxy(settings={"migration": {"write_hold_timeout_ms": 1500}})
    proxy.start(failpoint=f"{slow_switch}=sleep:6000")
    stores.fill({TENANT: 100})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    with connect(proxy, stores) as held:
        def try_cutover():
            try:
                proxy.cutover(identity)
            except psycopg.Error:
                pass
        cutover = threading.Thread(target=try_cutover)
        cutover.start()
        time.sleep(1)
        with pytest.raises(psycopg.Error) as refusal:
            append(held, TENANT)
        assert refusal.value.sqlstate == "55P03"
        cutover.join()
        append(held, TENANT)


def test_cutover_again_and_again(proxy, stores, ready):
    """Ten attempts that fail leave no trace that the eleventh stumbles over."""
    with connect(proxy, stores, autocommit=False) as slow:
        append(slow, TENANT)
        for _ in range(10):
            refused_cutover(proxy, ready)
            proxy.wait_state(ready, "dual_write", 10)
        slow.commit()
    assert_back_and_then_done(proxy, stores, ready)


@pytest.mark.parametrize("point", ["cutover.after_catch_up", "cutover.before_switch"])
def test_a_target_killed_between_the_final_pass_and_the_switch(make_proxy, stores, point):
    """Before the tap is shut the cutover may turn back, afterwards it goes through: what was acknowledged is there."""
    limits = {"cutover_timeout_ms": 8000, "write_hold_timeout_ms": 20000}
    proxy = make_proxy(settings={"migration": {"position_mode": "preserve", **limits}}).start(failpoint=f"{point}=sleep:1200")
    stores.fill({TENANT: 300})
    appender = Appender(proxy, stores, TENANT, reconnect=True)
    appender.start()
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    cutover = threading.Thread(target=lambda: suppressed(lambda: proxy.cutover(identity)))
    cutover.start()
    time.sleep(0.6)
    stores.dedicated.kill()
    cutover.join(30)
    stores.dedicated.start()
    for _ in range(3):
        if settled(proxy, identity) == "migrated":
            break
        proxy.wait_cutover_ready(identity)
        suppressed(lambda: proxy.cutover(identity))
    assert proxy.state(identity) == "migrated"
    appender.wait_appended(10)
    appender.stop()
    appender.check(stores.dedicated)
    assert eventstore.broken_streams(stores.dedicated, stores.dbname, TENANT) == []


def suppressed(call):
    """What it says is not what this is about."""
    try:
        call()
    except psycopg.Error:
        pass


def settled(proxy, identity):
    """Its state when no cutover is under way."""
    wait_until("the cutover is over", lambda: proxy.state(identity) in ("migrated", "dual_write"), 30, 0.1)
    return proxy.state(identity)
