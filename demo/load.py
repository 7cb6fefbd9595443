"""One process of the demo's load: writers and readers of several tenants, each on a connection of its own.

    load.py PLAN RECORDS      PLAN: a JSON file written by demo.py; RECORDS: where the history goes at the end

It runs until its standard input is closed. Every 200 ms it says on standard output, as one line of JSON, what it did.
Nothing is ever retried: an error is an error that an application would have seen. Every stream has one writer, which
knows the version that must come next; a version read that is not the last one acknowledged is an error too.

The history (pickled): for each acknowledged append everything that was sent, the position that came back and when, so
that whoever reads the stores afterwards can tell what was lost, doubled, changed or reordered.
"""
import asyncio
import gc
import json
import pickle
import random
import sys
import threading
import time
import uuid
from datetime import datetime, timezone

AGGREGATE_TYPE = "Order"

# How a connection says whose rows it means (evidence, as docs/architecture.md calls it).
STREAM = "stream"      # as eventsource-py does: reads name a stream and no tenant, the append alone names the tenant
NAMED = "named"        # every statement names the tenant
STARTUP = "startup"    # options=-c app.tenant_id=… at login; the version is probed by the stream's id alone
LOCAL = "local"        # SET LOCAL in every transaction; the version is probed by the stream's id alone

BY_STREAM = "SELECT COALESCE(MAX(version), 0) FROM events WHERE aggregate_id = $1 AND aggregate_type = $2"
PROBE = {
    STREAM: BY_STREAM,
    NAMED: "SELECT coalesce(max(version), 0) FROM events"
           " WHERE tenant_id = $1 AND aggregate_id = $2 AND aggregate_type = $3",
    STARTUP: BY_STREAM,
    LOCAL: BY_STREAM,
}
APPEND = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version,"
          " timestamp, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING global_position")
READ_BY_STREAM = ("SELECT version, global_position FROM events WHERE aggregate_id = $1 AND aggregate_type = $2"
                  " ORDER BY version DESC LIMIT 20")
READ_STREAM = {
    STREAM: READ_BY_STREAM,
    NAMED: "SELECT version, global_position FROM events WHERE tenant_id = $1 AND aggregate_id = $2"
           " AND aggregate_type = $3 ORDER BY version DESC LIMIT 20",
    STARTUP: READ_BY_STREAM,
}
READ_FEED = ("SELECT global_position, event_id FROM events WHERE tenant_id = $1 AND global_position > $2"
             " ORDER BY global_position LIMIT 50")


class Anomaly(Exception):
    """An answer that no correct database gives."""


class Stream:
    """A stream and its one writer's knowledge of it."""
    __slots__ = ("id", "version")

    def __init__(self, identity, version):
        self.id = identity
        self.version = version          # the last one acknowledged


class Load:
    """What all connections of this process share: the history, the counters, the streams readers look at."""

    def __init__(self, plan):
        self.plan = plan
        self.history = []
        self.errors = []
        self.reads = 0
        self.slowest_ms = 0.0           # since the last report
        self.appended = {}              # tenant -> acknowledged appends
        self.streams = {}               # tenant -> streams written here
        self.stopping = threading.Event()

    def acknowledged(self, record):
        self.history.append(record)
        tenant = record["tenant"]
        self.appended[tenant] = self.appended.get(tenant, 0) + 1
        self.slowest_ms = max(self.slowest_ms, (record["acked"] - record["sent"]) * 1000)

    def failed(self, who, problem):
        self.errors.append({"who": who, "at": time.monotonic(),
                            "problem": f"{type(problem).__name__}: {problem}"[:500],
                            "sqlstate": getattr(problem, "sqlstate", None)})

    def report(self):
        line = {"appended": self.appended, "reads": self.reads, "errors": len(self.errors),
                "first_error": self.errors[0]["problem"] if self.errors else None,
                "slowest_ms": round(self.slowest_ms, 1)}
        self.slowest_ms = 0.0
        print(json.dumps(line), flush=True)


