"""The event store of the demo and the tests: roles, databases, a fast filler, and what is compared afterwards."""
from pathlib import Path

from psycopg import sql

from pgcluster import scram_verifier

HERE = Path(__file__).resolve().parent
ROLES_SQL = HERE.parents[1] / "sql" / "roles.sql"

OWNER = "events_owner"                 # owns the event table; nobody logs in as it
APP, APP_PASSWORD = "app", "app's secret"
PGSHUNT, PGSHUNT_PASSWORD = "pgshunt", "shunt's secret"
# The same verifiers everywhere: a client's SCRAM keys then fit every store.
APP_VERIFIER = scram_verifier(APP_PASSWORD)
PGSHUNT_VERIFIER = scram_verifier(PGSHUNT_PASSWORD)

COLUMNS = ("global_position", "event_id", "aggregate_id", "aggregate_type", "event_type", "tenant_id", "actor_id",
           "version", "timestamp", "payload", "created_at")


def create_roles(cluster):
    """The roles of one cluster: owner, application, pgshunt's own."""
    with cluster.connect("postgres") as conn:
        conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(OWNER)))
        for role, verifier in ((APP, APP_VERIFIER), (PGSHUNT, PGSHUNT_VERIFIER)):
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role),
                                                                            sql.Literal(verifier)))
        conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(OWNER), sql.Identifier(PGSHUNT)))


def create_database(cluster, dbname, template=None, table=True):
    """A database with the event table and pgshunt's rights in it; a copy of `template` if one is named."""
    with cluster.connect("postgres") as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(dbname), sql.Identifier(template or "template0")))
    if template is None:
        # Who may create tables in schema public is the database's own business since PostgreSQL 15.
        cluster.execute(dbname, sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
        if table:
            cluster.psql(dbname, "-f", HERE / "eventstore.sql", events_owner=OWNER, app_role=APP)
    grant_pgshunt(cluster, dbname)


def grant_pgshunt(cluster, dbname):
    """What pgshunt's role needs in one database, by the project's own script (rights on a database are not copied)."""
    cluster.psql(dbname, "-f", ROLES_SQL, pgshunt_role=PGSHUNT, events_owner=OWNER)


def drop_database(cluster, dbname):
    cluster.execute("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(dbname)))


def store_conninfo(cluster, dbname):
    """For [stores]: pgshunt's own way to a store."""
    return cluster.conninfo(dbname, PGSHUNT, PGSHUNT_PASSWORD)


# --- filling ----------------------------------------------------------------------------------------------------------

FILL = """
INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version, "timestamp",
                    payload)
SELECT gen_random_uuid(),
       md5(t.tenant || '/' || (n / %(stream_length)s))::uuid,
       'Order',
       CASE n %% %(stream_length)s WHEN 0 THEN 'OrderPlaced' ELSE 'OrderChanged' END,
       t.tenant::uuid,
       'importer',
       n %% %(stream_length)s + 1,
       timestamptz '2024-01-01 00:00:00+00' + n * interval '1.5 second',
       jsonb_build_object('n', n, 'note', repeat(md5(n::text), 4), 'price', (n %% 1000) / 8.0)
FROM generate_series(0, %(longest)s - 1) AS n, unnest(%(tenants)s::text[], %(counts)s::int[]) AS t (tenant, events)
WHERE n < t.events
"""


def fill(cluster, dbname, events_by_tenant, stream_length=50):
    """Events of several tenants, interleaved as they would have arrived; streams of `stream_length` events."""
    with cluster.connect(dbname) as conn:
        conn.execute("SET synchronous_commit = off")
        conn.execute(FILL, {"stream_length": stream_length, "longest": max(events_by_tenant.values(), default=0),
                            "tenants": [str(tenant) for tenant in events_by_tenant],
                            "counts": list(events_by_tenant.values())})
    analyze(cluster, dbname)


def analyze(cluster, dbname):
    cluster.execute(dbname, "VACUUM ANALYZE events")


# --- comparing --------------------------------------------------------------------------------------------------------

# Sums of hashes do not depend on an order, so that nothing is sorted; count and two independent sums make it strong.
DIGEST = """
SELECT count(*), coalesce(sum(hashtextextended(e::text, 0)), 0), coalesce(sum(hashtextextended(e::text, 1)), 0)
FROM events e WHERE {}
"""


def digest(cluster, dbname, condition, parameters=None):
    """(rows, two sums over their whole content) of the events that meet `condition`."""
    with cluster.connect(dbname) as conn:
        conn.execute("SET TimeZone = 'UTC'")
        return conn.execute(DIGEST.format(condition), parameters).fetchone()


def tenant_digest(cluster, dbname, tenant):
    return digest(cluster, dbname, "tenant_id = %s", [str(tenant)])


def count(cluster, dbname, tenant):
    return cluster.value(dbname, "SELECT count(*) FROM events WHERE tenant_id = %s", [str(tenant)])


# Streams whose versions are not 1, 2, 3, … or whose positions do not rise with their versions.
BROKEN_STREAMS = """
SELECT aggregate_id, aggregate_type, version, previous_version, global_position, previous_position
FROM (SELECT *, lag(version, 1, 0) OVER stream AS previous_version,
             lag(global_position, 1, 0::bigint) OVER stream AS previous_position
      FROM events WHERE tenant_id = %s
      WINDOW stream AS (PARTITION BY aggregate_id, aggregate_type ORDER BY version)) AS e
WHERE version <> previous_version + 1 OR global_position <= previous_position
LIMIT 10
"""


def broken_streams(cluster, dbname, tenant):
    return cluster.rows(dbname, BROKEN_STREAMS, [str(tenant)])
