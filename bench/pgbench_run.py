"""pgbench as load.py and run.py use it: one run, and what it says."""
import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "lib"))

import eventstore  # noqa: E402
from pgcluster import Cluster, HarnessError, bindir  # noqa: E402

DBNAME = "bench"
SCRIPTS = TOP / "bench" / "pgbench"


def tenant(number):
    """The tenants of bench/pgbench/*.sql: 11111111-1111-4111-8111-111111111111, 2222…, up to 9."""
    return "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace("x", str(number))


def create_store(workspace, name, settings=None):
    cluster = Cluster(workspace, name, settings={"shared_buffers": "256MB", **(settings or {})})
    cluster.create()
    cluster.start()
    eventstore.create_roles(cluster)
    eventstore.create_database(cluster, DBNAME)
    return cluster


def create_accounts(cluster, scale=10):
    """pgbench's own tables."""
    done = subprocess.run([str(bindir() / "pgbench"), "-i", "-q", "-s", str(scale), "-h", str(cluster.socket_dir), "-p",
                           str(cluster.port), "-U", "postgres", DBNAME], capture_output=True, text=True)
    if done.returncode != 0:
        raise HarnessError(done.stderr)
    cluster.execute(DBNAME, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {eventstore.APP}")


def script_options(names, mode, tenants):
    options = ["-D", f"tenants={tenants}", "-D", "known=0", "-D", f"simple={int(mode == 'simple')}"]
    for name in names:
        options += ["-f", str(SCRIPTS / f"{name}.sql")]
    return options


def command(host, port, mode, clients, seconds, options):
    return [str(bindir() / "pgbench"), "-n", "-h", host, "-p", str(port), "-U", eventstore.APP, "-M", mode, "-c",
            str(clients), "-j", "1", "-T", str(seconds), *options, DBNAME]


ENVIRONMENT = {**os.environ, "PGPASSWORD": eventstore.APP_PASSWORD, "PGSSLMODE": "disable"}


class Result:
    """What one run of pgbench has said."""

    def __init__(self, exit_code, said, complaints):
        self.complaints = complaints.strip()
        self.transactions = int(self._find(said, r"number of transactions actually processed: (\d+)") or 0)
        self.failed = int(self._find(said, r"number of failed transactions: (\d+)") or 0)
        self.tps = float(self._find(said, r"tps = ([0-9.]+) \(without initial") or 0)
        self.latency_ms = float(self._find(said, r"latency average = ([0-9.]+)") or 0)
        self.good = (exit_code == 0 and self.failed == 0 and self.transactions > 0
                     and not re.search(r"error|abort", complaints, re.IGNORECASE))

    @staticmethod
    def _find(said, pattern):
        found = re.search(pattern, said)
        return found[1] if found else None


def run(host, port, mode, clients, seconds, options):
    done = subprocess.run(command(host, port, mode, clients, seconds, options), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT)
    return Result(done.returncode, done.stdout, done.stderr)
