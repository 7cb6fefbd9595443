"""The statements that event stores send, with their tables: facts, each with the file of the library that says so.

A Library has
  preset, events     what stands in [events]
  schema             its own tables, and the tenant column that docs/presets.md adds where it has none
  said               how a session says its tenant where no statement does: None, or what it executes first
  append(conn, tenant, stream, version), read(conn, tenant, stream)    read: how many events, and the port of the server
  tables             (name, tenant column) of what moves with a tenant, parents first
  counted            the one of them with a row per event, if it is not the last
  moved              what the new store needs beside the rows: one statement
  unattributed       what says no tenant: (statement, parameters)
"""
import uuid

import psycopg

from moved import PORT

SET = "SELECT set_config('app.tenant_id', %s, false)"
# A tenant column for a library that has none: it takes the session's tenant.
ADDED = "tenant_id text DEFAULT nullif(current_setting('app.tenant_id', true), '')"


def stream_id(stream):
    return uuid.uuid5(uuid.NAMESPACE_URL, stream)


class EventsourcePy:
    """eventsource-py: src/eventsource/adapters/postgresql (SQLAlchemy on asyncpg)."""
    preset, events, said = "eventsource-py", {}, None
    schema = """
        CREATE TABLE events (
            global_position bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, aggregate_id uuid NOT NULL,
            aggregate_type varchar(255) NOT NULL, event_type varchar(255) NOT NULL, tenant_id uuid, actor_id varchar(255),
            version integer NOT NULL, timestamp timestamptz NOT NULL, payload jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version));
        CREATE TABLE event_outbox (id uuid PRIMARY KEY, event_id uuid NOT NULL, event_type varchar(255) NOT NULL,
            aggregate_id uuid, aggregate_type varchar(255), tenant_id uuid, event_data jsonb NOT NULL, created_at timestamptz)"""
    tables = (("event_outbox", "tenant_id"), ("events", "tenant_id"))

    def append(self, conn, tenant, stream, version):
        with conn.transaction():
            seen = conn.execute("SELECT COALESCE(MAX(version), 0) FROM events WHERE aggregate_id = %s AND aggregate_type = %s",
                                (stream_id(f"{tenant}/{stream}"), "Order")).fetchone()
            assert seen == (version - 1,)
            conn.execute("INSERT INTO events (event_id, event_type, aggregate_type, aggregate_id, tenant_id, actor_id, version,"
                         " timestamp, payload, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, now(), %s, NOW())"
                         " RETURNING global_position",
                         (uuid.uuid4(), "Placed", "Order", stream_id(f"{tenant}/{stream}"), uuid.UUID(tenant), "me", version, "{}"))
            conn.execute("INSERT INTO event_outbox (id, event_id, event_type, aggregate_id, aggregate_type, tenant_id,"
                         " event_data, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, now())",
                         (uuid.uuid4(), uuid.uuid4(), "Placed", stream_id(f"{tenant}/{stream}"), "Order", tenant, "{}"))

    def read(self, conn, tenant, stream):
        return conn.execute(f"SELECT count(*), {PORT} FROM events WHERE aggregate_id = %s AND aggregate_type = %s"
                            " AND tenant_id = %s", (stream_id(f"{tenant}/{stream}"), "Order", uuid.UUID(tenant))).fetchone()

    unattributed = ("INSERT INTO events (event_id, event_type, aggregate_type, aggregate_id, tenant_id, version, timestamp, payload)"
                    " SELECT gen_random_uuid(), 'P', 'O', gen_random_uuid(), x, 1, now(), '{}' FROM gen_random_uuid() x", ())


