"""Every driver's checklist, through pgshunt and without it; the table in docs/compatibility.md.

    drivers.py [--write] [--only NAME]... [--node FOLDER]

The same programs (drivers/) again and again: at the server itself, through pgshunt, and through pgshunt once the tenant they
ask for lives in another server, with and without TLS. What works at the server has to work through pgshunt, or it is a
failure; and what the table says works has to. --write makes the table anew.
"""
import argparse
import os
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

from stand import EVENTS_EACH, OTHER, TENANT, Stand

import eventstore
import holds
from pgcluster import Workspace, bindir

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "drivers"
TABLE = HERE.parents[1] / "docs" / "compatibility.md"
TIMEOUT_S = 60

FEATURES = ("connect", "errors", "transactions", "prepared", "binary", "pipeline", "copy", "cursor", "cancel", "notify",
            "tls", "tenants")
Run = namedtuple("Run", "name pool_mode moved sslmode")  # pool_mode: None, at the server itself
# In an order that moves the tenant once and starts the proxy three times.
RUNS = (Run("direct", None, False, "require"),
        Run("at home", "session", False, "disable"),
        Run("at home, transaction", "transaction", False, "disable"),
        Run("moved, transaction", "transaction", True, "require"),
        Run("moved", "session", True, "disable"),
        Run("moved, TLS", "session", True, "require"))

Driver = namedtuple("Driver", "name build command")      # build: None, or makes what command runs


def python(program):
    return [sys.executable, PROGRAMS / program]


