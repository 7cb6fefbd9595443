"""Events as the stories write them, and an application that appends all the time and knows what it was told."""
import threading
import time
import uuid

import psycopg

from conftest import connect

INSERT = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version,"
          " timestamp, payload) VALUES (%s, %s, 'Order', 'OrderChanged', %s, %s, %s, now(), %s)"
          " RETURNING global_position")


def append(conn, tenant, stream=None, version=1, event_id=None, payload='{"a": 1}', actor="story"):
    """One event; (event_id, position)."""
    event_id = event_id or uuid.uuid4()
    parameters = (event_id, stream or uuid.uuid4(), uuid.UUID(tenant), actor, version, payload)
    position = conn.execute(INSERT, parameters).fetchone()[0]
    return event_id, position


def place(conn, tenant):
    """The port of the server that answers for the tenant, and how many of its rows it has."""
    return conn.execute("SELECT current_setting('port')::int, count(*) FROM events WHERE tenant_id = %s",
                        [uuid.UUID(tenant)]).fetchone()


class Appender(threading.Thread):
    """Appends to streams of its own until stopped, and goes on with a new connection where it is cut off, as a
    service that is restarted would. Every event is acknowledged (it must be there) or unknown (it may be)."""

    def __init__(self, proxy, stores, tenant, pause_s=0.005, reconnect=False):
        super().__init__(daemon=True, name=f"appender-{uuid.uuid4()}")
        self.proxy, self.stores, self.tenant = proxy, stores, tenant
        self.pause_s, self.reconnect = pause_s, reconnect
        self.acknowledged = {}         # event_id -> (stream, version, position)
        self.unknown = set()
        self.errors = []
        self.slowest_ms = 0.0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                with connect(self.proxy, self.stores) as conn:
                    self._append_for_ever(conn)
            except psycopg.OperationalError as problem:
                if not self.reconnect:
                    self.errors.append(problem)
                    return
                time.sleep(0.05)
            except psycopg.Error as problem:
                self.errors.append(problem)
                return

    def _append_for_ever(self, conn):
        stream, version = uuid.uuid4(), 0
        while not self.stopping.wait(self.pause_s):
            event_id = uuid.uuid4()
            self.unknown.add(event_id)
            sent = time.monotonic()
            try:
                with conn.transaction():
                    seen = conn.execute("SELECT coalesce(max(version), 0) FROM events WHERE tenant_id = %s"
                                        " AND aggregate_id = %s", (uuid.UUID(self.tenant), stream)).fetchone()[0]
                    if seen != version:
                        raise AssertionError(f"stream {stream} is at {seen}, not {version}")
                    _, position = append(conn, self.tenant, stream, version + 1, event_id, actor=self.name)
            except AssertionError as problem:
                self.errors.append(problem)
                return
            version += 1
            self.slowest_ms = max(self.slowest_ms, (time.monotonic() - sent) * 1000)
            self.unknown.discard(event_id)
            self.acknowledged[event_id] = (stream, version, position)

    def stop(self):
        self.stopping.set()
        self.join(60)
        assert not self.is_alive(), "an appender hangs"

    def wait_appended(self, more, timeout_s=30):
        """Returns when `more` further events have been acknowledged."""
        goal, deadline = len(self.acknowledged) + more, time.monotonic() + timeout_s
        while len(self.acknowledged) < goal:
            assert not self.errors, self.errors
            assert time.monotonic() < deadline, f"only {len(self.acknowledged)} of {goal} events were acknowledged"
            time.sleep(0.01)

    def check(self, cluster, positions=True):
        """Everything acknowledged is in `cluster` exactly once as it was sent; nothing else but what is unknown.
        `positions` False: a store that gives its own has given them."""
        rows = cluster.rows(self.stores.dbname, "SELECT event_id, aggregate_id, version, global_position FROM events"
                            " WHERE tenant_id = %s AND actor_id = %s", [self.tenant, self.name])
        stored = {row[0]: tuple(row[1:]) for row in rows}
        assert len(stored) == len(rows)
        lost = {event_id for event_id in self.acknowledged if event_id not in stored}
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} acknowledged events are lost"
        compared = 3 if positions else 2
        changed = {event_id: (told, stored[event_id]) for event_id, told in self.acknowledged.items()
                   if stored[event_id][:compared] != told[:compared]}
        assert not changed, changed
        strange = set(stored) - set(self.acknowledged) - self.unknown
        assert not strange, f"{len(strange)} events that were never acknowledged"