class Marten:
    """Marten, conjoined tenancy: src/Marten/Events (Schema/QuickAppendEventFunction.cs, Operations, EventsTable). A SaveChanges
    is one Npgsql batch: many statements under one Sync."""
    preset, events, said = "marten", {}, None
    schema = """
        CREATE SEQUENCE mt_events_sequence;
        CREATE TABLE mt_streams (id uuid NOT NULL, type varchar, version int, timestamp timestamptz DEFAULT now() NOT NULL,
            created timestamptz DEFAULT now() NOT NULL, tenant_id varchar NOT NULL DEFAULT '*DEFAULT*',
            is_archived bool DEFAULT false, PRIMARY KEY (tenant_id, id));
        CREATE TABLE mt_events (seq_id bigint PRIMARY KEY DEFAULT nextval('mt_events_sequence'), id uuid NOT NULL,
            stream_id uuid, version bigint NOT NULL, data jsonb NOT NULL, type varchar(500) NOT NULL,
            timestamp timestamptz DEFAULT now() NOT NULL, tenant_id varchar NOT NULL DEFAULT '*DEFAULT*',
            mt_dotnet_type varchar, is_archived bool DEFAULT false, UNIQUE (tenant_id, stream_id, version),
            FOREIGN KEY (tenant_id, stream_id) REFERENCES mt_streams (tenant_id, id));
        CREATE FUNCTION mt_quick_append_events(stream uuid, stream_type varchar, tenantid varchar, event_ids uuid[],
            event_types varchar[], dotnet_types varchar[], bodies jsonb[]) RETURNS int[] LANGUAGE plpgsql AS $$
        DECLARE v int; numbers int[];
        BEGIN
            INSERT INTO mt_streams AS s (id, type, version, tenant_id) VALUES (stream, stream_type, array_length(event_ids, 1), tenantid)
                ON CONFLICT (tenant_id, id) DO UPDATE SET version = s.version + array_length(event_ids, 1) RETURNING version INTO v;
            numbers := ARRAY[v];
            FOR i IN 1 .. array_length(event_ids, 1) LOOP
                INSERT INTO mt_events (seq_id, id, stream_id, version, data, type, tenant_id, mt_dotnet_type) VALUES
                    (nextval('mt_events_sequence'), event_ids[i], stream, v - array_length(event_ids, 1) + i, bodies[i],
                     event_types[i], tenantid, dotnet_types[i]);
            END LOOP;
            RETURN numbers;
        END $$"""
    tables = (("mt_streams", "tenant_id"), ("mt_events", "tenant_id"))

    def append(self, conn, tenant, stream, version):
        """Odd versions as Quick append mode does it, even ones as Rich does."""
        key = stream_id(f"{tenant}/{stream}")
        with conn.pipeline():
            if version % 2:
                conn.execute("select public.mt_quick_append_events(%s, %s, %s, %s, %s, %s, %s::jsonb[])",
                             (key, "order", tenant, [uuid.uuid4()], ["placed"], ["Placed"], ["{}"]))
            else:
                conn.execute("update public.mt_streams set version = %s where id = %s and version = %s and tenant_id = %s",
                             (version, key, version - 1, tenant))
                conn.execute("insert into public.mt_events (data, type, mt_dotnet_type, seq_id, id, stream_id, version, timestamp,"
                             " tenant_id) values (%s, %s, %s, nextval('public.mt_events_sequence'), %s, %s, %s, %s, %s)",
                             ("{}", "placed", "Placed", uuid.uuid4(), key, version, "2024-01-01", tenant))

    def read(self, conn, tenant, stream):
        return conn.execute(f"select count(d.data), {PORT} from public.mt_events as d where d.stream_id = %s and d.tenant_id = %s",
                            (stream_id(f"{tenant}/{stream}"), tenant)).fetchone()

    unattributed = ("select mt_quick_append_events(%s, 'o', lower('X'), ARRAY[%s]::uuid[], '{p}', '{P}', '{\"{}\"}')",
                    (uuid.UUID(int=1), uuid.UUID(int=2)))


