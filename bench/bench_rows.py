"""What does it cost to read the rows of a COPY FROM STDIN? The same rows through PgBouncer, through pgshunt while everybody
is at home (rows are not read) and while another tenant lives elsewhere (every row is), in turns, in each format. What counts is
the proxy's processor time per megabyte; the server throws the rows away (a trigger), so that it is not what is waited for.
"""
import argparse
import json
import platform
import statistics
import struct
import uuid
from datetime import datetime, timezone

import psycopg

from bench_proxy import PgBouncer, cpu_seconds
from pgbench_run import DBNAME, TOP, create_store, tenant

import eventstore
from eventstore import APP, APP_PASSWORD
from pgcluster import Workspace, wait_until
from pgshunt import Pgshunt

COLUMNS = "(event_id, aggregate_id, aggregate_type, event_type, tenant_id, version, timestamp, payload)"
PAYLOAD = '{"order": 4711, "note": "' + "x" * 200 + '"}'
PIECE_BYTES = 64 * 1024  # as libpq's \\copy sends it, about


def text_row(_):
    return f"{uuid.uuid4()}\t{uuid.uuid4()}\tOrder\tOrderChanged\t{tenant(2)}\t1\t2024-01-01\t{PAYLOAD}\n".encode()


def csv_row(_):
    quoted = PAYLOAD.replace('"', '""')
    return f'{uuid.uuid4()},{uuid.uuid4()},Order,"OrderChanged",{tenant(2)},1,2024-01-01,"{quoted}"\n'.encode()


def binary_row(_):
    micros = int((datetime(2024, 1, 1, tzinfo=timezone.utc) - datetime(2000, 1, 1, tzinfo=timezone.utc)).total_seconds()) * 1000000
    fields = [uuid.uuid4().bytes, uuid.uuid4().bytes, b"Order", b"OrderChanged", uuid.UUID(tenant(2)).bytes, struct.pack("!i", 1),
              struct.pack("!q", micros), b"\x01" + PAYLOAD.encode()]
    return struct.pack("!h", len(fields)) + b"".join(struct.pack("!i", len(field)) + field for field in fields)


FORMATS = {"text": (text_row, b"", b""), "csv": (csv_row, b"", b""),
           "binary": (binary_row, b"PGCOPY\n\xff\r\n\0" + bytes(8), struct.pack("!h", -1))}


def data_of(name, megabytes):
    row, head, tail = FORMATS[name]
    some = [row(n) for n in range(500)]
    rows = megabytes * 1000000 // len(b"".join(some)) * 500
    return head + b"".join(some) * (rows // 500) + tail, rows


def measure(contestant, name, data):
    """The proxy's milliseconds per megabyte."""
    _, host, port, pid = contestant
    with psycopg.connect(host=host, port=port, user=APP, password=APP_PASSWORD, dbname=DBNAME, sslmode="disable",
                         autocommit=True) as conn:
        conn.execute("SELECT 1")
        begun = cpu_seconds(pid)
        with conn.cursor().copy(f"COPY events {COLUMNS} FROM STDIN (FORMAT {name})") as rows:
            for at in range(0, len(data), PIECE_BYTES):
                rows.write(data[at:at + PIECE_BYTES])
        return (cpu_seconds(pid) - begun) * 1e9 / len(data)


def home(proxy, shared, store):
    """Another tenant lives there: rows are read while that is not the default store."""
    shared.execute(DBNAME, "INSERT INTO pgshunt.tenant_routing (tenant_id, store_id, migration_state, generation) VALUES"
                           " (%s, %s, 'normal', 1) ON CONFLICT (tenant_id) DO UPDATE SET store_id = excluded.store_id,"
                           " generation = tenant_routing.generation + 1", [tenant(1), store])
    wait_until("the route is known", lambda: proxy.admin(f"SHOW ROUTE '{tenant(1)}'")[0]["store_id"] == store)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--megabytes", type=int, default=200)
    given = arguments.parse_args()
    results = {}
    with Workspace("pgshunt-bench-") as workspace:
        shared, dedicated = (create_store(workspace, name, {"autovacuum": "off", "fsync": "off"}) for name in ("shared", "dedicated"))
        for cluster in (shared, dedicated):
            cluster.execute(DBNAME, "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                                    "CREATE TRIGGER away BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION away()")
        stores = {"shared": eventstore.store_conninfo(shared, DBNAME), "dedicated": eventstore.store_conninfo(dedicated, DBNAME)}
        bouncer = PgBouncer(workspace, shared, {"pool_mode": "session", "default_pool_size": 20})
        proxy = Pgshunt(workspace, stores, {APP: APP_PASSWORD}, settings={"pgshunt": {"workers": 1}}).start()
        contestants = [("PgBouncer", bouncer.host, bouncer.port, bouncer.process.pid), ("pgshunt, unread", proxy.host, proxy.port, proxy.process.pid),
                       ("pgshunt, every row read", proxy.host, proxy.port, proxy.process.pid)]
        for name in FORMATS:
            data, rows = data_of(name, given.megabytes)
            seen = {contestant[0]: [] for contestant in contestants}
            for _ in range(given.rounds):
                for contestant in contestants:
                    away = "every row" in contestant[0]
                    home(proxy, shared, "dedicated" if "every row" in contestant[0] else "shared")
                    seen[contestant[0]].append(measure(contestant, name, data))
            results[name] = seen
            base = seen["PgBouncer"]
            print(f"{name}: {len(data) / 1e6:.0f} MB, {rows} rows, {given.rounds} rounds")
            for contestant, times in seen.items():
                ratios = [mine / theirs for mine, theirs in zip(times, base) if theirs > 0]
                print(f"  {contestant:24} {statistics.median(times):6.2f} ms a MB ({min(times):.2f} to {max(times):.2f}),"
                      f" {statistics.median(ratios):.2f} times PgBouncer ({min(ratios):.2f} to {max(ratios):.2f})")
        proxy.stop()
    folder = TOP / "bench" / "results" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.json").write_text(json.dumps({"machine": platform.platform(), "ms a MB": results}, indent=1))


if __name__ == "__main__":
    main()
