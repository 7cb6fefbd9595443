"""Does the pause grow with the tenant? Tenants of 10^4 to 10^7 events are moved one after the other under the same light
load; for each, 19 rehearsals and the cutover. The plot (bench/results/tmp/pause.svg) has every one of them over the size.
"""
import argparse
import json
import math
import platform
import statistics

from paced import Paced
from pgbench_run import DBNAME, TOP, create_store, tenant

import eventstore
from pgcluster import Workspace
from pgshunt import Pgshunt

MOVING, OTHER = tenant(1), tenant(2)
REHEARSALS = 19


def measure(workspace, events, given):
    """(pauses of the rehearsals, the cutover's), on stores of their own."""
    name = f"{events}"
    shared, dedicated = (create_store(workspace, f"{store}-{name}", {"max_wal_size": "4GB", "fsync": "on"})
                         for store in ("shared", "dedicated"))
    eventstore.fill(shared, DBNAME, {MOVING: events, OTHER: 1000})
    proxy = Pgshunt(workspace, {"shared": eventstore.store_conninfo(shared, DBNAME),
                                "dedicated": eventstore.store_conninfo(dedicated, DBNAME)},
                    {eventstore.APP: eventstore.APP_PASSWORD}, name=f"pgshunt-{name}").start()
    with Paced(proxy, DBNAME, MOVING, eventstore.APP, eventstore.APP_PASSWORD, given.connections, given.rate) as load:
        identity = proxy.start_migration(MOVING, "dedicated", "max_bulk_copy_rate = 0")
        proxy.wait_state(identity, "dual_write", 7200)
        proxy.wait_cutover_ready(identity, 7200)
        rows = proxy.admin(f"REHEARSE CUTOVER '{identity}' TIMES {REHEARSALS}")
        proxy.wait_cutover_ready(identity, 600)
        cutover = proxy.cutover(identity)[0]["pause_ms"]
    assert not load.errors, load.errors[:3]
    proxy.stop()
    for cluster in (shared, dedicated):
        cluster.stop()
    return [row["pause_ms"] for row in rows if row["result"] == "ok"], cutover


# --- the plot ---------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, BOTTOM, TOP_EDGE = 720, 420, 70, 60, 30
INK, GREY, RED = "#222", "#8aa", "#c33"


def text(x, y, words, anchor="middle", size=13):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{INK}">{words}</text>'


def plot(results):
    """An SVG by hand: both axes are drawn, the left one linear from zero."""
    sizes = sorted(results)
    highest = max(max(pauses + [cutover]) for pauses, cutover in results.values())
    step = 10 ** math.floor(math.log10(highest)) or 1
    step = step / 2 if highest / step < 3 else step
    most = step * math.ceil(highest / step)
    low, high = math.log10(sizes[0]) - 0.3, math.log10(sizes[-1]) + 0.3

    def x(events):
        return LEFT + (math.log10(events) - low) / (high - low) * (WIDTH - LEFT - 30)

    def y(pause):
        return HEIGHT - BOTTOM - pause / most * (HEIGHT - BOTTOM - TOP_EDGE)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             text(WIDTH / 2, 18, "Pause of a cutover against the tenant's size", size=15),
             text((WIDTH + LEFT) / 2, HEIGHT - 14, "events of the tenant"), text(14, TOP_EDGE - 8, "ms", "start")]
    for tick in range(int(round(most / step)) + 1):
        at = y(tick * step)
        parts += [f'<line x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - 30}" y2="{at:.1f}" stroke="#ddd"/>',
                  text(LEFT - 8, at + 4, f"{tick * step:g}", "end")]
    for events in sizes:
        pauses, cutover = results[events]
        parts.append(text(x(events), HEIGHT - BOTTOM + 20, f"{events:,}"))
        parts += [f'<circle cx="{x(events) - 6:.1f}" cy="{y(pause):.1f}" r="3" fill="{GREY}" fill-opacity="0.6"/>'
                  for pause in pauses]
        middle = y(statistics.median(pauses)) if pauses else y(cutover)
        parts += [f'<line x1="{x(events) - 18:.1f}" x2="{x(events) + 6:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"'
                  f' stroke="{INK}" stroke-width="2"/>',
                  f'<circle cx="{x(events) + 8:.1f}" cy="{y(cutover):.1f}" r="4" fill="{RED}"/>']
    parts += [f'<circle cx="{LEFT + 20}" cy="{TOP_EDGE + 6}" r="3" fill="{GREY}"/>',
              text(LEFT + 28, TOP_EDGE + 10, "a rehearsal (line: median)", "start", 12),
              f'<circle cx="{LEFT + 220}" cy="{TOP_EDGE + 6}" r="4" fill="{RED}"/>',
              text(LEFT + 230, TOP_EDGE + 10, "the cutover", "start", 12), "</svg>"]
    return "\n".join(parts)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="up to 10^6 events")
    arguments.add_argument("--largest", type=int, help="the largest tenant, a power of ten")
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--connections", type=int, default=8)
    given = arguments.parse_args()
    largest = given.largest or (10**6 if given.quick else 10**7)
    results = {}
    with Workspace("pgshunt-bench-") as workspace:
        for power in range(4, int(round(math.log10(largest))) + 1):
            events = 10**power
            pauses, cutover = results[events] = measure(workspace, events, given)
            print(f"{events:>9} events: {len(pauses)} rehearsals, pause median {statistics.median(pauses):.1f},"
                  f" {min(pauses):.1f} to {max(pauses):.1f} ms; the cutover {cutover:.1f} ms", flush=True)
    folder = TOP / "bench" / "results" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pause.json").write_text(json.dumps({"machine": platform.platform(), "pause_ms": results}, indent=1))
    (folder / "pause.svg").write_text(plot(results), encoding="utf-8")
    print(f"plot: {folder / 'pause.svg'}")


if __name__ == "__main__":
    main()