class RailsEventStore:
    """Rails Event Store: ruby_event_store-active_record, event_repository.rb and event_repository_reader.rb (insert_all), and the
    migration of its generator."""
    preset, events, said = "rails-event-store", {}, SET
    schema = f"""
        CREATE TABLE event_store_events (id bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, event_type varchar NOT NULL,
            metadata jsonb, data jsonb NOT NULL, created_at timestamp(6) NOT NULL, valid_at timestamp(6), {ADDED});
        CREATE TABLE event_store_events_in_streams (id bigserial PRIMARY KEY, stream varchar NOT NULL, position int,
            event_id uuid NOT NULL REFERENCES event_store_events (event_id), created_at timestamp(6) NOT NULL, {ADDED},
            UNIQUE (stream, position), UNIQUE (stream, event_id))"""
    tables = (("event_store_events", "tenant_id"), ("event_store_events_in_streams", "tenant_id"))

    def append(self, conn, tenant, stream, version):
        event = uuid.uuid4()
        with conn.transaction():
            conn.execute('INSERT INTO "event_store_events" ("event_id","data","metadata","event_type","created_at","valid_at")'
                         f" VALUES ('{event}', '{{}}', '{{}}', 'Placed', '2024-01-01 00:00:00.000000', NULL) RETURNING \"id\"")
            conn.execute('INSERT INTO "event_store_events_in_streams" ("stream","position","event_id","created_at")'
                         f" VALUES ('{tenant}/{stream}', {version}, '{event}', '2024-01-01 00:00:00.000000') RETURNING \"id\"")

    def read(self, conn, tenant, stream):
        return conn.execute(f'SELECT count("event_store_events_in_streams"."event_id"), {PORT} FROM "event_store_events_in_streams"'
                            ' INNER JOIN "event_store_events" ON "event_store_events"."event_id" ='
                            ' "event_store_events_in_streams"."event_id" WHERE "event_store_events_in_streams"."stream" = %s',
                            (f"{tenant}/{stream}",)).fetchone()

    unattributed = ('INSERT INTO "event_store_events" ("event_id","data","event_type","created_at")'
                    " VALUES (gen_random_uuid(), '{}', 'P', now())", ())


class PythonEventsourcing:
    """Python eventsourcing: eventsourcing/postgres.py. Rows of VALUES without a column list; one table lock per append."""
    preset, events, said = "python-eventsourcing", {}, SET
    schema = f"""
        CREATE TABLE stored_events (originator_id uuid NOT NULL, originator_version bigint NOT NULL, topic text, state bytea,
            notification_id bigserial, {ADDED}, PRIMARY KEY (originator_id, originator_version));
        CREATE UNIQUE INDEX ON stored_events (notification_id)"""
    tables = (("stored_events", "tenant_id"),)

    def append(self, conn, tenant, stream, version):
        with conn.transaction(), conn.pipeline():
            conn.execute("SET LOCAL lock_timeout = '5s'")
            conn.execute("LOCK TABLE public.stored_events IN EXCLUSIVE MODE")
            conn.execute("INSERT INTO public.stored_events VALUES (%s, %s, %s, %s) RETURNING notification_id",
                         (stream_id(f"{tenant}/{stream}"), version, "Placed", b"{}"))

    def read(self, conn, tenant, stream):
        return conn.execute(f"SELECT count(state), {PORT} FROM public.stored_events WHERE originator_id = %s"
                            " AND originator_version > %s", (stream_id(f"{tenant}/{stream}"), 0)).fetchone()

    unattributed = ("INSERT INTO public.stored_events VALUES (%s, %s, %s, %s) RETURNING notification_id",
                    (uuid.UUID(int=1), 1, "t", b""))


