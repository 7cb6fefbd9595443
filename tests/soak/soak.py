"""Moves tenants to and fro for as long as one likes while everything that can fail does, at random: processes are killed
and frozen, servers crash, connections are cut. Applications go on all the time, and remember what they were told.

After every move, and at the end: each acknowledged event is in its tenant's home, once and unchanged; nothing else is
there; streams have no gaps; nothing of a resident tenant is elsewhere.

    ./tests/soak/run.sh [--seconds 600] [--seed N]      the seed of a run that failed is printed; faults follow from it
"""
import argparse
import logging
import random
import sys
import threading
import time
import uuid
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

import eventstore  # noqa: E402
from pgcluster import Cluster, HarnessError, Workspace, wait_until  # noqa: E402
from pgshunt import Pgshunt  # noqa: E402

DBNAME = "shop"
MOVERS = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]
RESIDENT = "99999999-9999-4999-8999-999999999999"
STEP_S = 120
INSERT = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version,"
          " timestamp, payload) VALUES (%s, %s, 'Order', 'OrderChanged', %s, %s, %s, now(), %s)")


# --- what an application sees -----------------------------------------------------------------------------------------

class Abandoned(Exception):
    """The stream is given up."""


class Application(threading.Thread):
    """Appends to streams of its own, one transaction an event. Of an event whose answer is lost it asks afterwards."""

    def __init__(self, proxies, tenant, number):
        super().__init__(daemon=True, name=f"{tenant[:4]}-{number}")
        self.proxies, self.tenant = proxies, tenant
        self.random = random.Random(f"{tenant} {number}")
        self.told = {}            # event_id -> (stream, version)
        self.problems, self.errors = [], 0
        self.stopping, self.resting, self.quiet = threading.Event(), threading.Event(), threading.Event()

    def run(self):
        stream, version, doubtful = uuid.uuid4(), 0, None
        while not self.stopping.is_set():
            try:
                with self._connect() as conn:
                    while not self.stopping.is_set():
                        if doubtful is not None:
                            version = self._settle(conn, stream, version, doubtful)
                            doubtful = None
                        if self.resting.is_set():
                            self.quiet.set()
                            time.sleep(0.01)
                            continue
                        if version >= 20:
                            stream, version = uuid.uuid4(), 0
                        doubtful = uuid.uuid4()
                        self._append(conn, stream, version, doubtful)
                        version, doubtful = version + 1, None
                        time.sleep(self.random.random() * 0.01)
            except Abandoned:
                stream, version, doubtful = uuid.uuid4(), 0, None
            except psycopg.Error as problem:
                self.errors += 1
                if not self._may_happen(problem):
                    self.problems.append(f"{problem.sqlstate}: {problem}")
                    return
                time.sleep(0.05)
            except AssertionError as problem:
                self.problems.append(str(problem))
                return

    def _connect(self):
        proxy = self.random.choice(self.proxies)
        return psycopg.connect(host=proxy.host, port=proxy.port, dbname=DBNAME, user=eventstore.APP, autocommit=True,
                               password=eventstore.APP_PASSWORD, connect_timeout=10, application_name=self.name)

    def _append(self, conn, stream, version, event_id):
        with conn.transaction():
            seen = conn.execute("SELECT coalesce(max(version), 0) FROM events WHERE tenant_id = %s AND aggregate_id = %s",
                                (self.tenant, stream)).fetchone()[0]
            assert seen == version, f"{self.name}: stream {stream} is at {seen}, it was told {version}"
            conn.execute(INSERT, (event_id, stream, self.tenant, self.name, version + 1, '{"n": %d}' % version))
        self.told[event_id] = (stream, version + 1)

    def _settle(self, conn, stream, version, event_id):
        """Was it committed? Only asked when nothing of it can be under way any more: the stream is locked by a write."""
        row = conn.execute("SELECT version FROM events WHERE tenant_id = %s AND event_id = %s",
                           (self.tenant, event_id)).fetchone()
        if row is None:
            # It may still come: its connection was lost, and nobody knows whether the server has noticed. A stream that
            # is left behind cannot be wrong.
            self.told[event_id] = None
            raise Abandoned()
        self.told[event_id] = (stream, version + 1)
        return version + 1

    @staticmethod
    def _may_happen(problem):
        """Lost connections, servers that start, statements told to try again, tenants that have just moved."""
        state = problem.sqlstate
        if state is None:
            return isinstance(problem, psycopg.OperationalError)
        return state[:2] in ("08", "57", "40", "53", "55") or "tenant_lives_elsewhere" in str(problem) \
            or "store_unavailable" in str(problem) or "write_paused" in str(problem)

    def rest(self):
        """Returns when it has nothing under way and no doubts."""
        self.quiet.clear()
        self.resting.set()
        deadline = time.monotonic() + STEP_S
        while not self.quiet.is_set() and self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not self.problems, self.problems
        assert self.quiet.is_set(), f"{self.name} does not come to rest"

    def go_on(self):
        self.resting.clear()


# --- what goes wrong --------------------------------------------------------------------------------------------------

