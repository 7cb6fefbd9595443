"""Writers that go past the proxy straight to the source, in every phase and in every awkward way: nothing is lost, and
after the switch they get the tap's error."""
import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import Appender, append
from pgcluster import wait_until
from eventstore import APP, APP_PASSWORD

SLOW_COPY = "max_bulk_copy_rate = 1000, batch_size = 100"
EVENTS = 3000


@pytest.fixture
def source(stores):
    """A connection of the application straight to the source."""
    stores.fill({TENANT: EVENTS, OTHER: 100})
    with psycopg.connect(stores.shared.conninfo(stores.dbname, APP, APP_PASSWORD), autocommit=True) as conn:
        yield conn


def reach(proxy, phase):
    """Starts a migration and returns in `phase`; its id."""
    if phase == "bulk_copy":
        identity = proxy.start_migration(TENANT, "dedicated", SLOW_COPY)
        proxy.wait_state(identity, "bulk_copy")
        # The state begins with putting the tap in, which waits for whoever has written: the story begins behind it.
        wait_until("rows are copied", lambda: int(proxy.migration(identity)["events_copied"]) > 0, 30, 0.02)
    else:
        identity = proxy.start_migration(TENANT, "dedicated")
        proxy.wait_state(identity, "dual_write")
    return identity


def finish(proxy, stores, identity):
    """To the end of the migration; what is in the source must be in the target, exactly."""
    proxy.wait_state(identity, "dual_write")
    # A hidden writer is named, and stands in the way of a cutover without FORCE until it is quiet.
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    source, target = stores.digests(TENANT)
    assert source == target
    return source[0]


PHASES = ["bulk_copy", "dual_write"]


@pytest.mark.parametrize("phase", PHASES)
def test_an_insert(proxy, stores, source, phase):
    identity = reach(proxy, phase)
    for _ in range(20):
        append(source, TENANT)
    assert finish(proxy, stores, identity) == EVENTS + 20


@pytest.mark.parametrize("phase", PHASES)
def test_an_update_and_a_delete(proxy, stores, source, phase):
    identity = reach(proxy, phase)
    # At both ends of the table: already copied, and not yet.
    source.execute("UPDATE events SET payload = '{\"u\": 1}' WHERE tenant_id = %s AND mod(global_position, 50) = 0", [TENANT])
    gone = source.execute("DELETE FROM events WHERE tenant_id = %s AND mod(global_position, 70) = 1", [TENANT]).rowcount
    assert finish(proxy, stores, identity) == EVENTS - gone


@pytest.mark.parametrize("phase", PHASES)
def test_a_sequence_value_reserved_long_before(proxy, stores, source, phase):
    """Its position is far below where the copy has come."""
    early = source.execute("SELECT nextval('events_global_position_seq')").fetchone()[0]
    with connect(proxy, stores) as conn:
        for _ in range(50):
            append(conn, TENANT)
    identity = reach(proxy, phase)
    source.execute("INSERT INTO events (global_position, event_id, aggregate_id, aggregate_type, event_type, tenant_id,"
                   " version, timestamp, payload) VALUES (%s, gen_random_uuid(), gen_random_uuid(), 'O', 'Late', %s, 1,"
                   " now(), '{}')", [early, TENANT])
    assert finish(proxy, stores, identity) == EVENTS + 51


def test_cached_sequence_values(proxy, stores, source):
    """CACHE 50: a connection hands out low positions long after others have used higher ones."""
    stores.shared.execute(stores.dbname, "ALTER SEQUENCE events_global_position_seq CACHE 50")
    append(source, TENANT)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    identity = reach(proxy, "dual_write")
    for _ in range(30):
        append(source, TENANT)
    assert finish(proxy, stores, identity) == EVENTS + 32


@pytest.mark.parametrize("phase", PHASES)
def test_a_repeatable_read_transaction_older_than_the_move(proxy, stores, source, phase):
    """Its snapshot has no tap in it; it writes all the same, and what it writes arrives."""
    source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    source.execute("SELECT count(*) FROM events")
    identity = reach(proxy, phase)
    for _ in range(10):
        append(source, TENANT)
    source.execute("COMMIT")
    assert finish(proxy, stores, identity) == EVENTS + 10


@pytest.mark.parametrize("phase", PHASES)
def test_an_uncommitted_write_that_commits_late(proxy, stores, source, phase):
    identity = reach(proxy, phase)
    source.execute("BEGIN")
    append(source, TENANT)
    with connect(proxy, stores) as conn:
        for _ in range(20):
            append(conn, TENANT)
    if phase == "bulk_copy":
        proxy.wait_state(identity, "dual_write")
    source.execute("COMMIT")
    assert finish(proxy, stores, identity) == EVENTS + 21


@pytest.mark.parametrize("phase", PHASES)
def test_a_row_deleted_and_written_again_under_the_same_version(proxy, stores, source, phase):
    """Under a new event_id but the same stream and version: the old row must be gone before the new one comes."""
    identity = reach(proxy, phase)
    for where in ("min", "max"):
        stream, version = source.execute(
            "SELECT aggregate_id, version FROM events WHERE tenant_id = %s AND global_position ="
            f" (SELECT {where}(global_position) FROM events WHERE tenant_id = %s)", [TENANT, TENANT]).fetchone()
        for _ in range(3):
            source.execute("DELETE FROM events WHERE aggregate_id = %s AND version = %s", [stream, version])
            append(source, TENANT, stream, version)
    assert finish(proxy, stores, identity) == EVENTS + 2 - 2