class Writer:
    """What to append next; the drivers below only carry it to the server."""

    def __init__(self, load, spec):
        self.load = load
        self.name = spec["name"]
        self.style = spec["style"]
        self.tenant = spec["tenant"]
        self.tenant_id = uuid.UUID(spec["tenant"])
        self.interval_s = 1.0 / spec["rate"]
        self.chance = random.Random(spec["name"])
        # Some streams are as old as the store, some begin now.
        self.streams = [Stream(uuid.UUID(old["id"]), old["version"]) for old in spec["streams"]]
        self.streams += [Stream(uuid.uuid4(), 0) for _ in range(spec["new_streams"])]
        self.turn = 0
        load.streams.setdefault(self.tenant, []).extend(self.streams)

    def next_stream(self):
        self.turn += 1
        return self.streams[self.turn % len(self.streams)]

    def event(self, stream, version):
        """The parameters of APPEND. The payload is in jsonb's own text form, so that it can be compared as text."""
        note = "%032x" % self.chance.getrandbits(128)
        payload = '{"n": %d, "by": "%s", "note": "%s"}' % (self.turn, self.name, note)
        return (uuid.uuid4(), stream.id, AGGREGATE_TYPE, "OrderChanged", self.tenant_id, self.name, version,
                datetime.now(timezone.utc), payload)

    def probe_parameters(self, stream):
        if self.style == NAMED:
            return (self.tenant_id, stream.id, AGGREGATE_TYPE)
        return (stream.id, AGGREGATE_TYPE)

    def check_version(self, stream, seen):
        if seen != stream.version:
            raise Anomaly(f"stream {stream.id} is at version {seen}, but {stream.version} was acknowledged last")

    def done(self, stream, event, position, sent, acked):
        stream.version = event[6]
        self.load.acknowledged({"tenant": self.tenant, "event": event, "position": position, "sent": sent,
                                "acked": acked, "writer": self.name})


def startup_options(spec):
    return f"-c app.tenant_id={spec['tenant']}" if spec["style"] == STARTUP else None


# --- asyncpg: most of the load, on one event loop ---------------------------------------------------------------------

async def paced(interval_s, offset_s, stopping):
    """Yields when it is time, without bursts: who fell behind by more than half a second forgets the rest."""
    due = time.monotonic() + offset_s
    while not stopping.is_set():
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        elif wait < -0.5:
            due = time.monotonic()
        due += interval_s
        if not stopping.is_set():
            yield


async def asyncpg_connect(plan, spec):
    import asyncpg
    settings = {"application_name": spec["name"]}
    options = startup_options(spec)
    if options:
        settings["options"] = options
    return await asyncpg.connect(host=plan["host"], port=plan["port"], database=plan["dbname"], user=plan["user"],
                                 password=plan["password"], server_settings=settings, ssl=False, timeout=20)


async def asyncpg_append(conn, writer, stream):
    sent = time.monotonic()
    await conn.execute("BEGIN")
    if writer.style == LOCAL:
        await conn.execute(f"SET LOCAL app.tenant_id = '{writer.tenant}'")
    seen = await conn.fetchval(PROBE[writer.style], *writer.probe_parameters(stream))
    writer.check_version(stream, seen)
    event = writer.event(stream, seen + 1)
    position = await conn.fetchval(APPEND, *event)
    await conn.execute("COMMIT")
    writer.done(stream, event, position, sent, time.monotonic())


async def asyncpg_writer(load, spec):
    writer = Writer(load, spec)
    try:
        conn = await asyncpg_connect(load.plan, spec)
        async for _ in paced(writer.interval_s, writer.chance.random() * writer.interval_s, load.stopping):
            await asyncpg_append(conn, writer, writer.next_stream())
        await conn.close()
    except Exception as problem:        # whatever it is, the application would have seen it
        load.failed(writer.name, problem)


def check_stream_read(stream, floor, rows):
    """`floor`: the version that was acknowledged before the read was sent."""
    versions = [row[0] for row in rows]
    if versions and versions != list(range(versions[0], versions[0] - len(versions), -1)):
        raise Anomaly(f"stream {stream.id} reads as versions {versions}")
    if (versions[0] if versions else 0) < floor:
        raise Anomaly(f"stream {stream.id} reads up to version {versions[:1]}, but {floor} was acknowledged before")
    positions = [row[1] for row in rows]
    if positions != sorted(positions, reverse=True):
        raise Anomaly(f"stream {stream.id} has positions out of order: {positions}")


