"""emmett, by its own client (@event-driven-io/emmett-postgresql from npm): a partition is a tenant. Its public API always
says emt:default; what an application says itself is argument 10 of emt_append_to_stream() and the predicate `partition =`."""
import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

import moved
from eventstore import APP, APP_PASSWORD

HERE = Path(__file__).resolve().parent
MODULES = HERE.parents[1] / "build-compat" / "presets" / "node_modules"
DEFAULT, ACME = "emt:default", "acme"
TABLES = (("emt_streams", "partition"), ("emt_messages", "partition"))


class Emmett:
    """One process of node for a test."""

    def __init__(self):
        self.node = subprocess.Popen(["node", str(HERE / "emmett.js")], env={"NODE_PATH": str(MODULES), "PATH": "/usr/bin:/bin:/usr/local/bin"},
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do, at, dbname, **more):
        url = f"postgresql://{APP}:{quote(APP_PASSWORD)}@{at.host}:{at.port}/{dbname}"
        self.node.stdin.write(json.dumps({"do": do, "at": url, **more}) + "\n")
        self.node.stdin.flush()
        return json.loads(self.node.stdout.readline())

    def done(self, *arguments, **more):
        answer = self.ask(*arguments, **more)
        assert "ok" in answer, answer
        return answer["ok"]

    def end(self):
        self.node.stdin.close()
        try:
            self.node.wait(10)
        finally:
            self.node.kill()


@pytest.fixture
def emmett():
    if not MODULES.exists():
        pytest.skip("emmett is not installed: ./tests/presets/install.sh does it")
    client = Emmett()
    yield client
    client.end()


@pytest.mark.parametrize("tenant, stays", [(ACME, DEFAULT), (DEFAULT, ACME)], ids=["a partition moves", "emt:default moves"])
def test_emmett(make_proxy, stores, emmett, tenant, stays):
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, f"GRANT CREATE ON SCHEMA public TO {APP}; GRANT CREATE ON DATABASE {stores.dbname} TO {APP}")
        emmett.done("schema", cluster, stores.dbname)
        cluster.execute(stores.dbname, f"SELECT emt_add_partition('{ACME}')")
    proxy = moved.begin(make_proxy, "emmett")

    def append(partition, stream, count):
        said = {} if partition == DEFAULT else {"partition": partition}
        return emmett.ask("append", proxy, stores.dbname, stream=stream, count=count, **said)

    def both(partition):
        return tuple(moved.counts(stores, table, "partition", partition) for table, _ in TABLES)

    assert append(DEFAULT, "order-1", 3) == {"ok": 3}
    assert append(ACME, "order-2", 3) == {"ok": 3}
    # A transaction id of another cluster may lie in this one's future: readMessagesBatch() would not see the row.
    moved.move(proxy, stores, tenant, TABLES, anew={"transaction_id": "pg_current_xact_id()"})
    assert (both(tenant), both(stays)) == (((0, 1), (0, 3)), ((1, 0), (3, 0)))
    streams = {DEFAULT: "order-1", ACME: "order-2"}
    for partition in (DEFAULT, ACME):
        assert append(partition, streams[partition], 2) == {"ok": 5}         # it finds the stream's last position
        assert append(partition, "order-3", 1) == {"ok": 1}
        assert emmett.done("read", proxy, stores.dbname, stream=streams[partition], partition=partition) == 5
        assert emmett.done("batch", proxy, stores.dbname, partition=partition) == 6
    assert (both(tenant), both(stays)) == (((0, 2), (0, 6)), ((2, 0), (6, 0)))