class Akka:
    """Akka (Pekko) Persistence JDBC: core/src/main/resources/schema/postgres, journal/dao/JournalQueries.scala (Slick)."""
    preset, events, said = "akka-persistence-jdbc", {}, SET
    schema = f"""
        CREATE TABLE event_journal (ordering bigserial, persistence_id varchar(255) NOT NULL, sequence_number bigint NOT NULL,
            deleted boolean DEFAULT false NOT NULL, writer varchar(255) NOT NULL, write_timestamp bigint,
            adapter_manifest varchar(255), event_ser_id int NOT NULL, event_ser_manifest varchar(255) NOT NULL,
            event_payload bytea NOT NULL, meta_ser_id int, meta_ser_manifest varchar(255), meta_payload bytea, {ADDED},
            PRIMARY KEY (persistence_id, sequence_number));
        CREATE UNIQUE INDEX ON event_journal (ordering);
        CREATE TABLE event_tag (event_id bigint REFERENCES event_journal (ordering) ON DELETE CASCADE, tag varchar(256), {ADDED},
            PRIMARY KEY (event_id, tag));
        CREATE TABLE snapshot (persistence_id varchar(255) NOT NULL, sequence_number bigint NOT NULL, created bigint NOT NULL,
            snapshot_ser_id int NOT NULL, snapshot_ser_manifest varchar(255) NOT NULL, snapshot_payload bytea NOT NULL, {ADDED},
            PRIMARY KEY (persistence_id, sequence_number))"""
    tables = (("event_journal", "tenant_id"), ("event_tag", "tenant_id"))

    def append(self, conn, tenant, stream, version):
        with conn.transaction():
            (ordering,) = conn.execute(
                'insert into "event_journal" ("deleted","persistence_id","sequence_number","writer","write_timestamp",'
                '"adapter_manifest","event_payload","event_ser_id","event_ser_manifest") values (%s,%s,%s,%s,%s,%s,%s,%s,%s)'
                ' returning "ordering"', (False, f"{tenant}|{stream}", version, "w", 1, "", b"{}", 1, "m")).fetchone()
            conn.execute('insert into "event_tag" ("event_id","tag") values (%s,%s)', (ordering, "orders"))

    def read(self, conn, tenant, stream):
        return conn.execute(f'select count("event_payload"), {PORT} from "event_journal" where "persistence_id" = %s and'
                            ' "deleted" = false and "sequence_number" >= %s and "sequence_number" <= %s',
                            (f"{tenant}|{stream}", 0, 1000)).fetchone()

    unattributed = ('insert into "event_journal" ("persistence_id","sequence_number","writer","event_payload","event_ser_id",'
                    '"event_ser_manifest") values (%s,%s,%s,%s,%s,%s)', ("p", 1, "w", b"", 1, "m"))


class Axon:
    """Axon Framework: eventsourcing/eventstore/jdbc/statements (JdbcEventStorageEngineStatements) and PostgresEventTableFactory."""
    preset, events, said = "axon", {}, SET
    schema = f"""
        CREATE TABLE DomainEventEntry (globalIndex bigserial NOT NULL, aggregateIdentifier varchar(255) NOT NULL,
            sequenceNumber bigint NOT NULL, type varchar(255), eventIdentifier varchar(255) NOT NULL, metaData bytea,
            payload bytea NOT NULL, payloadRevision varchar(255), payloadType varchar(255) NOT NULL, timeStamp varchar(255) NOT NULL,
            {ADDED}, PRIMARY KEY (globalIndex), UNIQUE (aggregateIdentifier, sequenceNumber), UNIQUE (eventIdentifier))"""
    tables = (("domainevententry", "tenant_id"),)

    def append(self, conn, tenant, stream, version):
        with conn.transaction():
            conn.execute("INSERT INTO DomainEventEntry (eventIdentifier, aggregateIdentifier, sequenceNumber, type, timeStamp,"
                         " payloadType, payloadRevision, payload, metaData) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s)",
                         (str(uuid.uuid4()), f"{tenant}/{stream}", version, "Order", "2024-01-01T00:00:00Z", "Placed", None, b"{}", b""))

    def read(self, conn, tenant, stream):
        return conn.execute(f"SELECT count(payload), {PORT} FROM DomainEventEntry WHERE aggregateIdentifier = %s AND"
                            " sequenceNumber >= %s AND sequenceNumber < %s", (f"{tenant}/{stream}", 0, 1000)).fetchone()

    unattributed = ("INSERT INTO DomainEventEntry (eventIdentifier, aggregateIdentifier, sequenceNumber, type, timeStamp,"
                    " payloadType, payload) VALUES (%s,%s,%s,%s,%s,%s,%s)", ("e", "a", 1, "t", "t", "p", b""))


