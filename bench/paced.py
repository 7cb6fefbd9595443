"""Appends at a fixed rate from a process of their own, and how long each took: `Paced` is what a bench holds, the rest runs
there. A time counts from the moment an append was due, not from the moment it was sent: who waits behind a slow one has
waited, too. Nothing is retried; an error is one that an application would have seen.

    with Paced(proxy, dbname, tenant, connections=16, rate=1000) as load: ...
    load.samples      # (due, acknowledged, event_id), seconds of CLOCK_MONOTONIC
    load.errors       # texts
"""
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from datetime import datetime, timezone

INSERT = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version, timestamp,"
          " payload) VALUES ($1, $2, 'Order', 'OrderChanged', $3, 'bench', $4, $5, $6)")


class Paced:
    def __init__(self, proxy, dbname, tenant, user, password, connections, rate):
        self.plan = {"host": proxy.host, "port": proxy.port, "database": dbname, "user": user, "password": password,
                     "tenant": tenant, "connections": connections, "rate": rate}
        self.samples, self.errors = [], []

    def __enter__(self):
        self.out = tempfile.NamedTemporaryFile("r", suffix=".json")
        self.process = subprocess.Popen(["/usr/bin/python3", __file__, json.dumps(self.plan), self.out.name],
                                        stdin=subprocess.PIPE)
        return self

    def stop(self):
        """Ends the load and reads what it has to tell."""
        if self.process is None:
            return
        self.process.stdin.close()
        code, self.process = self.process.wait(60), None
        if code == 0:
            told = json.load(self.out)
            self.samples, self.errors = [tuple(sample) for sample in told["samples"]], told["errors"]
        else:
            self.errors = [f"the load ended with {code}"]

    def __exit__(self, *_):
        self.stop()
        self.out.close()

    def latencies_ms(self, begin, end):
        """Of what was due in between, sorted."""
        return sorted((acked - due) * 1000 for due, acked, _ in self.samples if begin <= due < end)


def percentile(values, share):
    """Of sorted values; 0 if there are none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


# --- in the process ---------------------------------------------------------------------------------------------------

async def append_for_ever(plan, number, begun, told, stopping):
    import asyncpg
    conn = await asyncpg.connect(host=plan["host"], port=plan["port"], database=plan["database"], user=plan["user"],
                                 password=plan["password"], ssl=False)
    insert = await conn.prepare(INSERT)
    tenant, stream, version = uuid.UUID(plan["tenant"]), uuid.uuid4(), 0
    interval = plan["connections"] / plan["rate"]
    due = begun + interval * number / plan["connections"]
    while not stopping.is_set():
        now = time.monotonic()
        if now < due:
            await asyncio.sleep(due - now)
        event_id = uuid.uuid4()
        try:
            await insert.fetch(event_id, stream, tenant, version + 1, datetime.now(timezone.utc), '{"n": 1}')
        except Exception as problem:           # an application would have seen it, whatever it is
            told["errors"].append(f"{type(problem).__name__}: {problem}"[:300])
            return
        version += 1
        told["samples"].append((due, time.monotonic(), str(event_id)))
        due += interval
        if version % 500 == 0:
            stream, version = uuid.uuid4(), 0
    await conn.close()


async def run(plan, out):
    told, stopping = {"samples": [], "errors": []}, threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
    begun = time.monotonic() + 0.5
    await asyncio.gather(*(append_for_ever(plan, number, begun, told, stopping)
                           for number in range(plan["connections"])))
    with open(out, "w", encoding="utf-8") as file:
        json.dump(told, file)


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1]), sys.argv[2]))
