"""How fast are a tenant's events copied, against psql's own COPY into COPY (binary, one transaction, no questions asked)?
And how much memory does it take, with clients connected? In turns, from the same source to the same target, for a small and
a large tenant. The peak (VmHWM) is that of one pgshunt that has copied the small tenant, then of another with the large one.
"""
import argparse
import contextlib
import json
import platform
import re
import statistics
import subprocess
import time

import psycopg

from pgbench_run import DBNAME, TOP, create_store, tenant

import eventstore
from pgcluster import Workspace, bindir
from pgshunt import Pgshunt

CLIENTS = 16
PEAK_MIB_MAX = 64
MOVING, OTHER = tenant(1), tenant(2)
COLUMNS = ", ".join(eventstore.COLUMNS)


def empty(target, guarded):
    """As before the first copy: without rows, dead ones, a cursor; psql's rows pass no guard, either."""
    target.execute(DBNAME, "TRUNCATE events")
    if target.value(DBNAME, "SELECT count(*) FROM pg_trigger WHERE tgname = 'pgshunt_tenancy_guard'"):
        state = "ENABLE ALWAYS" if guarded else "DISABLE"
        target.execute(DBNAME, f"ALTER TABLE events {state} TRIGGER pgshunt_tenancy_guard")
    target.execute(DBNAME, "CHECKPOINT")


def psql(cluster, statement, **pipes):
    return subprocess.Popen([str(bindir() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", cluster.host, "-p",
                             str(cluster.port), "-U", eventstore.PGSHUNT, "-d", DBNAME, "-c", statement],
                            env={"PGPASSWORD": eventstore.PGSHUNT_PASSWORD, "PGSSLMODE": "disable"}, **pipes)


def by_psql(source, target, events):
    """Seconds of psql | psql."""
    begun = time.monotonic()
    reader = psql(source, f"COPY (SELECT {COLUMNS} FROM events WHERE tenant_id = '{MOVING}' ORDER BY global_position)"
                  " TO STDOUT (FORMAT binary)", stdout=subprocess.PIPE)
    writer = psql(target, f"COPY events ({COLUMNS}) FROM STDIN (FORMAT binary)", stdin=reader.stdout)
    reader.stdout.close()
    assert writer.wait() == 0 and reader.wait() == 0
    seconds = time.monotonic() - begun
    assert eventstore.count(target, DBNAME, MOVING) == events
    return seconds


def by_pgshunt(proxy, target, events, options):
    """Seconds in bulk_copy, as the migration's own row has them."""
    identity = proxy.start_migration(MOVING, "dedicated", f"max_bulk_copy_rate = 0, {options}")
    proxy.wait_state(identity, "dual_write", 1800)
    assert eventstore.count(target, DBNAME, MOVING) == events
    with psycopg.connect(proxy.stores["shared"]) as control:
        seconds = control.execute("SELECT extract(epoch FROM bulk_copy_completed_at - bulk_copy_started_at)::float"
                                  " FROM pgshunt.tenant_migrations WHERE id = %s", [identity]).fetchone()[0]
    proxy.admin(f"ABORT MIGRATION '{identity}' REASON 'measured' PURGE TARGET")
    proxy.wait_state(identity, "rolled_back", 600)
    return seconds


def peak_mib(proxy):
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024


@contextlib.contextmanager
def clients(proxy):
    """Connected, and each has done something."""
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            conn = stack.enter_context(psycopg.connect(proxy.conninfo(DBNAME, eventstore.APP, eventstore.APP_PASSWORD),
                                                       autocommit=True))
            conn.execute("SELECT count(*) FROM events WHERE tenant_id = %s", [OTHER])
        yield


def measure(workspace, source, target, events, rounds, contestants):
    """{contestant: [events/s]}, and the peak of a pgshunt that has done nothing else."""
    seen = {name: [] for name in ("psql | psql", *contestants)}
    proxy = Pgshunt(workspace, {"shared": eventstore.store_conninfo(source, DBNAME),
                                "dedicated": eventstore.store_conninfo(target, DBNAME)},
                    {eventstore.APP: eventstore.APP_PASSWORD}, name=f"pgshunt-{events}").start()
    with clients(proxy):
        before = proxy.cpu_seconds()
        for _ in range(rounds):
            for name in seen:
                options = contestants.get(name)
                empty(target, guarded=options is not None)
                seconds = by_psql(source, target, events) if options is None else by_pgshunt(proxy, target, events, options)
                seen[name].append(events / seconds)
        cpu_us = (proxy.cpu_seconds() - before) * 1e6 / (events * rounds * len(contestants))
        peak = peak_mib(proxy)
    proxy.stop()
    return seen, peak, cpu_us


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="three rounds of the small tenant, one of the large one without the variants")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--events", type=int, nargs="*", default=[200_000, 2_000_000])
    given = arguments.parse_args()
    everybody = {"pgshunt, batch_size 1000": "batch_size = 1000", "pgshunt, batch_size 10000": "batch_size = 10000",
                 "pgshunt, 2 copy_workers": "batch_size = 10000, copy_workers = 2"}
    results, too_much = {}, False
    with Workspace("pgshunt-bench-") as workspace:
        for events in given.events:
            source, target = (create_store(workspace, f"{name}-{events}", {"max_wal_size": "8GB", "autovacuum": "off"})
                              for name in ("shared", "dedicated"))
            eventstore.fill(source, DBNAME, {MOVING: events, OTHER: 1000})
            large = events > 200_000
            rounds = given.rounds if not given.quick else 1 if large else 3
            contestants = {name: options for name, options in everybody.items() if not (given.quick and large)
                           or name == "pgshunt, batch_size 10000"}
            seen, peak, cpu_us = measure(workspace, source, target, events, rounds, contestants)
            results[events] = {"events/s": seen, "peak MiB": peak, "pgshunt's CPU, µs an event": cpu_us}
            base = seen["psql | psql"]
            print(f"{events} events, {rounds} rounds")
            for name, rates in seen.items():
                ratios = [mine / theirs for mine, theirs in zip(rates, base)]
                print(f"  {name:26} {statistics.median(rates):9.0f} events/s ({min(rates):.0f} to {max(rates):.0f}),"
                      f" {statistics.median(ratios):.2f} times psql ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
            print(f"  pgshunt's peak, {CLIENTS} clients connected: {peak:.1f} MiB; its own processor time: {cpu_us:.2f} µs an event")
            too_much |= peak > PEAK_MIB_MAX
            source.stop()
            target.stop()
    folder = TOP / "bench" / "results" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "copy.json").write_text(json.dumps({"machine": platform.platform(), **results}, indent=1))
    if too_much:
        raise SystemExit(f"more than {PEAK_MIB_MAX} MiB")


if __name__ == "__main__":
    main()