async def asyncpg_reader(load, spec):
    chance = random.Random(spec["name"])
    tenant_id = uuid.UUID(spec["tenant"])
    fed_up_to = 0
    try:
        conn = await asyncpg_connect(load.plan, spec)
        async for _ in paced(1.0 / spec["rate"], chance.random() / spec["rate"], load.stopping):
            if spec["style"] == NAMED and chance.random() < 0.3:
                rows = await conn.fetch(READ_FEED, tenant_id, fed_up_to)
                positions = [row[0] for row in rows]
                if positions != sorted(set(positions)) or (positions and positions[0] <= fed_up_to):
                    raise Anomaly(f"the feed after {fed_up_to} reads as {positions}")
                fed_up_to = positions[-1] if positions else 0
            else:
                stream = chance.choice(load.streams[spec["tenant"]])
                floor = stream.version
                parameters = (stream.id, AGGREGATE_TYPE)
                if spec["style"] == NAMED:
                    parameters = (tenant_id, *parameters)
                check_stream_read(stream, floor, await conn.fetch(READ_STREAM[spec["style"]], *parameters))
            load.reads += 1
        await conn.close()
    except Exception as problem:
        load.failed(spec["name"], problem)


async def asyncpg_reports(load):
    while not load.stopping.is_set():
        await asyncio.sleep(0.2)
        load.report()


async def asyncpg_main(load):
    writers = [asyncpg_writer(load, spec) for spec in load.plan["writers"]]
    readers = [asyncpg_reader(load, spec) for spec in load.plan["readers"]]
    await asyncio.gather(*writers, *readers, asyncpg_reports(load))


# --- psycopg: a thread for each connection ----------------------------------------------------------------------------

def psycopg_text(statement):
    """$1, $2 … as psycopg writes them; they stand in order in all our statements."""
    for number in range(9, 0, -1):
        statement = statement.replace(f"${number}", "%s")
    return statement


PSYCOPG_PROBE = {style: psycopg_text(statement) for style, statement in PROBE.items()}
PSYCOPG_APPEND = psycopg_text(APPEND)


def psycopg_append(conn, writer, stream):
    sent = time.monotonic()
    with conn.transaction():
        if writer.style == LOCAL:
            conn.execute(f"SET LOCAL app.tenant_id = '{writer.tenant}'")
        seen = conn.execute(PSYCOPG_PROBE[writer.style], writer.probe_parameters(stream)).fetchone()[0]
        writer.check_version(stream, seen)
        event = writer.event(stream, seen + 1)
        position = conn.execute(PSYCOPG_APPEND, event).fetchone()[0]
    writer.done(stream, event, position, sent, time.monotonic())


def psycopg_writer(load, writer, spec):
    import psycopg
    plan = load.plan
    try:
        conn = psycopg.connect(host=plan["host"], port=plan["port"], dbname=plan["dbname"], user=plan["user"],
                               password=plan["password"], application_name=spec["name"], sslmode="disable",
                               connect_timeout=20, autocommit=True, options=startup_options(spec))
        due = time.monotonic() + writer.chance.random() * writer.interval_s
        while not load.stopping.wait(max(0.0, due - time.monotonic())):
            psycopg_append(conn, writer, writer.next_stream())
            due = max(due + writer.interval_s, time.monotonic() - 0.5)
        conn.close()
    except Exception as problem:
        load.failed(writer.name, problem)


def psycopg_main(load):
    threads = []
    for spec in load.plan["writers"]:
        writer = Writer(load, spec)
        threads.append(threading.Thread(target=psycopg_writer, args=(load, writer, spec)))
    for thread in threads:
        thread.start()
    while not load.stopping.wait(0.2):
        load.report()
    for thread in threads:
        thread.join()


# --- the process ------------------------------------------------------------------------------------------------------

def stop_at_end_of_input(load):
    sys.stdin.read()
    load.stopping.set()


def main():
    plan_path, records_path = sys.argv[1:3]
    with open(plan_path, encoding="utf-8") as plan_file:
        load = Load(json.load(plan_file))
    # A collection of everything the history holds would show up as the slowest append; there are no cycles to collect.
    gc.disable()
    threading.Thread(target=stop_at_end_of_input, args=(load,), daemon=True).start()
    if load.plan["driver"] == "asyncpg":
        asyncio.run(asyncpg_main(load))
    else:
        psycopg_main(load)
    load.report()
    with open(records_path, "wb") as records:
        pickle.dump({"history": load.history, "errors": load.errors, "reads": load.reads}, records)


if __name__ == "__main__":
    main()