class Faults(threading.Thread):
    def __init__(self, world, chooser):
        super().__init__(daemon=True, name="faults")
        self.world, self.chooser = world, chooser
        self.stopping, self.paused, self.idle = threading.Event(), threading.Event(), threading.Event()
        self.count, self.problem = {}, None
        self.paused.set()

    def run(self):
        try:
            while not self.stopping.is_set():
                if self.paused.is_set():
                    self.idle.set()
                    time.sleep(0.02)
                    continue
                self.idle.clear()
                time.sleep(self.chooser.expovariate(1.0))
                if not self.paused.is_set():
                    name = self.chooser.choice(["kill_proxy", "kill_proxy", "freeze_proxy", "cut_connections", "cut_connections",
                                                "freeze_store", "crash_store", "restart_store"])
                    self.count[name] = self.count.get(name, 0) + 1
                    print(f"  {time.strftime('%X')} {name}", flush=True)
                    getattr(self, name)()
        except Exception as problem:  # told to the main thread, which ends the run
            self.problem = problem
            self.idle.set()

    def pause(self):
        self.paused.set()
        self.idle.wait(STEP_S)
        assert self.problem is None, self.problem

    def go_on(self):
        self.idle.clear()
        self.paused.clear()

    def kill_proxy(self):
        proxy = self.chooser.choice(self.world.proxies)
        proxy.kill()
        time.sleep(self.chooser.random() * 0.5)
        proxy.start()

    def freeze_proxy(self):
        proxy = self.chooser.choice(self.world.proxies)
        proxy.freeze()
        time.sleep(self.chooser.random() * 4)
        proxy.thaw()

    def freeze_store(self):
        store = self.chooser.choice(self.world.clusters)
        store.freeze()
        time.sleep(self.chooser.random() * 2)
        store.thaw()

    def crash_store(self):
        store = self.chooser.choice(self.world.clusters)
        store.kill()
        time.sleep(self.chooser.random() * 0.5)
        store.start()

    def restart_store(self):
        store = self.chooser.choice(self.world.clusters)
        store.stop()
        store.start()

    def cut_connections(self):
        store = self.chooser.choice(self.world.clusters)
        share = self.chooser.random()
        try:
            store.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'"
                          " AND random() < %f" % (DBNAME, share))
        except psycopg.Error:
            pass


# --- the world --------------------------------------------------------------------------------------------------------

class World:
    def __init__(self, workspace):
        self.shared, self.dedicated = Cluster(workspace, "shared"), Cluster(workspace, "dedicated")
        self.clusters = [self.shared, self.dedicated]
        for cluster in self.clusters:
            cluster.create()
            cluster.start()
            eventstore.create_roles(cluster)
            eventstore.create_database(cluster, DBNAME)
        eventstore.fill(self.shared, DBNAME, {tenant: 2000 for tenant in (*MOVERS, RESIDENT)}, 10)
        stores = {cluster.name: eventstore.store_conninfo(cluster, DBNAME) for cluster in self.clusters}
        self.proxies = [Pgshunt(workspace, stores, {eventstore.APP: eventstore.APP_PASSWORD}, name=f"pgshunt-{name}",
                                settings={"migration": {"position_mode": "auto"}, "control": {"lease_ms": 1000}})
                        for name in ("a", "b")]
        for proxy in self.proxies:
            proxy.start()
        self.home = {tenant: "shared" for tenant in (*MOVERS, RESIDENT)}
        self.applications = [Application(self.proxies, tenant, number)
                             for tenant in (*MOVERS, RESIDENT) for number in range(2)]
        self.before = {tenant: self.imported(tenant) for tenant in self.home}

    def cluster(self, name):
        return self.shared if name == "shared" else self.dedicated

    def imported(self, tenant):
        """What was there before anybody wrote; positions may change in a move."""
        return self.cluster(self.home[tenant]).rows(
            DBNAME, "SELECT count(*), md5(string_agg(md5(concat_ws('|', event_id, aggregate_id, version, payload)), ''"
            " ORDER BY event_id)) FROM events WHERE tenant_id = %s AND actor_id = 'importer'", [tenant])[0]

    def check(self):
        """With all applications at rest and nothing failing."""
        for tenant, home in self.home.items():
            here = self.cluster(home)
            assert self.imported(tenant) == self.before[tenant], f"imported events of {tenant} have changed"
            rows = here.rows(DBNAME, "SELECT event_id, aggregate_id, version FROM events WHERE tenant_id = %s"
                             " AND actor_id <> 'importer'", [tenant])
            stored = {row[0]: tuple(row[1:]) for row in rows}
            assert len(stored) == len(rows), f"{tenant}: events twice"
            told = {}
            for application in self.applications:
                if application.tenant == tenant:
                    told.update(application.told)
            for event_id, what in told.items():
                if what is not None:
                    assert stored.get(event_id) == what, f"{tenant}: event {event_id} is {stored.get(event_id)}, not {what}"
            strange = set(stored) - set(told)
            assert not strange, f"{tenant}: {len(strange)} events that nobody has sent"
            broken = eventstore.broken_streams(here, DBNAME, tenant)
            assert not broken, f"{tenant}: streams with gaps {broken[:3]}"
        assert self.dedicated.rows(DBNAME, "SELECT count(*) FROM events WHERE tenant_id = %s", [RESIDENT]) == [(0,)]

    def forget_leftovers(self, tenant):
        """What a tenant has left behind in its old store, as START's hint says."""
        for cluster in self.clusters:
            if cluster.name != self.home[tenant]:
                with psycopg.connect(eventstore.store_conninfo(cluster, DBNAME)) as conn:
                    conn.execute("SET pgshunt.copier = on")
                    conn.execute("DELETE FROM events WHERE tenant_id = %s", [tenant])


