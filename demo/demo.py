"""The demo's story, told by main(): stores, load, migration, cutover, proof. Run by run.sh.

Exit code 0 only if every check of the proof holds.
"""
import argparse
import json
import os
import pickle
import shlex
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "lib"))

import psycopg  # noqa: E402

import eventstore  # noqa: E402
from pgcluster import Cluster, HarnessError, Workspace  # noqa: E402
from pgshunt import MIGRATION_ENDS, Direct, Pgshunt, passed  # noqa: E402
from proof import Proof  # noqa: E402

DBNAME = "shop"
MOVING = "7d0f9c1e-52ab-4c3e-9f0a-3b1d5e8a6c01"
BUSY = ["a1b0c2d4-0001-4a00-8000-000000000001", "a1b0c2d4-0002-4a00-8000-000000000002",
        "a1b0c2d4-0003-4a00-8000-000000000003"]
QUIET = ["c0ffee00-0001-4a00-8000-000000000001", "c0ffee00-0002-4a00-8000-000000000002"]
STREAM_LENGTH = 50

WARM_UP_S = 3
BEFORE_CUTOVER_S = 2
AFTER_CUTOVER_S = 8
MIGRATION_TIMEOUT_S = 150


def arguments():
    parser = argparse.ArgumentParser(description="Moves one tenant of an event store to another PostgreSQL, live.")
    parser.add_argument("--events", type=int, default=200_000, help="events of the tenant that moves (200000)")
    parser.add_argument("--appends-per-second", type=int, default=560, dest="rate",
                        help="appends by all tenants together, a little over half of them by the one that moves (560)")
    parser.add_argument("--keep", action="store_true", help="leave servers and proxy running afterwards")
    parser.add_argument("--direct", action="store_true",
                        help="the same load straight at the first server, nothing moves: what the load alone costs")
    parser.add_argument("--after", type=float, default=AFTER_CUTOVER_S, metavar="S",
                        help=f"seconds of load after the cutover ({AFTER_CUTOVER_S})")
    options = parser.parse_args()
    if options.events < STREAM_LENGTH or options.rate < 20:
        parser.error(f"at least {STREAM_LENGTH} events and 20 appends/s")
    return options


# --- saying what happens ----------------------------------------------------------------------------------------------

class Screen:
    """Steps as lines; progress as a bar that is drawn over itself on a terminal, and as a line a second elsewhere."""

    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.begun = time.monotonic()
        self.drawn = 0.0
        self.open_bar = False

    def step(self, text):
        self.finish()
        print(f"[{time.monotonic() - self.begun:6.1f} s] {text}", flush=True)

    def progress(self, label, fraction, rest):
        now = time.monotonic()
        if now - self.drawn < (0.1 if self.tty else 1.0):
            return
        self.drawn = now
        if self.tty:
            width = 28
            full = int(width * min(max(fraction, 0.0), 1.0))
            bar = "█" * full + "·" * (width - full)
            print(f"\r\033[K           {label:<11} {bar} {rest}", end="", flush=True)
            self.open_bar = True
        else:
            print(f"           {label:<11} {fraction * 100:5.1f}%  {rest}", flush=True)

    def finish(self):
        if self.open_bar:
            print()
            self.open_bar = False
        self.drawn = 0.0


# --- the stores -------------------------------------------------------------------------------------------------------

def create_store(workspace, name):
    # Durable as a real server is, or the pauses would flatter; the data is thrown away all the same.
    cluster = Cluster(workspace, name, settings={"fsync": "on", "shared_buffers": "256MB"})
    cluster.create()
    cluster.start()
    eventstore.create_roles(cluster)
    eventstore.create_database(cluster, DBNAME)
    return cluster


