"""What does an application feel of a move? One tenant is moved under a fixed rate of appends: the copy, the lag of the
mirror, 19 rehearsals and the cutover, as pgshunt reports their pauses and as the application's own times show them. In
between the target is away: frozen (SIGSTOP), then killed, then started again, in turns with as long a time in which it is
there; what is compared is the application's latency in the one and in the other.
"""
import argparse
import json
import platform
import statistics
import time

from paced import Paced, percentile
from pgbench_run import DBNAME, TOP, create_store, tenant

import eventstore
from pgcluster import Workspace, wait_until
from pgshunt import Pgshunt

MOVING, OTHER = tenant(1), tenant(2)


def lag(proxy, identity):
    """(captured rows that are not mirrored, the oldest's age in ms)."""
    row = proxy.admin(f"SHOW LAG '{identity}'")[0]
    return row["entries"], row["oldest_ms"]


def watch_lag(proxy, identity, seconds):
    """The age of what was not mirrored yet, looked at twenty times a second; sorted."""
    seen, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        seen.append(float(lag(proxy, identity)[1]))
        time.sleep(0.05)
    return sorted(seen)


def outage(proxy, dedicated, identity, seconds):
    """The target is away for `seconds`, half of it frozen. (begin, end, seconds until the lag was back at zero)."""
    begin = time.monotonic()
    dedicated.freeze()
    time.sleep(seconds / 2)
    dedicated.kill()
    time.sleep(seconds / 2)
    end = time.monotonic()
    dedicated.start()
    wait_until("the lag is back at zero", lambda: lag(proxy, identity)[0] == 0, 900, 0.1)
    return begin, end, time.monotonic() - end


def period(seconds):
    begin = time.monotonic()
    time.sleep(seconds)
    return begin, time.monotonic()


def move(given, proxy, dedicated):
    """Everything but the load; what was measured, and when."""
    told = {"events": given.events}
    begun = time.monotonic()
    identity = proxy.start_migration(MOVING, "dedicated", "max_bulk_copy_rate = 0, dual_write_timeout_minutes = 600")
    proxy.wait_state(identity, "dual_write", 7200)
    told["copy"] = (begun, time.monotonic())
    proxy.wait_cutover_ready(identity, 3600)
    told["lag_ms"] = watch_lag(proxy, identity, given.quiet)
    told["without"], told["with"], told["back_s"] = [], [], []
    for _ in range(given.rounds):
        told["without"].append(period(given.outage / given.rounds))
        begin, end, back = outage(proxy, dedicated, identity, given.outage / given.rounds)
        told["with"].append((begin, end))
        told["back_s"].append(back)
    told["without"].append(period(given.outage / given.rounds))
    proxy.wait_cutover_ready(identity, 3600)
    begun = time.monotonic()
    told["rehearsals"] = proxy.admin(f"REHEARSE CUTOVER '{identity}' TIMES 19")
    told["rehearsed"] = (begun, time.monotonic())
    proxy.wait_cutover_ready(identity, 3600)
    begun = time.monotonic()
    told["cutover"] = proxy.cutover(identity)[0]
    told["switched"] = (begun - 0.5, time.monotonic() + 1.0)
    time.sleep(3)
    told["report"] = {name: value for name, value in proxy.migration(identity).items() if name.startswith("cutover_")}
    return told


def span(load, spans):
    """(median, p99, most) in ms over several spans of time."""
    times = sorted(time_ms for begin, end in spans for time_ms in load.latencies_ms(begin, end))
    return statistics.median(times) if times else 0.0, percentile(times, 0.99), times[-1] if times else 0.0


def check(load, dedicated):
    """Everything acknowledged is in the target, once."""
    stored = dedicated.rows(DBNAME, "SELECT event_id FROM events WHERE tenant_id = %s AND actor_id = 'bench'", [MOVING])
    stored = [str(row[0]) for row in stored]
    acknowledged = {event_id for _, _, event_id in load.samples}
    return len(acknowledged - set(stored)), len(stored) - len(set(stored))