class ElixirEventStore:
    """Commanded's EventStore: lib/event_store/sql/init.ex, sql/statements/insert_events.sql.eex, query_stream_info and
    query_stream_events_forward. One statement writes all four tables, and the row of $all."""
    preset, events, said = "elixir-eventstore", {}, SET
    schema = f"""
        CREATE TABLE streams (stream_id bigserial PRIMARY KEY, stream_uuid text NOT NULL UNIQUE, stream_version bigint DEFAULT 0 NOT NULL,
            stream_origin bigint DEFAULT 0 NOT NULL, created_at timestamptz DEFAULT now() NOT NULL, deleted_at timestamptz, {ADDED});
        CREATE TABLE events (event_id uuid PRIMARY KEY, event_type text NOT NULL, causation_id uuid, correlation_id uuid,
            data bytea NOT NULL, metadata bytea, created_at timestamptz DEFAULT now() NOT NULL, {ADDED});
        CREATE TABLE stream_events (event_id uuid NOT NULL REFERENCES events, stream_id bigint NOT NULL REFERENCES streams,
            stream_version bigint NOT NULL, original_stream_id bigint REFERENCES streams, original_stream_version bigint, {ADDED},
            PRIMARY KEY (event_id, stream_id), UNIQUE (stream_id, stream_version));
        INSERT INTO streams (stream_id, stream_uuid) VALUES (0, '$all')"""
    tables = (("events", "tenant_id"), ("streams", "tenant_id"), ("stream_events", "tenant_id"))
    counted = ("events", "tenant_id")
    moved = "UPDATE streams SET stream_version = 1000 WHERE stream_id = 0"

    # {stream}: an INSERT for a new stream, an UPDATE for one that is known.
    INSERT = """
        WITH new_events (event_id, event_type, causation_id, correlation_id, data, metadata, created_at, index, stream_version) AS (
          VALUES (%s::uuid, %s, %s::uuid, %s::uuid, %s::bytea, %s::bytea, %s::timestamptz, %s::int, %s::bigint)),
        events AS (
          INSERT INTO public.events (event_id, event_type, causation_id, correlation_id, data, metadata, created_at)
          SELECT event_id, event_type, causation_id, correlation_id, data, metadata, created_at FROM new_events),
        stream AS ({stream}),
        source_stream_events AS (
          INSERT INTO public.stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
          SELECT new_events.event_id, stream.stream_id, new_events.stream_version, stream.stream_id, new_events.stream_version
          FROM new_events, stream),
        linked_stream AS (
          UPDATE public.streams SET stream_version = stream_version + 1::bigint WHERE stream_id = 0
          RETURNING stream_version - 1::bigint AS initial_stream_version)
        INSERT INTO public.stream_events (event_id, stream_id, stream_version, original_stream_id, original_stream_version)
        SELECT new_events.event_id, 0, linked_stream.initial_stream_version + new_events.index, stream.stream_id,
               new_events.stream_version
        FROM new_events, linked_stream, stream"""
    NEW = "INSERT INTO public.streams (stream_uuid, stream_version) VALUES (%s, %s::bigint) RETURNING stream_id"
    KNOWN = "UPDATE public.streams SET stream_version = stream_version + %s::bigint WHERE stream_id = %s::bigint RETURNING stream_id"

    def info(self, conn, tenant, stream):
        return conn.execute('SELECT stream_id, stream_uuid, stream_version, stream_origin, created_at, deleted_at FROM'
                            ' "public".streams WHERE stream_uuid = %s', (f"{tenant}/{stream}",)).fetchone()

    def append(self, conn, tenant, stream, version):
        known = self.info(conn, tenant, stream)
        event = (uuid.uuid4(), "Placed", None, None, b"{}", b"{}", "2024-01-01", 1, version)
        named = (1, known[0]) if known else (f"{tenant}/{stream}", 1)
        with conn.transaction():
            conn.execute(self.INSERT.format(stream=self.KNOWN if known else self.NEW), event + named)

    def read(self, conn, tenant, stream):
        known = self.info(conn, tenant, stream)
        return conn.execute(f"""
            SELECT count(se.stream_version), {PORT} FROM "public".stream_events se
            INNER JOIN "public".streams s ON s.stream_id = se.original_stream_id
            INNER JOIN "public".events e ON se.event_id = e.event_id
            WHERE se.stream_id = %s AND se.stream_version >= %s AND se.stream_version >= s.stream_origin""",
                            (known[0], 0)).fetchone()

    unattributed = ("INSERT INTO public.events (event_id, event_type, data) VALUES (gen_random_uuid(), 'P', '')", ())


LIBRARIES = (ElixirEventStore(), EventsourcePy(), Marten(), RailsEventStore(), PythonEventsourcing(), Akka(), Axon())
