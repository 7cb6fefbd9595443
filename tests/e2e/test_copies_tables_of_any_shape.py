"""Tables that are not the same on both sides, and still hold the same events; and those that START refuses, naming why."""
import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until

EVENTS = 120
ROWS = ("SELECT global_position::text, event_id::text, aggregate_id::text, aggregate_type::text, event_type::text,"
        " tenant_id::text, actor_id::text, version::text, timestamp::text, payload::text, created_at::text{more}"
        " FROM events WHERE tenant_id = %s ORDER BY event_id")
# Another order of columns, some that are gone, partitions: what a table of some age looks like.
REMADE = """
ALTER TABLE events RENAME TO before;
CREATE TABLE events (gone1 integer, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), gone2 text,
  version integer NOT NULL, tenant_id uuid, event_id uuid NOT NULL {unique}, actor_id varchar(255), timestamp timestamptz NOT NULL,
  event_type varchar(255) NOT NULL, aggregate_type varchar(255) NOT NULL, aggregate_id uuid NOT NULL,
  global_position bigint NOT NULL DEFAULT nextval('events_global_position_seq')) {partition};
ALTER TABLE events DROP COLUMN gone1, DROP COLUMN gone2;
ALTER TABLE events OWNER TO events_owner; GRANT ALL ON events TO app;
ALTER SEQUENCE events_global_position_seq OWNED BY events.global_position;
{partitions}
INSERT INTO events SELECT payload, created_at, version, tenant_id, event_id, actor_id, timestamp, event_type, aggregate_type,
  aggregate_id, global_position FROM before;
DROP TABLE before;
CREATE INDEX ON events (tenant_id, global_position); CREATE INDEX ON events (aggregate_id, aggregate_type, version);
GRANT USAGE ON SEQUENCE events_global_position_seq TO app;
"""
PLAIN = REMADE.format(unique="UNIQUE", partition="", partitions="")
PARTED = REMADE.format(unique="PRIMARY KEY", partition="PARTITION BY HASH (event_id)", partitions=";".join(
    f"CREATE TABLE events_{n} PARTITION OF events FOR VALUES WITH (MODULUS 3, REMAINDER {n});"
    f"ALTER TABLE events_{n} OWNER TO events_owner" for n in range(3)) + ";")
TYPES = "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE place AS (name text, mood mood)"

# What is done to the source, to the target, and what more is compared.
SHAPES = {
    "another order, dropped columns": (None, PLAIN, ""),
    "the target is partitioned": (None, PARTED, ""),
    "both are, the source of another order": (PARTED, PARTED, ""),
    "a generated column": ("ALTER TABLE events ADD size integer GENERATED ALWAYS AS (version * 2) STORED",) * 2 + (", size",),
    "an identity": ("ALTER TABLE events ALTER global_position DROP DEFAULT; ALTER TABLE events ALTER global_position"
                    " ADD GENERATED ALWAYS AS IDENTITY (START 100000)",) * 2 + ("",),
    "a column that only the target has": (None, "ALTER TABLE events ADD more text NOT NULL DEFAULT 'none'", ""),
    "wider types": ("ALTER TABLE events ALTER timestamp TYPE timestamptz(3), ADD amount numeric(10,2) DEFAULT 1.50",
                    "ALTER TABLE events ALTER version TYPE bigint, ALTER actor_id TYPE text, ALTER event_type TYPE varchar(300),"
                    " ALTER aggregate_id TYPE text, ADD amount numeric", ", amount::text"),
    "types of the application's own": (
        f"{TYPES}; ALTER TABLE events ADD moods mood[] DEFAULT '{{glad,NULL,sad}}', ADD place place DEFAULT '(\"a\tb\\\\,\",sad)'",
        # Made in another order, with others between: their OIDs are others.
        f"CREATE TYPE between AS (a text); CREATE DOMAIN another AS text; {TYPES}; ALTER TABLE events ADD moods mood[], ADD place place",
        ", moods::text, place::text"),
}


def rows(cluster, stores, more):
    return cluster.rows(stores.dbname, ROWS.format(more=more), [TENANT])


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_whatever_its_shape(make_proxy, stores, shape):
    of_source, of_target, more = SHAPES[shape]
    stores.fill({TENANT: EVENTS, OTHER: 20})
    for cluster, change in ((stores.shared, of_source), (stores.dedicated, of_target)):
        if change:
            cluster.execute(stores.dbname, change)
    proxy = make_proxy().start()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        identity = proxy.start_migration(TENANT, "dedicated", "batch_size = 50")
        proxy.wait_state(identity, "dual_write")
        append(conn, TENANT, payload='{"tab": "\\t", "line": "\\n\\\\."}')
        conn.execute("UPDATE events SET actor_id = E'a\\tb\\\\n' WHERE tenant_id = %s AND version = 3", [TENANT])
        conn.execute("DELETE FROM events WHERE tenant_id = %s AND version = 4", [TENANT])
        wait_until("source and target are equal",
                   lambda: rows(stores.shared, stores, more) == rows(stores.dedicated, stores, more), 30, 0.05)
        assert len(rows(stores.dedicated, stores, more)) > EVENTS * 0.8
        proxy.wait_cutover_ready(identity)        # digests are made of texts, and are equal
        proxy.cutover(identity)
        assert append(conn, TENANT)[1] > 0
    assert proxy.migration(identity)["state"] == "migrated"


@pytest.mark.parametrize("change, named", [
    ("ALTER TABLE events ALTER actor_id TYPE varchar(200)", "actor_id"),
    ("ALTER TABLE events ALTER payload TYPE json", "payload"),
    ("ALTER TABLE events ALTER timestamp TYPE timestamptz(3)", "timestamp"),
    ("ALTER TABLE events ALTER created_at TYPE timestamp", "created_at"),
    ("ALTER TABLE events ALTER global_position TYPE numeric", "global_position"),
    ("ALTER TABLE events ALTER tenant_id TYPE text", "tenant_id"),
    ("ALTER TABLE events ADD more text NOT NULL", "more"),
    ("ALTER TABLE events DROP actor_id", "actor_id"),
])
def test_refuses_what_would_lose_something(proxy, stores, change, named):
    stores.fill({TENANT: 5})
    stores.dedicated.execute(stores.dbname, change)
    with pytest.raises(psycopg.Error, match=f'"{named}"'):
        proxy.start_migration(TENANT, "dedicated")
    assert proxy.admin("SHOW MIGRATIONS ALL") == []