def fill_source(shared, events):
    others = {tenant: max(events // 10, STREAM_LENGTH) for tenant in BUSY + QUIET}
    eventstore.fill(shared, DBNAME, {MOVING: events, **others}, STREAM_LENGTH)
    return events + sum(others.values())


# --- the load ---------------------------------------------------------------------------------------------------------

def old_streams(shared, tenant, number):
    """Some of the tenant's imported streams, for writers to go on with."""
    return [{"id": str(identity), "version": version} for identity, version in shared.rows(
        DBNAME, "SELECT aggregate_id, max(version) FROM events WHERE tenant_id = %s GROUP BY 1 ORDER BY 1 LIMIT %s",
        [tenant, number])]


def writer_specs(shared, tenant, rate, number, first_styles, prefix, old_each=4, new_each=8):
    streams = old_streams(shared, tenant, number * old_each)
    specs = []
    for index in range(number):
        specs.append({"name": f"{prefix}-{index}", "tenant": tenant, "rate": rate / number,
                      "style": first_styles[index % len(first_styles)],
                      "streams": streams[index * old_each:(index + 1) * old_each], "new_streams": new_each})
    return specs


def load_plans(shared, proxy, rate):
    """Half of the connections write as eventsource-py does: the version is probed by the stream alone, no tenant anywhere,
    and only the append names it. Of the others, half say the tenant at login, half by SET LOCAL. asyncpg carries most of
    it, psycopg a little."""
    styles = ["stream", "startup", "stream", "local"]
    moving, other = rate * 0.55, rate * 0.45 / len(BUSY)
    common = {"host": proxy.host, "port": proxy.port, "dbname": DBNAME, "user": eventstore.APP,
              "password": eventstore.APP_PASSWORD}
    by_psycopg = 6.0                   # appends/s and connection: this driver is the slower one
    slow = writer_specs(shared, MOVING, 2 * by_psycopg, 2, ["stream", "startup"], "psycopg-moving")
    slow += writer_specs(shared, BUSY[0], 2 * by_psycopg, 2, ["stream", "local"], "psycopg-busy")
    fast = writer_specs(shared, MOVING, moving - 2 * by_psycopg, 8, styles, "asyncpg-moving")
    # Their old streams are not those of the psycopg writers: a stream has one writer.
    taken = {stream["id"] for spec in slow for stream in spec["streams"]}
    for spec in fast:
        spec["streams"] = [stream for stream in spec["streams"] if stream["id"] not in taken]
    for index, tenant in enumerate(BUSY):
        share = other - (2 * by_psycopg if index == 0 else 0)
        specs = writer_specs(shared, tenant, share, 4, styles, f"asyncpg-busy{index}")
        for spec in specs:
            spec["streams"] = [stream for stream in spec["streams"] if stream["id"] not in taken]
        fast += specs
    readers = [{"name": f"reader-{tenant[:4]}-{style}", "tenant": tenant, "style": style, "rate": 14}
               for tenant in (MOVING, BUSY[0]) for style in ("stream", "named", "startup")]
    return [{**common, "driver": "asyncpg", "writers": fast[:8], "readers": readers[:3]},
            {**common, "driver": "asyncpg", "writers": fast[8:], "readers": readers[3:]},
            {**common, "driver": "psycopg", "writers": slow, "readers": []}]


class Load:
    """The load's processes: started, watched, stopped; afterwards, their history."""

    def __init__(self, workspace, plans):
        self.processes = []
        self.begun = {}                # number -> a line that is not whole yet
        self.latest = []
        self.slowest_ms = 0.0
        workspace.at_end(self.kill)
        for number, plan in enumerate(plans):
            plan_path = workspace.path / f"load-{number}.json"
            plan_path.write_text(json.dumps(plan), encoding="utf-8")
            os.chmod(plan_path, 0o600)
            records_path = workspace.path / f"load-{number}.history"
            process = subprocess.Popen([sys.executable, str(HERE / "load.py"), str(plan_path), str(records_path)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            os.set_blocking(process.stdout.fileno(), False)
            self.processes.append((process, records_path))
            self.latest.append({"appended": {}, "reads": 0, "errors": 0, "first_error": None, "slowest_ms": 0.0})
        self.started = time.monotonic()

    def poll(self):
        """Reads what the processes have said since. Raises if one has gone."""
        self.slowest_ms = 0.0
        for number, (process, _) in enumerate(self.processes):
            for line in iter(process.stdout.readline, ""):
                line = self.begun.pop(number, "") + line
                if not line.endswith("\n"):      # the rest has not come yet
                    self.begun[number] = line
                    break
                self.latest[number] = json.loads(line)
                self.slowest_ms = max(self.slowest_ms, self.latest[number]["slowest_ms"])
            if process.poll() is not None:
                raise HarnessError(f"a load process ended with {process.returncode}")

    def appended(self, tenant=None):
        return sum(count for latest in self.latest for name, count in latest["appended"].items()
                   if tenant in (None, name))

    def errors(self):
        return sum(latest["errors"] for latest in self.latest)

    def first_error(self):
        return next((latest["first_error"] for latest in self.latest if latest["first_error"]), None)

    def stop(self):
        """Ends the load; what all of its processes have to tell."""
        for process, _ in self.processes:
            process.stdin.close()
        history, errors, reads = [], [], 0
        for process, records_path in self.processes:
            os.set_blocking(process.stdout.fileno(), True)
            process.stdout.read()
            if process.wait(60) != 0:
                raise HarnessError(f"a load process ended with {process.returncode}")
            with open(records_path, "rb") as records:
                done = pickle.load(records)
            history += done["history"]
            errors += done["errors"]
            reads += done["reads"]
        self.processes = []
        return Outcome(history, errors, reads)

    def kill(self):
        for process, _ in self.processes:
            process.kill()
            process.wait()


class Outcome:
    """What clients were told."""

    def __init__(self, history, errors, reads):
        self.history, self.errors, self.reads = history, errors, reads
        self.rate = self.moving_rate = 0.0

    def measure(self, begun, ended):
        """Appends per second between two moments."""
        counted = [record for record in self.history if begun <= record["acked"] <= ended]
        self.rate = len(counted) / (ended - begun)
        self.moving_rate = sum(1 for record in counted if record["tenant"] == MOVING) / (ended - begun)


class Rate:
    """Appends per second over the last second or two."""

    def __init__(self, load):
        self.load = load
        self.points = [(time.monotonic(), load.appended())]

    def now(self):
        self.points.append((time.monotonic(), self.load.appended()))
        while self.points[-1][0] - self.points[0][0] > 2.0:
            self.points.pop(0)
        (t0, n0), (t1, n1) = self.points[0], self.points[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0


def load_line(load, rate):
    line = f"{rate.now():4.0f} appends/s, slowest {load.slowest_ms:5.1f} ms"
    if load.errors():
        line += f", {load.errors()} ERRORS: {load.first_error()}"
    return line


def run_load(screen, load, rate, label, seconds):
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        time.sleep(0.2)
        load.poll()
        screen.progress(label, (time.monotonic() - begun) / seconds, load_line(load, rate))
    screen.finish()


# --- the migration ----------------------------------------------------------------------------------------------------

def number(text):
    return float(text) if text not in (None, "") else 0.0


def watch_until(screen, proxy, load, rate, identity, wanted):
    """Draws the migration's progress until it is in state `wanted`; what SHOW MIGRATION said last."""
    deadline = time.monotonic() + MIGRATION_TIMEOUT_S
    while True:
        seen = proxy.migration(identity)
        load.poll()
        copied, total = number(seen.get("events_copied")), number(seen.get("total_events"))
        screen.progress(seen["state"], copied / total if total else 0.0,
                        f"{copied:,.0f} of {total:,.0f} events, lag {number(seen.get('sync_lag_events')):.0f}"
                        f" │ {load_line(load, rate)}")
        if seen["state"] == wanted:
            screen.finish()
            return seen
        if seen["state"] in MIGRATION_ENDS or time.monotonic() > deadline:
            screen.finish()
            raise HarnessError(f"the migration is {seen['state']}, not {wanted}: {seen.get('error_message')}")
        time.sleep(0.2)


def wait_ready_for_cutover(screen, proxy, load, rate, identity):
    deadline = time.monotonic() + MIGRATION_TIMEOUT_S
    while True:
        ready, rows = proxy.check_cutover(identity)
        if ready:
            screen.finish()
            return
        load.poll()
        missing = [str(next(iter(row.values()))) for row in rows if not passed(row)]
        screen.progress("verifying", 1.0, f"not ready: {', '.join(missing)} │ {load_line(load, rate)}")
        if time.monotonic() > deadline:
            screen.finish()
            raise HarnessError(f"CHECK CUTOVER does not get ready: {rows}")
        time.sleep(0.2)


class Migration:
    """What is known of the migration when the proof is made."""

    def __init__(self, identity):
        self.identity = identity
        self.started = time.monotonic()
        self.copied_s = 0.0            # START until dual_write
        self.cutover_sent = self.cutover_done = 0.0
        self.shown = {}                # SHOW MIGRATION after the end
        self.old_rows = 0              # of the tenant, in the old store, right after the cutover


def migrate(screen, proxy, shared, load, rate):
    move = Migration(proxy.start_migration(MOVING, "dedicated"))
    screen.step(f"START MIGRATION TENANT '{MOVING}' TO 'dedicated'   -- {move.identity}")
    seen = watch_until(screen, proxy, load, rate, move.identity, "dual_write")
    move.copied_s = time.monotonic() - move.started
    screen.step(f"in dual_write after {move.copied_s:.1f} s: {number(seen.get('events_copied')):,.0f} events copied;"
                " what is written now is mirrored")
    run_load(screen, load, rate, "dual_write", BEFORE_CUTOVER_S)
    wait_ready_for_cutover(screen, proxy, load, rate, move.identity)
    screen.step(f"CHECK CUTOVER is ready; CUTOVER MIGRATION '{move.identity}'")
    move.cutover_sent = time.monotonic()
    proxy.cutover(move.identity)
    move.cutover_done = time.monotonic()
    move.shown = proxy.wait_state(move.identity, "migrated", 30)
    move.old_rows = eventstore.count(shared, DBNAME, MOVING)
    screen.step(f"migrated: CUTOVER answered after {(move.cutover_done - move.cutover_sent) * 1000:.0f} ms,"
                f" writes paused for {number(move.shown.get('pause_ms')):.1f} ms")
    return move


# --- afterwards -------------------------------------------------------------------------------------------------------

def imported(cluster, tenant):
    """Digest of the tenant's rows that were there before the load began."""
    return eventstore.digest(cluster, DBNAME, "tenant_id = %s AND actor_id = 'importer'", [tenant])


def prove(screen, options, before, shared, home, move, outcome):
    """Every check of the demo. `home`: the cluster where the moving tenant must live now."""
    proof = Proof(screen.step)
    history, errors = outcome.history, outcome.errors
    proof.check(not errors, "no client saw an error",
                f"{len(history):,} appends and {outcome.reads:,} reads, none retried",
                f"{len(errors)} errors, the first: {errors[0] if errors else ''}")
    proof.appends_are_there(home, DBNAME, MOVING, history, "moved tenant")
    proof.check(imported(home, MOVING) == before[MOVING], "moved tenant: what was there before the load is unchanged",
                f"{before[MOVING][0]:,} events, every column the same",
                f"{imported(home, MOVING)[0]:,} of {before[MOVING][0]:,} events, or other content")
    for tenant in BUSY:
        proof.appends_are_there(shared, DBNAME, tenant, history, f"tenant {tenant[:8]}…{tenant[-1]}")
    untouched = [tenant for tenant in BUSY + QUIET if imported(shared, tenant) != before[tenant]]
    strangers = home.value(DBNAME, "SELECT count(*) FROM events WHERE tenant_id IS DISTINCT FROM %s", [MOVING])
    if home is shared:
        strangers = 0
    proof.check(not untouched and not strangers, "other tenants untouched",
                f"{len(BUSY + QUIET)} tenants, every row they had is as it was, none of theirs in the new store",
                f"changed: {untouched}; rows of others in the new store: {strangers}")
    if move:
        prove_cutover(proof, shared, move, history)
    rates = f"{outcome.rate:.0f} appends/s, {outcome.moving_rate:.0f} of them by the tenant that moved"
    proof.check(outcome.rate >= options.rate * 0.9, "the load was as high as asked for", rates,
                f"{rates}, of {options.rate}")
    return proof


def worst_before(records, end, length):
    """The slowest append of the last 20 windows of that length before `end`, in ms."""
    worst = 0.0
    for record in records:
        if end - 20 * length <= record["acked"] <= end:
            worst = max(worst, (record["acked"] - record["sent"]) * 1000)
    return worst


def longest_silence(records, begin, end):
    """The longest time, in ms, in which none of these appends was acknowledged, of those that touch [begin, end]."""
    acked = sorted(record["acked"] for record in records)
    gaps = [later - earlier for earlier, later in zip(acked, acked[1:]) if later >= begin and earlier <= end]
    return max(gaps, default=0.0) * 1000


def prove_cutover(proof, shared, move, history):
    now_old = eventstore.count(shared, DBNAME, MOVING)
    after = [record for record in history
             if record["tenant"] == MOVING and record["sent"] > move.cutover_done]
    strays = shared.value(DBNAME, "SELECT count(*) FROM events WHERE event_id = ANY(%s)",
                          [[record["event"][0] for record in after]])
    proof.check(now_old == move.old_rows and strays == 0 and after, "after the cutover nothing went to the old store",
                f"{len(after):,} appends since, none of them there",
                f"{now_old - move.old_rows} rows more there, {strays} of {len(after)} later appends")
    mine = [record for record in history if record["tenant"] == MOVING]
    took = [(record["acked"] - record["sent"]) * 1000 for record in mine]
    window = [(record["acked"] - record["sent"]) * 1000 for record in mine
              if record["acked"] >= move.cutover_sent and record["sent"] <= move.cutover_done + 0.2]
    usual, slowest = statistics.median(took), max(window, default=0.0)
    pause = number(move.shown.get("pause_ms"))
    proof.check(window and slowest < 100, "the pause was short",
                f"slowest append in the cutover window {slowest:.1f} ms, usually {usual:.1f} ms",
                f"slowest append in the cutover window {slowest:.1f} ms (must be below 100)")
    # What the machine does to an append at any other time is not the cutover's doing: the worst of the windows of the
    # same length before it.
    noise = worst_before(mine, move.cutover_sent, move.cutover_done + 0.2 - move.cutover_sent)
    silence = longest_silence(mine, move.cutover_sent, move.cutover_done)
    seen = f"pgshunt says {pause:.1f} ms; no append was acknowledged for {silence:.1f} ms; the slowest took" \
           f" {slowest - usual:.1f} ms longer than usual (before the cutover up to {noise - usual:.1f} ms)"
    proof.check(abs(silence - pause) <= 10 or (pause <= slowest + 10 and slowest <= noise),
                "the reported pause is what clients saw", seen, seen)


def summary(screen, move):
    copied = number(move.shown.get("events_copied"))
    screen.step(f"pause {number(move.shown.get('pause_ms')):.1f} ms as measured by the proxy"
                f" ({number(move.shown.get('held_writes')):.0f} writes held, the longest for"
                f" {number(move.shown.get('longest_hold_ms')):.1f} ms)")
    screen.step(f"lag at the end {number(move.shown.get('sync_lag_events')):.0f} events;"
                f" {copied:,.0f} events copied, {copied / move.copied_s:,.0f} events/s")


def say_what_is_kept(workspace, shared, dedicated, proxy):
    pids = [cluster.process.pid for cluster in (shared, dedicated)]
    stop = workspace.path / "stop.sh"
    stop.write_text("#!/bin/sh\n# Ends what the demo left running, and removes it.\n"
                    f"kill -TERM {proxy.process.pid}; kill -INT {' '.join(map(str, pids))}\nsleep 2\n"
                    f"rm -rf {shlex.quote(str(workspace.path))}\n", encoding="utf-8")
    stop.chmod(0o700)
    admin = shlex.join(proxy.admin_psql_command())
    print(f"""
Left running. The application's way in, through pgshunt:
  psql {shlex.quote(proxy.conninfo(DBNAME, eventstore.APP, eventstore.APP_PASSWORD))}
The two stores themselves:
  psql {shlex.quote(shared.conninfo(DBNAME, eventstore.APP, eventstore.APP_PASSWORD))}
  psql {shlex.quote(dedicated.conninfo(DBNAME, eventstore.APP, eventstore.APP_PASSWORD))}
The operator's way in, and what to try next:
  {admin} -c 'SHOW MIGRATIONS'
  {admin} -c "SHOW ROUTE '{MOVING}'"
  {admin} -c "EXPLAIN ROUTE SELECT * FROM events WHERE tenant_id = '{MOVING}'"
  {admin} -c "START MIGRATION TENANT '{BUSY[0]}' TO 'dedicated'"
  {admin}
Its log: {proxy.log_path}
To end it all: {stop}""")


def story(options, screen, workspace):
    screen.step("starting two PostgreSQL servers")
    shared = create_store(workspace, "shared")
    dedicated = create_store(workspace, "dedicated")
    screen.step(f"filling the event store: {options.events:,} events of the tenant that will move, and five others")
    total = fill_source(shared, options.events)
    proxy = Direct(shared)
    if not options.direct:
        proxy = Pgshunt(workspace, users={eventstore.APP: eventstore.APP_PASSWORD},
                        stores={"shared": eventstore.store_conninfo(shared, DBNAME),
                                "dedicated": eventstore.store_conninfo(dedicated, DBNAME)})
        proxy.start()
        screen.step(f"{total:,} events; pgshunt listens on {proxy.host}:{proxy.port}")
    before = {tenant: imported(shared, tenant) for tenant in [MOVING, *BUSY, *QUIET]}

    load = Load(workspace, load_plans(shared, proxy, options.rate))
    rate = Rate(load)
    screen.step("applications append and read through it" if not options.direct else "load, straight at the server")
    run_load(screen, load, rate, "warming up", WARM_UP_S)
    # From here on the load has to hold its rate: connections are made, streams are begun.
    begun = time.monotonic()
    move = None if options.direct else migrate(screen, proxy, shared, load, rate)
    run_load(screen, load, rate, "afterwards", options.after)
    ended = time.monotonic()
    outcome = load.stop()
    outcome.measure(begun, ended)
    screen.step("the load has ended; now both stores are read, past the proxy")

    proof = prove(screen, options, before, shared, dedicated if move else shared, move, outcome)
    if move:
        summary(screen, move)
    if options.keep and move:
        say_what_is_kept(workspace, shared, dedicated, proxy)
        workspace.keep()
    elif not options.direct:
        proxy.stop()
    return proof


def main():
    options = arguments()
    screen = Screen()
    # Ended from outside, we still stop what we started.
    for number_ in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_, lambda *_: sys.exit(130))
    try:
        with Workspace("pgshunt-demo-") as workspace:
            try:
                proof = story(options, screen, workspace)
            except (HarnessError, AssertionError, psycopg.Error) as problem:
                screen.finish()
                print(f"\nFAILED: {problem}", file=sys.stderr)
                log = workspace.path / "pgshunt" / "log"
                if log.exists():
                    print("\n".join(log.read_text(errors="replace").splitlines()[-30:]), file=sys.stderr)
                return 1
    except KeyboardInterrupt:
        return 130
    screen.finish()
    print("\nNothing was lost." if proof.holds() else f"\nFAILED: {proof.failed} of {proof.checked} checks")
    return 0 if proof.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
