"""What event stores without a client at hand send: through the preset each statement reaches the store of its tenant, before
and after it has moved; and what says no tenant is refused, and lands nowhere."""
import psycopg
import pytest

import moved
from libraries import LIBRARIES
from stand import OTHER, TENANT, connect


@pytest.fixture(params=LIBRARIES, ids=[library.preset for library in LIBRARIES])
def library(request):
    return request.param


@pytest.fixture
def proxy(library, stores, make_proxy):
    moved.install(stores, library.schema)
    return moved.begin(make_proxy, library.preset, **library.events)


def session(proxy, stores, library, tenant):
    conn = connect(proxy, stores)
    if library.said and tenant:
        conn.execute(library.said, [tenant])
    return conn


def rows(stores, library, tenant):
    return [moved.counts(stores, table, column, tenant) for table, column in library.tables]


def events(stores, library, tenant):
    return moved.counts(stores, *getattr(library, "counted", library.tables[-1]), tenant)


def test_every_statement_has_its_source():
    for library in LIBRARIES:
        for repository, commit, path in library.sources:
            assert repository.count("/") == 1 and len(commit) == 40 and "." in path.rsplit("/", 1)[-1], library.preset


def test_a_tenant_moves(library, proxy, stores):
    for tenant in (TENANT, OTHER):
        with session(proxy, stores, library, tenant) as conn:
            for version in (1, 2, 3):
                library.append(conn, tenant, "order-1", version)
    before = rows(stores, library, TENANT)
    assert events(stores, library, TENANT) == (3, 0) and all(away == 0 and here > 0 for here, away in before), before
    moved.move(proxy, stores, TENANT, library.tables)
    stores.dedicated.execute(stores.dbname, getattr(library, "moved", "SELECT 1"))
    stayed = rows(stores, library, OTHER)
    for tenant, cluster in ((TENANT, stores.dedicated), (OTHER, stores.shared)):
        with session(proxy, stores, library, tenant) as conn:
            assert library.read(conn, tenant, "order-1") == (3, cluster.port)
            library.append(conn, tenant, "order-1", 4)
            library.append(conn, tenant, "order-2", 1)
            assert library.read(conn, tenant, "order-1") == (4, cluster.port)
            assert library.read(conn, tenant, "order-2") == (1, cluster.port)
    after = rows(stores, library, TENANT)
    assert all(here == 0 for here, _ in after) and events(stores, library, TENANT) == (0, 5), after
    assert [away for _, away in rows(stores, library, OTHER)] == [away for _, away in stayed] == [0] * len(stayed)
    assert events(stores, library, OTHER) == (5, 0)


MOVABLE = [library for library in LIBRARIES if len(library.tables) == 1]


@pytest.mark.parametrize("library", MOVABLE, ids=[library.preset for library in MOVABLE], indirect=True)
def test_a_migration(library, stores, make_proxy):
    """START MIGRATION to its end, for those whose events stand in one table."""
    moved.install(stores, library.schema)
    proxy = moved.begin(make_proxy, library.preset, companion_tables="")
    for tenant in (TENANT, OTHER):
        with session(proxy, stores, library, tenant) as conn:
            for version in (1, 2, 3):
                library.append(conn, tenant, "order-1", version)
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    with session(proxy, stores, library, TENANT) as conn:
        library.append(conn, TENANT, "order-1", 4)
        proxy.wait_cutover_ready(migration)
        proxy.cutover(migration)
        library.append(conn, TENANT, "order-1", 5)
        assert library.read(conn, TENANT, "order-1") == (5, stores.dedicated.port)
    assert events(stores, library, TENANT)[1] == 5
    assert events(stores, library, OTHER) == (3, 0)


def test_what_says_no_tenant_is_refused(library, proxy, stores):
    statement, parameters = library.unattributed
    with session(proxy, stores, library, None) as conn:
        moved.move(proxy, stores, TENANT, [])
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            conn.execute(statement, parameters)
    table, _ = getattr(library, "counted", library.tables[-1])
    for cluster in (stores.shared, stores.dedicated):
        assert cluster.value(stores.dbname, f"SELECT count(*) FROM {table}") == 0
