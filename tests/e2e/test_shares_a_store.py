"""Several tenants in one store: the target's sequence gives the positions (position_mode = assign), nobody's collide, and it
is kept which position has become which."""
import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, THIRD, connect
from events import Appender, append
from pgcluster import wait_until

AUTO = {"migration": {"position_mode": "auto"}}


def positions(cluster, dbname, tenant):
    return {str(event): position for event, position in cluster.rows(
        dbname, f"SELECT event_id, global_position FROM events WHERE tenant_id = '{tenant}'")}


def mappings(stores, identity):
    return {event: (source, target) for source, target, event in stores.shared.rows(
        stores.dbname, "SELECT source_position, target_position, event_id FROM pgshunt.migration_position_mappings"
                       f" WHERE migration_id = '{identity}'")}


def wait_settled(proxy, identity):
    wait_until("what is left to do after the switch is done", lambda: proxy.migration(identity)["settled_at"], 30, 0.1)


def remove(cluster, dbname, tenant):
    """Takes away what a tenant has left in a store, as the operator would: the guard knows the login."""
    with psycopg.connect(eventstore.store_conninfo(cluster, dbname)) as conn:
        conn.execute("SET pgshunt.copier = on")
        conn.execute(f"DELETE FROM events WHERE tenant_id = '{tenant}'")


def check_appended(appender, cluster, dbname):
    """As Appender.check(), but for positions, which the target has given anew: none is lower than it was told."""
    stored = {row[0]: row[1:] for row in cluster.rows(
        dbname, f"SELECT event_id, aggregate_id, version, global_position FROM events WHERE actor_id = '{appender.name}'")}
    assert not appender.errors
    for event_id, (stream, version, position) in appender.acknowledged.items():
        assert stored[event_id][:2] == (stream, version) and stored[event_id][2] >= position
    assert not set(stored) - set(appender.acknowledged) - appender.unknown


@pytest.fixture
def third(stores, clusters):
    """The name of another database in the second cluster: a store of its own."""
    dbname = stores.dbname + "_third"
    eventstore.create_database(clusters[1], dbname, "template_store")
    yield dbname
    eventstore.drop_database(clusters[1], dbname)


def test_two_tenants_from_two_sources_and_one_that_lives_there(make_proxy, stores, third):
    stores.fill({TENANT: 1500, OTHER: 700, THIRD: 300})
    home = {tenant: positions(stores.shared, stores.dbname, tenant) for tenant in (TENANT, OTHER, THIRD)}
    proxy = make_proxy(settings=AUTO, conninfos={**stores.conninfos(),
                                                 "third": eventstore.store_conninfo(stores.dedicated, third)}).start()
    proxy.move(THIRD, "dedicated")
    proxy.move(OTHER, "third")
    assert positions(stores.dedicated, stores.dbname, THIRD) == home[THIRD]  # alone there: kept
    appenders = [Appender(proxy, stores, tenant) for tenant in (TENANT, OTHER, THIRD)]
    for appender in appenders:
        appender.start()
        appender.wait_appended(5)
    both = [proxy.start_migration(tenant, "dedicated", "batch_size = 100, max_bulk_copy_rate = 3000")
            for tenant in (TENANT, OTHER)]
    for identity in both:
        assert proxy.migration(identity)["position_mode"] == "assign"
        proxy.wait_state(identity, "dual_write")
    for identity in both:
        proxy.wait_cutover_ready(identity)
        proxy.cutover(identity)
    for appender in appenders:
        appender.wait_appended(5)
    for appender in appenders:
        appender.stop()
    for tenant, identity, (source, dbname) in zip((TENANT, OTHER), both, ((stores.shared, stores.dbname),
                                                                           (stores.dedicated, third))):
        wait_settled(proxy, identity)
        before, after = positions(source, dbname, tenant), positions(stores.dedicated, stores.dbname, tenant)
        assert mappings(stores, identity) == {event: (position, after[event]) for event, position in before.items()}
        assert all(after[event] > position for event, position in before.items())
        untouched = sorted(home[tenant], key=home[tenant].get)
        assert [after[event] for event in untouched] == sorted(after[event] for event in untouched)
        assert eventstore.broken_streams(stores.dedicated, stores.dbname, tenant) == []
    for appender in appenders:
        check_appended(appender, stores.dedicated, stores.dbname)
    for table in ("positions", "positions_gone", "copy_cursor"):
        left = stores.dedicated.value(stores.dbname, f"SELECT count(*) FROM pgshunt.{table} t WHERE t::text LIKE '%{both[0]}%'")
        assert table == "copy_cursor" or left == 0
    count, = stores.shared.rows(stores.dbname, "SELECT min(source_position), max(source_position), count(*) FROM"
                                f" pgshunt.migration_position_mappings WHERE migration_id = '{both[0]}'")[0][2:]
    assert count >= 1500


