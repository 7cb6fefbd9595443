"""Two clusters and the harness migrate_data (see migrate_data.c), for the tests in this folder.

MIGRATE_DATA names the harness; else it is looked for in build-test/ and build/. It must have failpoints compiled in.
"""
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import psycopg
import pytest

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "lib"))

import eventstore  # noqa: E402
from pgcluster import Cluster, Workspace  # noqa: E402

DB = "shop"


def harness():
    named = os.environ.get("MIGRATE_DATA")
    candidates = [Path(named)] if named else [TOP / build / "tests" / "integration" / "migrate_data"
                                              for build in ("build-test", "build-asan", "build")]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    pytest.fail("no migrate_data: meson setup build-test -Dfailpoints=true && ninja -C build-test")


class Data:
    """One process with one migration in its hands: data("copy") asks it and returns the numbers of its answer."""

    def __init__(self, source, target, tenant, migration=None, epoch=1, failpoint=None, environment=None, **settings):
        self.migration = migration or str(uuid.uuid4())
        variables = {**os.environ, **(environment or {})}
        if failpoint:
            variables["PGSHUNT_FAILPOINT"] = failpoint
        self.process = subprocess.Popen(
            [str(harness()), eventstore.store_conninfo(source, DB), eventstore.store_conninfo(target, DB), str(tenant),
             self.migration, str(epoch), *(f"{name}={value}" for name, value in settings.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables)

    def answer(self, command):
        """The answer's line, or None if the process died on it."""
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.process.stdout.readline().strip() or None

    def __call__(self, command):
        answer = self.answer(command)
        assert answer and answer.endswith("ok"), f"{command}: {answer}"
        return dict(word.split("=", 1) for word in answer.split() if "=" in word)

    def fails(self, command):
        answer = self.answer(command)
        assert answer and answer.startswith("error "), f"{command}: {answer}"
        return answer[6:11], answer[12:]

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def clusters():
    with Workspace("pgshunt-data-") as workspace:
        made = []
        for name in ("source", "target"):
            cluster = Cluster(workspace, name, {"max_connections": "100"})
            cluster.create()
            cluster.start()
            eventstore.create_roles(cluster)
            made.append(cluster)
        yield made


@pytest.fixture
def stores(clusters):
    """Source and target with an empty event table each, in databases of their own."""
    for cluster in clusters:
        eventstore.create_database(cluster, DB)
        # The application here also writes straight to the source: whole sequences, whatever it likes.
        cluster.execute(DB, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {eventstore.APP}")
    yield clusters
    for cluster in clusters:
        if not cluster.running():
            cluster.start()
        eventstore.drop_database(cluster, DB)


@pytest.fixture
def start(stores):
    """start(tenant, …) → Data; all of them are ended."""
    begun = []

    def begin(tenant, **more):
        begun.append(Data(*stores, tenant, **more))
        return begun[-1]

    yield begin
    for data in begun:
        data.close()


def app(cluster, **more):
    return psycopg.connect(cluster.conninfo(DB, eventstore.APP, eventstore.APP_PASSWORD, **more))


def same(stores, tenant):
    source, target = (eventstore.tenant_digest(cluster, DB, tenant) for cluster in stores)
    return source == target


class Crowd:
    """Writers in threads: each calls `act(connection, random)` again and again; what it raises is kept."""

    def __init__(self, cluster, acts, seed=0):
        self.cluster, self.problems, self.counts = cluster, [], {}
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(act, seed * 1000 + i)) for i, act in enumerate(acts)]

    def _run(self, act, seed):
        import random
        chance = random.Random(seed)
        with app(self.cluster, application_name=f"writer {seed}") as conn:
            while not self.stopping.is_set():
                try:
                    act(conn, chance)
                    conn.commit()
                    self.counts[act.__name__] = self.counts.get(act.__name__, 0) + 1
                except psycopg.Error as problem:
                    if conn.broken:
                        return
                    conn.rollback()
                    if problem.sqlstate in ("23505", "40P01", "40001") and "tenant_" not in str(problem):
                        continue  # two writers met: an ordinary day
                    self.problems.append(problem)
                    if len(self.problems) > 200:
                        return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
