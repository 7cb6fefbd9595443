"""What does the guard cost those who write? The same inserts into the same table, straight into the server, in turns:
without the guard, with 10 and with 10,000 moved tenants in its table; and without it once more, by which the noise is seen.
What counts is the processor time of the server's process, since load and server share the machine with whatever else runs;
commits are not waited for, so that nothing hides behind the disk.
"""
import argparse
import json
import os
import platform
import statistics
import uuid

from pgbench_run import DBNAME, TOP, create_store, tenant

import eventstore
from pgcluster import Workspace, wait_until
from pgshunt import Pgshunt

COLUMNS = "(event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
ROW = f"gen_random_uuid(), gen_random_uuid(), 'Order', 'OrderChanged', '{tenant(2)}'::uuid, 1, now(), '{{\"n\": 1}}'"
CONTESTANTS = {"no guard": None, "no guard again": None, "guard, 10 moved": 10, "guard, 10000 moved": 10000}


def one_by_one(conn, inserts):
    """As an application does it: a prepared statement, a transaction per row."""
    statement = f"INSERT INTO events {COLUMNS} VALUES (gen_random_uuid(), gen_random_uuid(), 'Order', 'OrderChanged', %s, 1, now(), %s)"
    for _ in range(inserts // 4):
        conn.execute(statement, (uuid.UUID(tenant(2)), '{"n": 1}'), prepare=True)
    return inserts // 4


def one_statement(conn, inserts):
    conn.execute(f"INSERT INTO events {COLUMNS} SELECT {ROW} FROM generate_series(1, {inserts})")
    return inserts


def copy(conn, inserts):
    line = f"Order\tOrderChanged\t{tenant(2)}\t1\t2024-01-01\t{{}}\n"
    conn.execute("ALTER TABLE events ALTER event_id SET DEFAULT gen_random_uuid(), ALTER aggregate_id SET DEFAULT gen_random_uuid()")
    with conn.cursor().copy("COPY events (aggregate_type, event_type, tenant_id, version, timestamp, payload) FROM STDIN") as rows:
        rows.write(line * inserts)
    return inserts


WORKLOADS = {"a row a transaction": one_by_one, "INSERT … SELECT": one_statement, "COPY": copy}


def put_guard_in(workspace, shared, dedicated):
    """By a migration, as an operator would."""
    eventstore.fill(shared, DBNAME, {tenant(1): 100, tenant(2): 100})
    proxy = Pgshunt(workspace, {"shared": eventstore.store_conninfo(shared, DBNAME),
                                "dedicated": eventstore.store_conninfo(dedicated, DBNAME)},
                    {eventstore.APP: eventstore.APP_PASSWORD}).start()
    identity = proxy.move(tenant(1), "dedicated")
    wait_until("the guard has taken over", lambda: proxy.migration(identity).get("settled_at"), 30)
    proxy.stop()


def prepare(conn, moved):
    conn.execute("TRUNCATE events")
    state = "DISABLE" if moved is None else "ENABLE ALWAYS"
    conn.execute(f"ALTER TABLE events {state} TRIGGER pgshunt_tenancy_guard")
    conn.execute("DELETE FROM pgshunt.tenancy")
    conn.execute("INSERT INTO pgshunt.tenancy SELECT gen_random_uuid(), false, 1 FROM generate_series(1, %s)", [moved or 0])
    conn.execute("VACUUM ANALYZE pgshunt.tenancy")
    conn.execute("CHECKPOINT")


def measure(cluster, workload, moved, inserts):
    """The server's microseconds per row, in a session of its own."""
    with cluster.connect(DBNAME) as conn:
        prepare(conn, moved)
    with cluster.connect(DBNAME) as conn:
        conn.execute("SET synchronous_commit = off")
        workload(conn, 200)                    # plans and caches
        begun = cpu_seconds(conn.info.backend_pid)
        rows = workload(conn, inserts)
        return (cpu_seconds(conn.info.backend_pid) - begun) * 1e6 / rows


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--inserts", type=int, default=30000)
    given = arguments.parse_args()
    results = {}
    with Workspace("pgshunt-bench-") as workspace:
        shared, dedicated = (create_store(workspace, name, {"autovacuum": "off", "max_wal_size": "4GB"})
                             for name in ("shared", "dedicated"))
        put_guard_in(workspace, shared, dedicated)
        for name, workload in WORKLOADS.items():
            seen = {contestant: [] for contestant in CONTESTANTS}
            for _ in range(given.rounds):
                for contestant, moved in CONTESTANTS.items():
                    seen[contestant].append(measure(shared, workload, moved, given.inserts))
            results[name] = seen
            base = seen["no guard"]
            print(f"{name}: {given.inserts} rows, {given.rounds} rounds")
            for contestant, times in seen.items():
                ratios = [mine / theirs for mine, theirs in zip(times, base)]
                print(f"  {contestant:20} {statistics.median(times):7.2f} µs a row ({min(times):.2f} to {max(times):.2f}),"
                      f" {statistics.median(ratios):.2f} times no guard ({min(ratios):.2f} to {max(ratios):.2f})")
    folder = TOP / "bench" / "results" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "guard.json").write_text(json.dumps({"machine": platform.platform(), "µs a row": results}, indent=1))


if __name__ == "__main__":
    main()