@pytest.mark.parametrize("phase", PHASES)
def test_two_rows_that_swap_unique_values(proxy, stores, source, phase):
    """In any order of one at a time they would collide in the target."""
    identity = reach(proxy, phase)
    (first, a), (second, b) = source.execute("SELECT event_id, version FROM events WHERE tenant_id = %s AND version"
                                             " IN (1, 2) ORDER BY global_position LIMIT 2", [TENANT]).fetchall()
    with source.transaction():
        source.execute("UPDATE events SET version = 1000 WHERE event_id = %s", [first])
        source.execute("UPDATE events SET version = %s WHERE event_id = %s", [a, second])
        source.execute("UPDATE events SET version = %s WHERE event_id = %s", [b, first])
    assert finish(proxy, stores, identity) == EVENTS


@pytest.mark.parametrize("phase", PHASES)
def test_a_key_that_changes(proxy, stores, source, phase):
    identity = reach(proxy, phase)
    source.execute("UPDATE events SET event_id = gen_random_uuid() WHERE tenant_id = %s AND version = 4", [TENANT])
    assert finish(proxy, stores, identity) == EVENTS


@pytest.mark.parametrize("phase", PHASES)
def test_rows_that_change_their_tenant(proxy, stores, source, phase):
    """Given away, and taken over: the row follows its tenant."""
    identity = reach(proxy, phase)
    source.execute("UPDATE events SET tenant_id = %s WHERE tenant_id = %s AND version = 5", [OTHER, TENANT])
    source.execute("UPDATE events SET tenant_id = %s WHERE tenant_id = %s AND version = 1 AND actor_id = 'importer'"
                   " AND aggregate_type = 'Order'", [TENANT, OTHER])
    finish(proxy, stores, identity)
    assert stores.counts(OTHER)[1] == 0


def test_a_hidden_writer_is_named(proxy, stores, source):
    identity = reach(proxy, "dual_write")
    append(source, TENANT)
    wait_until("CHECK CUTOVER names it",
               lambda: str(source.info.backend_pid) in str(proxy.admin(f"CHECK CUTOVER '{identity}'")), 10, 0.1)
    finish(proxy, stores, identity)


def test_after_the_switch_it_gets_an_error(proxy, stores, source):
    identity = reach(proxy, "dual_write")
    finish(proxy, stores, identity)
    for statement in ("UPDATE events SET actor_id = 'x' WHERE tenant_id = %s", "DELETE FROM events WHERE tenant_id = %s"):
        with pytest.raises(psycopg.Error) as refusal:
            source.execute(statement, [TENANT])
        assert refusal.value.sqlstate in ("0A000", "40001")
    with pytest.raises(psycopg.Error) as refusal:
        append(source, TENANT)
    assert refusal.value.sqlstate in ("0A000", "40001")
    assert stores.counts(TENANT) == (EVENTS, EVENTS)
    append(source, OTHER)              # others may go on there


def test_a_transaction_older_than_the_switch_gets_40001(proxy, stores, source):
    identity = reach(proxy, "dual_write")
    proxy.wait_cutover_ready(identity)
    source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    source.execute("SELECT count(*) FROM events")
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    with pytest.raises(psycopg.errors.SerializationFailure):
        append(source, TENANT)
    source.execute("ROLLBACK")
    assert stores.counts(TENANT)[0] == EVENTS


def test_writers_past_the_proxy_all_the_time(proxy, stores, source):
    """They stop only for the cutover's own check; whatever they were told is true."""
    class PastTheProxy:
        host, port = stores.shared.host, stores.shared.port
    identity = proxy.start_migration(TENANT, "dedicated", SLOW_COPY)
    direct = Appender(PastTheProxy, stores, TENANT)
    through = Appender(proxy, stores, TENANT)
    direct.start()
    through.start()
    proxy.wait_state(identity, "dual_write")
    direct.wait_appended(50)
    direct.stop()
    assert not direct.errors, direct.errors
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    through.wait_appended(20)
    through.stop()
    assert not through.errors, through.errors
    direct.check(stores.dedicated)
    through.check(stores.dedicated)


# --- servers that are killed ------------------------------------------------------------------------------------------

def test_a_writer_with_synchronous_commit_off_and_a_source_killed(proxy, stores, source):
    """What the source has forgotten, the target must not know: both hold the same afterwards, whatever that is."""
    identity = reach(proxy, "dual_write")
    source.execute("SET synchronous_commit = off")
    for _ in range(3):
        for _ in range(100):
            append(source, TENANT)
        stores.shared.kill()
        stores.shared.start()
        source = psycopg.connect(stores.shared.conninfo(stores.dbname, APP, APP_PASSWORD), autocommit=True)
        source.execute("SET synchronous_commit = off")
    source.close()
    proxy.wait_state(identity, "dual_write")
    finish(proxy, stores, identity)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("victim", ["shared", "dedicated"])
def test_a_store_killed(proxy, stores, source, phase, victim):
    """The migration waits for it and goes on; with the target away no client notices anything."""
    identity = reach(proxy, phase)
    appender = Appender(proxy, stores, TENANT, reconnect=victim == "shared")
    appender.start()
    appender.wait_appended(10)
    cluster = getattr(stores, victim)
    cluster.kill()
    if victim == "dedicated":
        appender.wait_appended(50)
    cluster.start()
    appender.wait_appended(20)
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    proxy.wait_state(identity, "migrated")
    appender.wait_appended(10)
    appender.stop()
    assert not appender.errors, appender.errors
    appender.check(stores.dedicated)
    imported = "tenant_id = %s AND actor_id = 'importer'"
    assert eventstore.digest(stores.dedicated, stores.dbname, imported, [TENANT]) \
        == eventstore.digest(stores.shared, stores.dbname, imported, [TENANT])