def report(given, told, load, lost, doubled):
    pauses = sorted([row["pause_ms"] for row in told["rehearsals"] if row["result"] == "ok"] + [told["cutover"]["pause_ms"]])
    blocked = sum(row["result"] != "ok" for row in told["rehearsals"])
    usual, away = span(load, told["without"]), span(load, told["with"])
    copied = told["copy"][1] - told["copy"][0]
    lines = [
        f"{given.events} events, {given.connections} connections, {given.rate} appends/s: {len(load.samples)} acknowledged,"
        f" {len(load.errors)} errors, {lost} lost, {doubled} doubled",
        f"copied in {copied:.1f} s; appends meanwhile: median %.1f, p99 %.1f, most %.1f ms" % span(load, [told["copy"]]),
        f"lag in dual_write: median {percentile(told['lag_ms'], 0.5):.0f}, p99 {percentile(told['lag_ms'], 0.99):.0f} ms",
        f"target there: median %.2f, p99 %.2f, most %.1f ms" % usual,
        f"target away: median %.2f, p99 %.2f, most %.1f ms; p99 %.2f times; lag back at zero after %s s" % (
            *away, away[1] / usual[1] if usual[1] else 0, ", ".join(f"{s:.1f}" for s in told["back_s"])),
        f"pause of {len(told['rehearsals'])} rehearsals ({blocked} blocked) and the cutover: median"
        f" {statistics.median(pauses):.1f}, most {pauses[-1]:.1f} ms; the cutover's {told['cutover']['pause_ms']:.1f} ms,"
        f" {told['cutover']['held_writes']} held, the longest {told['cutover']['longest_hold_ms']} ms",
        f"appends around the rehearsals: median %.1f, p99 %.1f, most %.1f ms" % span(load, [told["rehearsed"]]),
        f"appends around the cutover: median %.1f, p99 %.1f, most %.1f ms" % span(load, [told["switched"]]),
    ]
    lines += [f"error: {problem}" for problem in load.errors[:5]]
    print("\n".join(lines))


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="50,000 events, 300 appends/s, 8 s without the target")
    arguments.add_argument("--events", type=int)
    arguments.add_argument("--rate", type=int)
    arguments.add_argument("--connections", type=int, default=16)
    arguments.add_argument("--outage", type=float, help="seconds without the target, all rounds together")
    given = arguments.parse_args()
    given.events = given.events or (50_000 if given.quick else 2_000_000)
    given.rate = given.rate or (300 if given.quick else 1000)
    given.outage = given.outage or (8 if given.quick else 60)
    given.rounds, given.quiet = (2, 5) if given.quick else (3, 30)
    with Workspace("pgshunt-bench-") as workspace:
        shared, dedicated = (create_store(workspace, name, {"max_wal_size": "4GB"}) for name in ("shared", "dedicated"))
        eventstore.fill(shared, DBNAME, {MOVING: given.events, OTHER: 1000})
        proxy = Pgshunt(workspace, {"shared": eventstore.store_conninfo(shared, DBNAME),
                                    "dedicated": eventstore.store_conninfo(dedicated, DBNAME)},
                        {eventstore.APP: eventstore.APP_PASSWORD}).start()
        with Paced(proxy, DBNAME, MOVING, eventstore.APP, eventstore.APP_PASSWORD, given.connections, given.rate) as load:
            time.sleep(3)
            told = move(given, proxy, dedicated)
            load.stop()
            lost, doubled = check(load, dedicated)
            report(given, told, load, lost, doubled)
        proxy.stop()
    folder = TOP / "bench" / "results" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "move.json").write_text(json.dumps({"machine": platform.platform(), **told}, indent=1, default=str))
    return 1 if load.errors or lost or doubled else 0


if __name__ == "__main__":
    raise SystemExit(main())