def all_drivers(folder, node):
    jdbc = "/usr/share/java/postgresql.jar"
    return [
        Driver("psql", None, ["bash", PROGRAMS / "psql.sh"]),
        Driver("pgbench", None, ["bash", PROGRAMS / "pgbench.sh"]),
        Driver("psycopg 2", None, python("psycopg2_driver.py")),
        Driver("psycopg 3", None, python("psycopg3_driver.py")),
        Driver("psycopg 3, async", None, python("psycopg3_async_driver.py")),
        Driver("asyncpg", None, python("asyncpg_driver.py")),
        Driver("node: pg", None, ["node", PROGRAMS / "node_pg.js"]) if node else None,
        Driver("node: postgres", None, ["node", PROGRAMS / "node_postgres.js"]) if node else None,
        Driver("Java: pgjdbc", ["javac", "-d", folder, "-cp", jdbc, PROGRAMS / "Pgjdbc.java"],
               ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{jdbc}", "Pgjdbc"]),
        Driver("C++: libpqxx", ["g++", "-std=c++17", "-o", folder / "pqxx", PROGRAMS / "libpqxx.cpp", "-lpqxx", "-lpq"],
               [folder / "pqxx"]),
        Driver("Perl: DBD::Pg", None, ["perl", PROGRAMS / "dbd_pg.pl"]),
        Driver("Ruby: pg", None, ["ruby", PROGRAMS / "ruby_pg.rb"]),
        Driver("PHP: PDO", None, ["php", PROGRAMS / "php_pdo.php"]),
        Driver(".NET: Npgsql (replayed)", None, python("npgsql.py")),
    ]


# --- running ----------------------------------------------------------------------------------------------------------

def run(driver, server, dbname, homes, sslmode, node):
    """feature -> "ok", "no …" or "n/a …"; and its version."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment.update(PGHOST=server.host, PGPORT=str(server.port), PGDATABASE=dbname, PGUSER=eventstore.APP,
                       PGPASSWORD=eventstore.APP_PASSWORD, PGSSLMODE=sslmode, TENANT=TENANT, OTHER=OTHER,
                       TENANT_PORT=str(homes[TENANT]), OTHER_PORT=str(homes[OTHER]), TENANT_EVENTS=str(EVENTS_EACH),
                       PGBENCH=str(bindir() / "pgbench"), PGCONNECT_TIMEOUT="20", LC_ALL="C.UTF-8",
                       PYTHONPATH=str(HERE.parent / "lib"))
    if node:
        environment["NODE_PATH"] = str(Path(node) / "node_modules")
    try:
        done = subprocess.run([str(part) for part in driver.command], env=environment, capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
        said, complaint = done.stdout, done.stderr
    except subprocess.TimeoutExpired as slow:
        said, complaint = (slow.stdout or b"").decode(errors="replace"), f"no end within {TIMEOUT_S} s"
    found = {}
    for line in said.splitlines():
        feature, _, answer = line.partition(" ")
        if feature in (*FEATURES, "version"):
            found[feature] = answer.strip()
    for feature in FEATURES:
        found.setdefault(feature, "no answer")
    return found, complaint


def build(driver):
    if driver.build:
        done = subprocess.run([str(part) for part in driver.build], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{driver.name} cannot be built:\n{done.stdout}{done.stderr}")


def run_all(stand, drivers, node):
    """driver -> run -> feature -> answer."""
    shared, dedicated = stand.shared.port, stand.dedicated.port
    home = {TENANT: shared, OTHER: shared}
    results = {driver.name: {} for driver in drivers}
    for now in RUNS:
        server, homes = stand.shared, home
        if now.pool_mode:
            server = stand.pool(now.pool_mode)
        if now.moved:
            homes = {**home, TENANT: dedicated}
            if not stand.moved:
                stand.move()
        for driver in drivers:
            stand.shared.execute(stand.dbname, "TRUNCATE scratch")
            answers, complaint = run(driver, server, stand.dbname, homes, now.sslmode, node)
            results[driver.name][now.name] = answers
            bad = [f"  {feature}: {answers[feature]}" for feature in FEATURES if answers[feature].startswith("no")]
            if bad:
                print(f"{driver.name}, {now.name}:", *bad, complaint[-2500:].strip(), sep="\n")
    return results


# --- the table --------------------------------------------------------------------------------------------------------

def cell(answers, feature):
    """What a reader wants to know: does it work, also when a tenant has moved?"""
    seen = {run.name: answers[run.name][feature] for run in RUNS if feature != "tls" or run.sslmode == "require"}
    bad = [name for name, answer in seen.items() if answer != "ok"]
    if not bad:
        return "ok"
    if seen["direct"].startswith("n/a"):
        return "–"
    return "no (nor without pgshunt)" if bad[0] == "direct" else f"no ({bad[0]})"


def write_table(results, held):
    lines = ["# Compatibility", "",
             "Which drivers work through pgshunt, and what of them. Made by `tests/compat/run.sh drivers`, which CI runs:",
             "each driver answers the same questions at the server itself; through pgshunt with `pool_mode = session` and with",
             "`pool_mode = transaction`; and, in both, after the tenant it asks for has been moved to another server, with and",
             "without TLS. **ok**: every time. **–**: the driver has no such thing.",
             "`tests/compat/drivers/checklist.py` says what is asked under each heading.", "",
             "| driver | version | " + " | ".join(FEATURES) + " |",
             "| --- " * (len(FEATURES) + 2) + "|"]
    for driver, answers in results.items():
        cells = [cell(answers, feature) for feature in FEATURES]
        lines.append(f"| {driver} | {answers['at home'].get('version', '')} | " + " | ".join(cells) + " |")
    lines += ["", NOTES, "## With pool_mode = transaction", "", HELD,
              "| a session that says | its server |", "| --- | --- |"]
    lines += [f"| {what} | {which} |" for what, which in held]
    lines.append("")
    TABLE.write_text("\n".join(lines), encoding="utf-8")


NOTES = """\
Npgsql is in neither Debian nor npm: its messages are sent by `drivers/npgsql.py` in the order it sends them.

PostgreSQL's own regression suite (`tests/compat/run.sh regress`; CI runs a part) and
libpq's test of pipeline mode (`pipeline`, in both pool modes) run through pgshunt as well, each with no tenant moved and with
one moved away. Their outputs and traces have to be the server's own, byte by byte and message by message.
"""

HELD = """\
A session's server is anybody's between two transactions, and pgshunt brings along what can be brought along. What cannot is
not refused: such a session keeps its server until it says `DISCARD ALL` or ends. `tests/compat/holds.py` asks a pool of
one server.
"""


def promised():
    """(driver, feature) that the table in the repository says works."""
    found = set()
    for line in TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []:
        cells = [part.strip() for part in re.split(r"\s\|\s", line.strip().strip("|"))]
        if len(cells) == len(FEATURES) + 2:
            found |= {(cells[0], feature) for feature, answer in zip(FEATURES, cells[2:]) if answer == "ok"}
    return found


def judge(results, promises):
    passed = failed = 0
    for driver, answers in results.items():
        for feature in FEATURES:
            now = cell(answers, feature)
            if now == "ok":
                passed += 1
            elif now != "–" or (driver, feature) in promises:
                failed += 1
                print(f"FAILED {driver}: {feature}: {now}: " +
                      ", ".join(f"{run.name}: {answers[run.name][feature]}" for run in RUNS))
    return passed, failed


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--only", action="append")
    arguments.add_argument("--node", help="where node's drivers have been installed")
    options = arguments.parse_args()
    with Workspace("pgshunt-drivers-") as workspace:
        drivers = [driver for driver in all_drivers(workspace.path, options.node) if driver and
                   (not options.only or driver.name in options.only)]
        for driver in drivers:
            build(driver)
        stand = Stand(workspace, "drivers", "shop", table="events",
                      users={eventstore.APP: eventstore.APP_PASSWORD}, tls=True)
        stand.shared.execute("shop", "CREATE TABLE scratch (id int PRIMARY KEY, note text)")
        stand.shared.execute("shop", "GRANT ALL ON scratch TO app; GRANT CREATE ON SCHEMA public TO app")
        results = run_all(stand, drivers, options.node)
        held, kept, surprises = holds.ask(stand)
        stand.stop()
    passed, failed = judge(results, promised())
    passed, failed = passed + kept, failed + surprises
    if options.write:
        write_table(results, held)
    print(f"drivers: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