class Operator:
    """Tries again what failed, at whichever instance answers."""

    def __init__(self, world, chooser):
        self.world, self.chooser = world, chooser

    def until(self, what, step):
        deadline, problem = time.monotonic() + STEP_S, None
        while time.monotonic() < deadline:
            for application in self.world.applications:
                assert not application.problems, application.problems
            try:
                if step(self.chooser.choice(self.world.proxies)):
                    return
            except (psycopg.Error, OSError, HarnessError) as again:
                problem = again
            time.sleep(0.1)
        raise AssertionError(f"{what}: {problem}")

    def latest(self, proxy, tenant):
        return max(proxy.admin(f"SHOW MIGRATIONS TENANT '{tenant}'"), key=lambda row: row["created_at"], default=None)

    def start(self, tenant, target):
        found = []

        def step(proxy):
            row = self.latest(proxy, tenant)
            if row is not None and row["target"] == target and row["state"] not in ("migrated", "rolled_back"):
                if row["state"] == "failed":
                    proxy.admin(f"ABORT MIGRATION '{row['id']}' PURGE TARGET")
                    return False
                found.append(str(row["id"]))
                return True
            proxy.start_migration(tenant, target, "batch_size = 200")
            return False
        self.until(f"START of {tenant}", step)
        return found[0]

    def end(self, tenant, identity, abort):
        """True: it has moved."""
        outcome = []

        def step(proxy):
            state = proxy.state(identity)
            if state in ("migrated", "rolled_back", "failed"):
                outcome.append(state)
                return True
            if state == "paused":
                proxy.admin(f"RESUME MIGRATION '{identity}'")
            elif abort:
                proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
            elif state == "dual_write":
                proxy.accept_shapes()
                proxy.admin(f"CUTOVER MIGRATION '{identity}'")
            return False
        self.until(f"the end of {identity}", step)
        return outcome[0]


def settle(world, tenant):
    """The old store's shut tap has given way to its guard."""
    wait_until("the source is settled", lambda: world.shared.rows(
        DBNAME, "SELECT count(*) FROM pgshunt.tenant_migrations WHERE tenant_id = %s AND state = 'migrated'"
        " AND settled_at IS NULL", [tenant]) == [(0,)], STEP_S, 0.1)


def one_round(world, operator, faults, chooser):
    tenant = chooser.choice(MOVERS)
    target = "dedicated" if world.home[tenant] == "shared" else "shared"
    abort = chooser.random() < 0.25
    print(f"{time.strftime('%X')} {tenant[:4]} to {target}{', aborted' if abort else ''}", flush=True)
    faults.go_on()
    identity = operator.start(tenant, target)
    if abort:
        time.sleep(chooser.random() * 3)
    outcome = operator.end(tenant, identity, abort)
    faults.pause()
    print(f"{time.strftime('%X')} {tenant[:4]} {outcome}", flush=True)
    if outcome == "migrated":
        world.home[tenant] = target
        settle(world, tenant)
    for application in world.applications:
        application.rest()
    world.check()
    if outcome == "failed":
        operator.until("ABORT", lambda proxy: operator.latest(proxy, tenant)["state"] == "rolled_back" or
                       proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET") and False)
    world.forget_leftovers(tenant)
    for application in world.applications:
        application.go_on()
    return outcome


def main():
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # rollbacks on lost connections are no news here
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10 ** 6)
    print(f"seed {seed}", flush=True)
    chooser = random.Random(seed)
    ends = {}
    with Workspace("pgshunt-soak-") as workspace:
        world = World(workspace)
        operator, faults = Operator(world, random.Random(seed + 1)), Faults(world, random.Random(seed + 2))
        for thread in (*world.applications, faults):
            thread.start()
        deadline = time.monotonic() + options.seconds
        try:
            while time.monotonic() < deadline:
                outcome = one_round(world, operator, faults, chooser)
                ends[outcome] = ends.get(outcome, 0) + 1
        except BaseException:
            for proxy in world.proxies:
                print(f"--- {proxy.name}\n{proxy.log_tail(60)}")
            raise
        finally:
            faults.stopping.set()
            for application in world.applications:
                application.stopping.set()
        events = sum(len(application.told) for application in world.applications)
    print(f"{events} events, {ends}, faults {faults.count}: nothing lost, doubled or misplaced")
    return 0


if __name__ == "__main__":
    sys.exit(main())
