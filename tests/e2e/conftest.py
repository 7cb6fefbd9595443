"""What the stories stand on: two clusters per test process, a database of its own per test, a pgshunt in front.

    stores   two stores with an empty event table: stores.shared, stores.dedicated (clusters), stores.dbname
    proxy    a running pgshunt in front of them; it must end well, and no sanitizer may have complained
    make_proxy(...)  the same with other settings, not yet started

With PGSHUNT_PROGRAM=direct the proxy is the server itself: what a story expects of PostgreSQL can be checked that way.

A test may stop, freeze or kill the clusters: the next test finds them running again.
"""
import itertools
import os
import sys
import zlib
from pathlib import Path

import psycopg
import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "lib"), str(TOP / "demo"), str(Path(__file__).resolve().parent)]

import eventstore  # noqa: E402
from pgcluster import Cluster, Workspace  # noqa: E402
from pgshunt import Direct, Pgshunt  # noqa: E402

TEMPLATE = "template_store"

# Two tenants with events, one of which moves in most stories, and one that nobody has heard of.
TENANT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
THIRD = "33333333-3333-4333-8333-333333333333"
NOBODY = "99999999-9999-4999-8999-999999999999"


@pytest.fixture(scope="session")
def workspace():
    with Workspace("pgshunt-e2e-") as owned:
        yield owned


@pytest.fixture(scope="session")
def clusters(workspace):
    """(shared, dedicated): started once per test process, with a database to copy from."""
    made = []
    for name in ("shared", "dedicated"):
        cluster = Cluster(workspace, name, settings={"wal_level": "logical",
                                                     "shared_preload_libraries": "pg_stat_statements"})
        cluster.create()
        cluster.start()
        eventstore.create_roles(cluster)
        eventstore.create_database(cluster, TEMPLATE)
        made.append(cluster)
    return made


class Stores:
    """The two stores of one test."""

    def __init__(self, shared, dedicated, dbname):
        self.shared, self.dedicated, self.dbname = shared, dedicated, dbname

    def fill(self, events_by_tenant, stream_length=10):
        eventstore.fill(self.shared, self.dbname, events_by_tenant, stream_length)

    def conninfos(self):
        return {"shared": eventstore.store_conninfo(self.shared, self.dbname),
                "dedicated": eventstore.store_conninfo(self.dedicated, self.dbname)}

    def counts(self, tenant):
        """(rows in shared, rows in dedicated)."""
        return (eventstore.count(self.shared, self.dbname, tenant),
                eventstore.count(self.dedicated, self.dbname, tenant))

    def digests(self, tenant):
        return (eventstore.tenant_digest(self.shared, self.dbname, tenant),
                eventstore.tenant_digest(self.dedicated, self.dbname, tenant))


numbers = itertools.count(1)


@pytest.fixture
def stores(clusters):
    shared, dedicated = clusters
    dbname = f"store_{os.getpid()}_{next(numbers)}"
    for cluster in clusters:
        if not cluster.running():
            cluster.start()
        eventstore.create_database(cluster, dbname, TEMPLATE)
    yield Stores(shared, dedicated, dbname)
    for cluster in clusters:
        if not cluster.running():
            cluster.start()
        # A prepared transaction that a failed test left behind would keep the database.
        for (gid,) in cluster.rows(dbname, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"):
            cluster.execute(dbname, f"ROLLBACK PREPARED '{gid}'")
        eventstore.drop_database(cluster, dbname)


@pytest.fixture
def make_proxy(workspace, stores):
    """A pgshunt with settings of one's own; whatever was made is ended, and must have ended well."""
    made = []

    def make(settings=None, users=None, conninfos=None, **more):
        if os.environ.get("PGSHUNT_PROGRAM") == "direct":
            return Direct(stores.shared)
        made.append(Pgshunt(workspace, conninfos or stores.conninfos(),
                            {eventstore.APP: eventstore.APP_PASSWORD} if users is None else users,
                            name=f"pgshunt-{os.getpid()}-{next(numbers)}", settings=settings, **more))
        return made[-1]

    yield make
    problems = []
    for proxy in made:
        try:
            proxy.stop()
            proxy.assert_clean_log()
        except AssertionError as problem:
            problems.append(str(problem))
        finally:
            proxy.end()
    assert not problems, "\n".join(problems)


@pytest.fixture
def proxy(make_proxy):
    return make_proxy().start()


@pytest.fixture
def app(proxy, stores):
    """An application's connection through the proxy, in autocommit."""
    with connect(proxy, stores) as conn:
        yield conn


@pytest.fixture
def moved(proxy, stores):
    """TENANT lives in dedicated, OTHER has stayed; the id of the migration."""
    stores.fill({TENANT: 200, OTHER: 100})
    return proxy.move(TENANT, "dedicated")


def pytest_collection_modifyitems(config, items):
    share = os.environ.get("PGSHUNT_SHARE")    # "1/2": every second story, the others with "0/2"
    if share:
        which, of = (int(part) for part in share.split("/"))
        others = [item for item in items if zlib.crc32(item.nodeid.encode()) % of != which]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if zlib.crc32(item.nodeid.encode()) % of == which]
    if os.environ.get("PGSHUNT_TLS") == "1":
        for item in items:
            if item.get_closest_marker("plain"):
                item.add_marker(pytest.mark.skip(reason="there is TLS"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A story that fails shows the end of its pgshunt's log."""
    report = (yield).get_result()
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Pgshunt):
                report.sections.append((f"log of {value.name}", value.log_tail(60)))


def connect(proxy, stores, user=eventstore.APP, password=eventstore.APP_PASSWORD, dbname=None, **more):
    """psycopg, as an application would use it; autocommit unless told otherwise."""
    more.setdefault("autocommit", True)
    return psycopg.connect(host=proxy.host, port=proxy.port, dbname=dbname or stores.dbname, user=user,
                           password=password, connect_timeout=20, **more)
