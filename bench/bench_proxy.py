"""What does a proxy cost that reads every statement? The same load direct, through PgBouncer and through pgshunt
(session pooling, or with --transaction clients that share servers): in one run, in turns, so that whatever else the machine does hits all three.

Transactions/s on a machine where load, servers and proxy share the processors say little about the proxy alone; the
processor time it used per transaction (user + system, from /proc) does.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

import pgbench_run
from pgbench_run import DBNAME, TOP, create_accounts, create_store, script_options, tenant

import eventstore
from pgcluster import Workspace, as_server_user, free_port, server_user, wait_until
from pgshunt import Direct, Pgshunt
from wire import RawClient

TENANTS = 4
WORKLOADS = [(f"select-only, {mode}", mode, ["-b", "select-only"]) for mode in ("prepared", "extended", "simple")] + \
            [("tpcb-like, simple", "simple", ["-b", "tpcb-like"])] + \
            [(f"append, {mode}", mode, script_options(["append"], mode, TENANTS)) for mode in ("prepared", "simple")]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class PgBouncer:
    """Debian's PgBouncer, as small and as quick as it can be configured for this."""

    def __init__(self, workspace, cluster, pool):
        self.host, self.port = "127.0.0.1", free_port()
        base = workspace.path / "pgbouncer"
        base.mkdir()
        (base / "users.txt").write_text(f'"{eventstore.APP}" "{eventstore.APP_PASSWORD}"\n')
        (base / "pgbouncer.ini").write_text(
            f"[databases]\n{DBNAME} = host={cluster.host} port={cluster.port}\n[pgbouncer]\nlisten_addr = {self.host}\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {base}/users.txt\n"
            f"pool_mode = {pool['pool_mode']}\ndefault_pool_size = {pool['default_pool_size']}\n"
            "max_client_conn = 500\nlog_connections = 0\n"
            f"log_disconnections = 0\nlogfile = {base}/log\n")
        if os.geteuid() == 0:          # it refuses root, as PostgreSQL does
            user = server_user()
            for path in (base, *base.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
        program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        self.process = subprocess.Popen(as_server_user([program, "-q", str(base / "pgbouncer.ini")]), cwd="/",
                                        stdin=subprocess.DEVNULL)
        workspace.at_end(self.stop)
        wait_until("PgBouncer listens", self._listens)

    def _listens(self):
        try:
            RawClient(self.port).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Measured:
    """All rounds of one workload with one contestant."""

    def __init__(self):
        self.tps, self.cpu_us = [], []

    def add(self, result, cpu_s):
        self.tps.append(result.tps)
        if cpu_s is not None:
            self.cpu_us.append(cpu_s / result.transactions * 1e6)


def measure(contestants, rounds, seconds, clients):
    """{workload: {contestant: Measured}}; the order within a round turns, so that nobody is always first."""
    table = {name: {who: Measured() for who, _, _ in contestants} for name, _, _ in WORKLOADS}
    for round_ in range(rounds):
        for name, mode, options in WORKLOADS:
            turn = round_ % len(contestants)
            for who, way, pid in contestants[turn:] + contestants[:turn]:
                if mode in getattr(way, "cannot", ()):
                    continue
                before = cpu_seconds(pid) if pid else None
                result = pgbench_run.run(way.host, way.port, mode, clients, seconds, options)
                if not result.good:
                    raise SystemExit(f"{who}, {name}: {result.complaints}")
                table[name][who].add(result, cpu_seconds(pid) - before if pid else None)
                print(f"  round {round_ + 1}: {name}, {who}: {result.tps:.0f}/s", file=sys.stderr, flush=True)
    return table


def spread(values, digits=0):
    """Median, and from least to most."""
    if not values:
        return "cannot"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def show(table):
    print(f"\n{'':<22} {'transactions/s: median (least–most)':<66} proxy CPU µs/transaction")
    print(f"{'':<22} {'direct':<22}{'PgBouncer':<22}{'pgshunt':<22} {'PgBouncer':<20} pgshunt")
    for name, row in table.items():
        tps = "".join(f"{spread(row[who].tps):<22}" for who in ("direct", "PgBouncer", "pgshunt"))
        print(f"{name:<22} {tps} {spread(row['PgBouncer'].cpu_us, 1):<20} {spread(row['pgshunt'].cpu_us, 1)}")


def keep(table, settings):
    """The numbers as JSON, for whoever compares two runs."""
    folder = TOP / "bench" / "results" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("proxy-%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps({**settings, "machine": platform.processor() or platform.machine(),
                                "processors": os.cpu_count(),
                                "rounds": {name: {who: vars(measured) for who, measured in row.items()}
                                           for name, row in table.items()}}, indent=1))
    print(f"\n{path.relative_to(TOP)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 3 s each instead of 7 of 10")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--transaction", type=int, metavar="SERVERS", help="pool_mode = transaction, on so many servers")
    options = parser.parse_args()
    rounds, seconds = (3, 3) if options.quick else (7, 10)
    with Workspace("pgshunt-bench-") as workspace:
        cluster = create_store(workspace, "shared")
        create_accounts(cluster)
        eventstore.fill(cluster, DBNAME, {tenant(number): 20000 for number in range(1, TENANTS + 1)})
        pool = {"pool_mode": "transaction", "default_pool_size": options.transaction} if options.transaction else \
            {"pool_mode": "session", "default_pool_size": 150}
        bouncer = PgBouncer(workspace, cluster, pool)
        if options.transaction:
            bouncer.cannot = ("prepared",)  # 1.18 does not know statements prepared by its clients
        proxy = Pgshunt(workspace, {"shared": eventstore.store_conninfo(cluster, DBNAME)},
                        {eventstore.APP: eventstore.APP_PASSWORD}, settings={"log": {"level": "warning"}, "pgshunt": pool})
        proxy.launch()
        wait_until("pgshunt serves", lambda: serves(proxy), 20, 0.1)
        contestants = [("direct", Direct(cluster), None), ("PgBouncer", bouncer, bouncer.process.pid),
                       ("pgshunt", proxy, proxy.process.pid)]
        table = measure(contestants, rounds, seconds, options.clients)
        proxy.stop()
    show(table)
    keep(table, {"rounds_each": rounds, "seconds": seconds, "clients": options.clients, **pool})
    return 0


def serves(proxy):
    """Its log may be too quiet here to say that it is ready."""
    try:
        with RawClient(proxy.port) as client:
            return client.login(eventstore.APP, eventstore.APP_PASSWORD, DBNAME)[-1].kind == "Z"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
