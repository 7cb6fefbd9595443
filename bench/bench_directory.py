"""What does it cost to find a stream's tenant? One client, prepared statements, a tenant that has moved; the same read naming
the tenant, by the stream alone where the directory remembers it, and where the stores must be asked.

    bench/bench_directory.py [--streams N]
"""
import argparse
import os
import statistics
import sys
import time
import uuid
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests" / "lib"), str(TOP / "tests" / "e2e")]

import psycopg  # noqa: E402

import eventstore  # noqa: E402
from pgcluster import Cluster, Workspace  # noqa: E402
from pgshunt import Pgshunt  # noqa: E402

DBNAME = "shop"
MOVED = "11111111-1111-4111-8111-111111111111"
RESIDENT = "22222222-2222-4222-8222-222222222222"
BY_TENANT = "SELECT max(version) FROM events WHERE tenant_id = %s AND aggregate_id = %s AND aggregate_type = %s"
BY_STREAM = "SELECT max(version) FROM events WHERE aggregate_id = %s AND aggregate_type = %s"


def make_stores(workspace):
    stores = {}
    for name in ("shared", "dedicated"):
        cluster = Cluster(workspace, name, settings={"fsync": "off"})
        cluster.create()
        cluster.start()
        eventstore.create_roles(cluster)
        eventstore.create_database(cluster, DBNAME)
        stores[name] = cluster
    return stores


def streams_of(cluster, tenant):
    return [(row[0], row[1]) for row in cluster.rows(
        DBNAME, "SELECT DISTINCT aggregate_id, aggregate_type FROM events WHERE tenant_id = %s", [tenant])]


def looked_up(proxy):
    return next(row["value"] for row in proxy.admin("SHOW TOTALS") if row["name"] == "directory_misses")


def measure(proxy, conn, name, statement, parameters):
    """Prints µs per statement as the client sees it, and the proxy's processor time."""
    for values in parameters[:5]:
        conn.execute(statement, values, prepare=True)
    asked, cpu, times = looked_up(proxy), proxy.cpu_seconds(), []
    for values in parameters[5:]:
        begun = time.perf_counter()
        conn.execute(statement, values, prepare=True)
        times.append((time.perf_counter() - begun) * 1e6)
    cpu = (proxy.cpu_seconds() - cpu) * 1e6 / len(times)
    asked = looked_up(proxy) - asked
    print(f"{name:<52} {statistics.median(times):10.0f} {cpu:12.1f} {asked / len(times):14.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=5000, help="streams of each tenant (5000)")
    options = parser.parse_args()
    with Workspace("pgshunt-bench-") as workspace:
        stores = make_stores(workspace)
        eventstore.fill(stores["shared"], DBNAME, {MOVED: options.streams * 2, RESIDENT: options.streams * 2}, 2)
        proxy = Pgshunt(workspace, {name: eventstore.store_conninfo(cluster, DBNAME) for name, cluster in stores.items()},
                        {eventstore.APP: eventstore.APP_PASSWORD}, settings={"pgshunt": {"workers": 1}}).start()
        resident, moved = streams_of(stores["shared"], RESIDENT), streams_of(stores["shared"], MOVED)
        conn = psycopg.connect(proxy.conninfo(DBNAME, eventstore.APP, eventstore.APP_PASSWORD), autocommit=True)
        print(f"{os.cpu_count()} processors; {options.streams} streams a tenant\n"
              f"{'':<52} {'µs, median':>10} {'proxy CPU µs':>12} {'look-ups each':>14}")
        measure(proxy, conn, "nobody has moved: by stream", BY_STREAM, resident)
        proxy.move(MOVED, "dedicated")
        measure(proxy, conn, "by tenant", BY_TENANT, [(uuid.UUID(RESIDENT), *stream) for stream in resident])
        measure(proxy, conn, "by stream, asked at the default store: resident", BY_STREAM, resident)
        measure(proxy, conn, "by stream, remembered: resident", BY_STREAM, resident)
        measure(proxy, conn, "by stream, asked at the default store: moved", BY_STREAM, moved)
        measure(proxy, conn, "by stream, remembered: moved", BY_STREAM, moved)
        measure(proxy, conn, "by stream, nobody's: both stores asked", BY_STREAM,
                [(uuid.uuid4(), "Order") for _ in resident])
        conn.close()
        proxy.stop()


if __name__ == "__main__":
    main()
