"""Load without proof: does every kind of statement get through, in every mode, and while a tenant moves? See load.sh."""
import argparse
import subprocess
import sys

import pgbench_run
from pgbench_run import DBNAME, ENVIRONMENT, Result, create_accounts, create_store, script_options, tenant

import eventstore
from pgcluster import Workspace
from pgshunt import Pgshunt

MODES = ("simple", "extended", "prepared")
SCRIPTS = ("append", "read", "probe")
TENANTS = 4


def report(name, result):
    print(f"{name:<36} {result.tps:>9.0f}/s  {result.latency_ms:>7.2f} ms  {result.failed:>3} failed"
          f"{'' if result.good else '   NOT GOOD ' + result.complaints[:300]}", flush=True)
    return result.good


def each_mode(proxy, clients, seconds):
    good = True
    for mode in MODES:
        for name, options in [("select-only", ["-b", "select-only"]), ("tpcb-like", ["-b", "tpcb-like"])] + \
                [(name, script_options([name], mode, TENANTS)) for name in SCRIPTS]:
            result = pgbench_run.run(proxy.host, proxy.port, mode, clients, seconds, options)
            good &= report(f"{name}, {mode}", result)
    return good


def across_a_migration(proxy, clients, seconds, mode, moving, target):
    """All scripts at once, while one of their tenants moves to a store of its own (positions are kept)."""
    command = pgbench_run.command(proxy.host, proxy.port, mode, clients, max(3 * seconds, 15),
                                  script_options(SCRIPTS, mode, TENANTS))
    load = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
                            stdin=subprocess.DEVNULL)
    try:
        identity = proxy.move(moving, target)
        said, complaints = load.communicate()
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
    good = report(f"all scripts while a tenant moves, {mode}", Result(load.returncode, said, complaints))
    shown = proxy.migration(identity)
    print(f"{'':<36} pause {float(shown['pause_ms']):.1f} ms, {shown['held_writes']} writes held")
    return good


def main():
    parser = argparse.ArgumentParser(description="pgbench through pgshunt, also across a migration")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=5, help="of each run (5)")
    options = parser.parse_args()
    with Workspace("pgshunt-load-") as workspace:
        shared = create_store(workspace, "shared")
        targets = {f"dedicated-{mode}": create_store(workspace, f"dedicated-{mode}") for mode in MODES}
        create_accounts(shared)
        eventstore.fill(shared, DBNAME, {tenant(number): 20000 for number in range(1, TENANTS + 1)})
        proxy = Pgshunt(workspace, users={eventstore.APP: eventstore.APP_PASSWORD},
                        stores={name: eventstore.store_conninfo(cluster, DBNAME)
                                for name, cluster in {"shared": shared, **targets}.items()})
        proxy.start()
        good = each_mode(proxy, options.clients, options.seconds)
        for number, mode in enumerate(MODES, 1):
            good &= across_a_migration(proxy, options.clients, options.seconds, mode, tenant(number),
                                       f"dedicated-{mode}")
        good &= each_mode(proxy, options.clients, options.seconds)
        proxy.stop()
    print("every transaction succeeded" if good else "NOT every transaction succeeded")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