def test_comes_home_among_the_others(make_proxy, stores):
    stores.fill({TENANT: 200, OTHER: 100})
    proxy = make_proxy(settings=AUTO).start()
    identity = proxy.move(TENANT, "dedicated")
    assert proxy.migration(identity)["position_mode"] == "preserve"
    with connect(proxy, stores) as app:
        away = [append(app, TENANT)[1] for _ in range(5)]
        stay = [append(app, OTHER)[1] for _ in range(50)]  # the same positions, in another store
        assert set(away) & set(stay)
        wait_settled(proxy, identity)
        remove(stores.shared, stores.dbname, TENANT)
        code, _, told = proxy.admin_psql(f"START MIGRATION TENANT '{TENANT}' TO 'shared'")
        assert code == 0 and "assign: \"shared\" is the default store" in told
        identity, = (str(row["id"]) for row in proxy.admin(f"SHOW MIGRATIONS TENANT '{TENANT}'") if str(row["id"]) != identity)
        proxy.wait_state(identity, "dual_write")
        proxy.wait_cutover_ready(identity)
        proxy.cutover(identity)
        assert append(app, TENANT)[1] > max(stay)
    wait_settled(proxy, identity)
    assert stores.counts(TENANT) == (206, 205)
    assert len(mappings(stores, identity)) == 205


def test_what_cannot_be_kept_apart_is_refused(make_proxy, stores):
    stores.fill({TENANT: 100, OTHER: 100, THIRD: 10})
    proxy = make_proxy(settings=AUTO).start()
    first = proxy.start_migration(TENANT, "dedicated")
    assert proxy.migration(first)["position_mode"] == "preserve"
    # Where somebody is on his way with his positions, nobody else can be given any: his next ones are not known.
    for options, state in (("", "55000"), (" WITH (position_mode = assign)", "55000"), (" WITH (position_mode = preserve)", "0A000")):
        with pytest.raises(psycopg.Error) as refused:
            proxy.admin(f"START MIGRATION TENANT '{OTHER}' TO 'dedicated'{options}")
        assert refused.value.sqlstate == state and TENANT in str(refused.value), options
        assert "position_mode = assign" in refused.value.diag.message_hint
    proxy.wait_state(first, "dual_write")
    proxy.admin(f"ABORT MIGRATION '{first}'")
    # What it has left there came from this source, with its positions: theirs can be kept beside them.
    second = proxy.start_migration(OTHER, "dedicated")
    assert proxy.migration(second)["position_mode"] == "preserve"
    proxy.wait_state(second, "dual_write")
    proxy.wait_cutover_ready(second)
    proxy.cutover(second)
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin(f"START MIGRATION TENANT '{THIRD}' TO 'dedicated' WITH (position_mode = preserve)")
    assert refused.value.sqlstate == "0A000" and OTHER in str(refused.value)
    assert proxy.migration(proxy.move(THIRD, "dedicated"))["position_mode"] == "assign"
    remove(stores.dedicated, stores.dbname, TENANT)
    stores.dedicated.execute(stores.dbname, "ALTER TABLE events ALTER COLUMN global_position DROP DEFAULT;"
                                            " ALTER SEQUENCE events_global_position_seq OWNED BY NONE")
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin(f"START MIGRATION TENANT '{TENANT}' TO 'dedicated'")
    assert refused.value.sqlstate == "0A000" and "no sequence" in str(refused.value)
    stores.dedicated.execute(stores.dbname, "ALTER TABLE events ALTER COLUMN global_position SET DEFAULT"
                                            " nextval('events_global_position_seq');"
                                            " ALTER SEQUENCE events_global_position_seq CYCLE")
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin(f"START MIGRATION TENANT '{TENANT}' TO 'dedicated'")
    assert refused.value.sqlstate == "0A000" and "begins again" in str(refused.value)


def test_no_mapping_is_kept_where_none_is_wanted(make_proxy, stores):
    stores.fill({TENANT: 100, OTHER: 100})
    proxy = make_proxy(settings=AUTO).start()
    identity = proxy.move(TENANT, "dedicated", "position_mode = assign, position_mapping_enabled = off")
    wait_settled(proxy, identity)
    assert mappings(stores, identity) == {}
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM pgshunt.positions") == 0
    assert stores.counts(TENANT) == (100, 100)
