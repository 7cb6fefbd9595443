"""The statements that event stores send, with their tables: facts, each with the file of the library that says so.

They are the libraries' own text; what is added is the server's port at the end of a list of columns, which tells who
answered. Where a mapper writes them (Slick, ActiveRecord, Marten's generator), the file is the one that tells it what to write.

A Library has
  preset, events     what stands in [events]
  sources            (repository, commit, file): where the statements and the tables stand
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


def counted(found):
    """(rows, the port of the server that has sent them)"""
    rows = found.fetchall()
    return len(rows), rows[0][-1] if rows else None


class EventsourcePy:
    """eventsource-py (SQLAlchemy on asyncpg)."""
    preset, events, said = "eventsource-py", {}, None
    sources = (("tyevans/eventsource-py", "5d30023747457e517c2a779d4a1af59ec3ff551b", "src/eventsource/adapters/postgresql/store_append.py"),
               ("tyevans/eventsource-py", "5d30023747457e517c2a779d4a1af59ec3ff551b", "src/eventsource/adapters/postgresql/store_read.py"))
    schema = """
        CREATE TABLE events (
            global_position bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, aggregate_id uuid NOT NULL,
            aggregate_type varchar(255) NOT NULL, event_type varchar(255) NOT NULL, tenant_id uuid, actor_id varchar(255),
            version integer NOT NULL, timestamp timestamptz NOT NULL, payload jsonb NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT uq_events_aggregate_version UNIQUE (aggregate_id, aggregate_type, version));
        CREATE TABLE event_outbox (id uuid PRIMARY KEY, event_id uuid NOT NULL, event_type varchar(255) NOT NULL,
            aggregate_id uuid, aggregate_type varchar(255), tenant_id uuid, event_data jsonb NOT NULL, created_at timestamptz,
            status varchar(20) NOT NULL DEFAULT 'pending')"""
    tables = (("event_outbox", "tenant_id"), ("events", "tenant_id"))

    def append(self, conn, tenant, stream, version):
        with conn.transaction():
            seen = conn.execute("SELECT COALESCE(MAX(version), 0) FROM events WHERE aggregate_id = %s AND aggregate_type = %s",
                                (stream_id(f"{tenant}/{stream}"), "Order")).fetchone()
            assert seen == (version - 1,)
            conn.execute("INSERT INTO events ( event_id, event_type, aggregate_type, aggregate_id, tenant_id, actor_id, version,"
                         " timestamp, payload, created_at ) VALUES ( %s, %s, %s, %s, %s, %s, %s, %s, %s, NOW() )"
                         " RETURNING global_position",
                         (uuid.uuid4(), "Placed", "Order", stream_id(f"{tenant}/{stream}"), uuid.UUID(tenant), "me", version,
                          "2024-01-01", "{}"))
            conn.execute("INSERT INTO event_outbox ( id, event_id, event_type, aggregate_id, aggregate_type, tenant_id, event_data,"
                         " created_at, status ) VALUES ( %s, %s, %s, %s, %s, %s, %s, %s, 'pending' )",
                         (uuid.uuid4(), uuid.uuid4(), "Placed", stream_id(f"{tenant}/{stream}"), "Order", tenant, "{}", "2024-01-01"))

    COLUMNS = ("global_position, event_id, event_type, aggregate_type, aggregate_id, tenant_id, actor_id, version, timestamp,"
               " payload, created_at")

    def read(self, conn, tenant, stream):
        """By the stream alone: the directory finds its tenant."""
        return counted(conn.execute(f"SELECT {self.COLUMNS}, {PORT} FROM events WHERE aggregate_id = %s AND aggregate_type = %s"
                                    " AND version >= %s ORDER BY version ASC", (stream_id(f"{tenant}/{stream}"), "Order", 1)))

    unattributed = ("INSERT INTO events (event_id, event_type, aggregate_type, aggregate_id, tenant_id, version, timestamp, payload)"
                    " SELECT gen_random_uuid(), 'P', 'O', gen_random_uuid(), x, 1, now(), '{}' FROM gen_random_uuid() x", ())


class Marten:
    """Marten, conjoined tenancy. A SaveChanges is one Npgsql batch: many statements under one Sync. Later versions have one
    argument more (bdatas bytea[]), behind the tenant."""
    preset, events, said = "marten", {}, None
    sources = (
        ("JasperFx/marten", "00de783cc9a5dc280dbe87a243d16e1d2af8178d", "src/Marten/Events/CodeGeneration/EventDocumentStorageGenerator.cs"),
        ("JasperFx/marten", "00de783cc9a5dc280dbe87a243d16e1d2af8178d", "src/Marten/Events/Operations/QuickAppendEventsOperationBase.cs"),
        ("JasperFx/marten", "0c0b2bad4f1d7c9419a64ebaafc0bc52cd576ec1", "src/Marten/Events/Schema/QuickAppendEventFunction.cs"),
        ("JasperFx/marten", "051ce40edb4b395b7eedcea82b0798773cd3596e", "src/Marten/Events/EventStatement.cs"))
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
                conn.execute("select id, version, type, timestamp, created as timestamp, is_archived from public.mt_streams"
                             " where id = %s and tenant_id = %s", (key, tenant))
                conn.execute("update public.mt_streams set version = %s where id = %s and version = %s and tenant_id = %s"
                             " returning version", (version, key, version - 1, tenant))
                conn.execute("insert into public.mt_events (data, type, mt_dotnet_type, id, stream_id, version, timestamp, tenant_id,"
                             " seq_id) values (%s,%s,%s,%s,%s,%s,%s,%s,nextval('public.mt_events_sequence'))",
                             ("{}", "placed", "Placed", uuid.uuid4(), key, version, "2024-01-01", tenant))

    def read(self, conn, tenant, stream):
        return counted(conn.execute("select d.data, d.type, d.mt_dotnet_type, d.seq_id, d.id, d.stream_id, d.version, d.timestamp,"
                                    f" d.tenant_id, d.is_archived, {PORT} from public.mt_events as d WHERE (d.is_archived = FALSE and"
                                    " d.tenant_id = %s and d.stream_id = %s) ORDER BY d.seq_id",
                                    (tenant, stream_id(f"{tenant}/{stream}"))))

    unattributed = ("select mt_quick_append_events(%s, 'o', lower('X'), ARRAY[%s]::uuid[], '{p}', '{P}', '{\"{}\"}')",
                    (uuid.UUID(int=1), uuid.UUID(int=2)))


class RailsEventStore:
    """Rails Event Store, by ActiveRecord: insert_all! of one statement for the events and one for the stream; a read is two
    statements, the second of which names events only (includes(:event))."""
    preset, events, said = "rails-event-store", {}, SET
    sources = tuple(("RailsEventStore/rails_event_store", commit, f"ruby_event_store-active_record/lib/ruby_event_store/active_record/{file}")
                    for commit, file in (
                        ("0606f80775bc2449909904414b3a665b6855952f", "event_repository.rb"),
                        ("0b842bd26777c5193368b1aee05f70375d86fabb", "event_repository_reader.rb"),
                        ("2608d4b42ff284108d435bcd9ddf4cadf36c3348",
                         "generators/templates/postgres/create_event_store_events_template.erb")))
    schema = f"""
        CREATE TABLE event_store_events (id bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, event_type varchar NOT NULL,
            metadata jsonb, data jsonb NOT NULL, created_at timestamp(6) NOT NULL, valid_at timestamp(6), {ADDED});
        CREATE TABLE event_store_events_in_streams (id bigserial PRIMARY KEY, stream varchar NOT NULL, position int,
            event_id uuid NOT NULL REFERENCES event_store_events (event_id), created_at timestamp(6) NOT NULL, {ADDED},
            UNIQUE (stream, position), UNIQUE (stream, event_id))"""
    tables = (("event_store_events", "tenant_id"), ("event_store_events_in_streams", "tenant_id"))

    def append(self, conn, tenant, stream, version):
        event = uuid.uuid4()
        conn.execute('SELECT "event_store_events_in_streams".* FROM "event_store_events_in_streams" WHERE'
                     ' "event_store_events_in_streams"."stream" = %s ORDER BY position DESC LIMIT %s', (f"{tenant}/{stream}", 1))
        with conn.transaction():
            conn.execute('INSERT INTO "event_store_events" ("event_id","data","metadata","event_type","created_at","valid_at")'
                         f" VALUES ('{event}', '{{}}', '{{}}', 'Placed', '2024-01-01 00:00:00.000000', NULL) RETURNING \"id\"")
            conn.execute('INSERT INTO "event_store_events_in_streams" ("stream","position","event_id","created_at")'
                         f" VALUES ('{tenant}/{stream}', {version}, '{event}', '2024-01-01 00:00:00.000000') RETURNING \"id\"")

    def read(self, conn, tenant, stream):
        found = conn.execute(f'SELECT "event_store_events_in_streams".*, {PORT} FROM "event_store_events_in_streams" WHERE'
                             ' "event_store_events_in_streams"."stream" = %s ORDER BY "event_store_events_in_streams"."id" ASC',
                             (f"{tenant}/{stream}",))
        column = [c.name for c in found.description].index("event_id")
        ids = [row[column] for row in found]
        return counted(conn.execute(f'SELECT "event_store_events".*, {PORT} FROM "event_store_events" WHERE'
                                    f' "event_store_events"."event_id" IN ({", ".join(["%s"] * len(ids))})', ids))

    unattributed = ('INSERT INTO "event_store_events" ("event_id","data","event_type","created_at")'
                    " VALUES (gen_random_uuid(), '{}', 'P', now())", ())


class PythonEventsourcing:
    """Python eventsourcing: a row of VALUES without a column list, one statement for each event; one table lock per append."""
    preset, events, said = "python-eventsourcing", {}, SET
    sources = (("pyeventsourcing/eventsourcing", "1daf57dc79f18bc90481b1862e57b55772d67afd", "eventsourcing/async_postgres.py"),
               ("pyeventsourcing/eventsourcing", "01b4803f88cdf0ef568afc3fc6070bc84d3884ba", "eventsourcing/postgres.py"))
    schema = f"""
        CREATE TABLE stored_events (originator_id uuid NOT NULL, originator_version integer NOT NULL, topic text, state bytea,
            notification_id bigserial, {ADDED}, PRIMARY KEY (originator_id, originator_version)) WITH (autovacuum_enabled=false);
        CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx ON stored_events (notification_id ASC)"""
    tables = (("stored_events", "tenant_id"),)

    def append(self, conn, tenant, stream, version):
        conn.execute("SET idle_in_transaction_session_timeout = '0s'")
        with conn.transaction():
            conn.execute("SET LOCAL lock_timeout = '0s'")
            conn.execute("LOCK TABLE stored_events IN EXCLUSIVE MODE")
            conn.execute("INSERT INTO stored_events VALUES (%s, %s, %s, %s)",
                         (stream_id(f"{tenant}/{stream}"), version, "Placed", b"{}"))

    def read(self, conn, tenant, stream):
        return counted(conn.execute(f"SELECT *, {PORT} FROM stored_events WHERE originator_id = %s AND originator_version > %s"
                                    " ORDER BY originator_version ASC", (stream_id(f"{tenant}/{stream}"), 0)))

    unattributed = ("INSERT INTO stored_events VALUES (%s, %s, %s, %s)",
                    (uuid.UUID(int=1), 1, "t", b""))


class Akka:
    """Akka (Pekko) Persistence JDBC, by Slick: all columns of a row but the one that counts up."""
    preset, events, said = "akka-persistence-jdbc", {}, SET
    sources = (
        ("akka/akka-persistence-jdbc", "0d2f1eef912d823b9edd04c421c76acc19214f33",
         "core/src/main/resources/schema/postgres/postgres-create-schema.sql"),
        ("akka/akka-persistence-jdbc", "018a64c27252f39542ac956f618a08bafb9663cb",
         "core/src/main/scala/akka/persistence/jdbc/journal/dao/JournalQueries.scala"),
        ("apache/pekko-persistence-jdbc", "07c04f6eeb8139878f0ff8d5b9301506d6414e5d",
         "core/src/main/scala/org/apache/pekko/persistence/jdbc/journal/dao/JournalTables.scala"))
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
            snapshot_ser_id int NOT NULL, snapshot_ser_manifest varchar(255) NOT NULL, snapshot_payload bytea NOT NULL,
            meta_ser_id int, meta_ser_manifest varchar(255), meta_payload bytea, {ADDED},
            PRIMARY KEY (persistence_id, sequence_number))"""
    tables = (("event_journal", "tenant_id"), ("event_tag", "tenant_id"))

    COLUMNS = ('"deleted","persistence_id","sequence_number","writer","write_timestamp","adapter_manifest","event_payload",'
               '"event_ser_id","event_ser_manifest","meta_payload","meta_ser_id","meta_ser_manifest"')

    def append(self, conn, tenant, stream, version):
        conn.execute('select max("sequence_number") from (select "sequence_number" from "event_journal" where "persistence_id" = %s'
                     ' order by "sequence_number" desc limit 1) x2', (f"{tenant}|{stream}",))
        with conn.transaction():
            (ordering,) = conn.execute(
                f'insert into "event_journal" ({self.COLUMNS}) values (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s) returning "ordering"',
                (False, f"{tenant}|{stream}", version, "w", 1, "", b"{}", 1, "m", None, None, None)).fetchone()
            conn.execute('insert into "event_tag" ("event_id","tag") values (%s,%s)', (ordering, "orders"))

    def read(self, conn, tenant, stream):
        return counted(conn.execute(
            f'select "ordering",{self.COLUMNS},{PORT} from "event_journal" where ((("persistence_id" = %s) and ("deleted" = false))'
            ' and ("sequence_number" >= %s)) and ("sequence_number" <= %s) order by "sequence_number" limit %s',
            (f"{tenant}|{stream}", 0, 1000, 1000)))

    unattributed = ('insert into "event_journal" ("persistence_id","sequence_number","writer","event_payload","event_ser_id",'
                    '"event_ser_manifest") values (%s,%s,%s,%s,%s,%s)', ("p", 1, "w", b"", 1, "m"))


class Axon:
    """Axon Framework's JdbcEventStorageEngine with its default EventSchema."""
    preset, events, said = "axon", {}, SET
    sources = tuple(("AxonFramework/AxonFramework", commit, f"eventsourcing/src/main/java/org/axonframework/eventsourcing/eventstore/jdbc/{file}")
                    for commit, file in (
                        ("0876f99aec552d09a4b7d1957fbcd5898614dc3b", "statements/JdbcEventStorageEngineStatements.java"),
                        ("156c7f5c3664d09866831ab790cd2c7ed501981b", "EventSchema.java")))
    schema = f"""
        CREATE TABLE DomainEventEntry (globalIndex bigserial NOT NULL, aggregateIdentifier varchar(255) NOT NULL,
            sequenceNumber bigint NOT NULL, type varchar(255), eventIdentifier varchar(255) NOT NULL, metaData bytea,
            payload bytea NOT NULL, payloadRevision varchar(255), payloadType varchar(255) NOT NULL, timeStamp varchar(255) NOT NULL,
            {ADDED}, PRIMARY KEY (globalIndex), UNIQUE (aggregateIdentifier, sequenceNumber), UNIQUE (eventIdentifier))"""
    tables = (("domainevententry", "tenant_id"),)

    FIELDS = "eventIdentifier, aggregateIdentifier, sequenceNumber, type, timeStamp, payloadType, payloadRevision, payload, metaData"

    def append(self, conn, tenant, stream, version):
        conn.execute("SELECT max(sequenceNumber) FROM DomainEventEntry WHERE aggregateIdentifier = %s", (f"{tenant}/{stream}",))
        with conn.transaction():
            conn.execute(f"INSERT INTO DomainEventEntry ({self.FIELDS}) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s)",
                         (str(uuid.uuid4()), f"{tenant}/{stream}", version, "Order", "2024-01-01T00:00:00Z", "Placed", None, b"{}", b""))

    def read(self, conn, tenant, stream):
        return counted(conn.execute(f"SELECT globalIndex, {self.FIELDS}, {PORT} FROM DomainEventEntry WHERE aggregateIdentifier = %s AND"
                                    " sequenceNumber >= %s AND sequenceNumber < %s ORDER BY sequenceNumber ASC",
                                    (f"{tenant}/{stream}", 0, 1000)))

    unattributed = ("INSERT INTO DomainEventEntry (eventIdentifier, aggregateIdentifier, sequenceNumber, type, timeStamp,"
                    " payloadType, payload) VALUES (%s,%s,%s,%s,%s,%s,%s)", ("e", "a", 1, "t", "t", "p", b""))


class ElixirEventStore:
    """Commanded's EventStore. One statement writes all four tables, and the row of $all."""
    preset, events, said = "elixir-eventstore", {}, SET
    sources = tuple(("commanded/eventstore", commit, f"lib/event_store/sql/{file}") for commit, file in (
        ("4a22ae095b15848506200f91ceead16d6825b2ab", "init.ex"),
        ("0fd0a7453827ad5e7586ac0386be0371372f78eb", "statements/insert_events.sql.eex"),
        ("04c8bf76285de6e0a021372141e3007332d0ca4c", "statements/query_stream_info.sql.eex"),
        ("04c8bf76285de6e0a021372141e3007332d0ca4c", "statements/query_stream_events_forward.sql.eex")))
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
        return counted(conn.execute(f"""
            SELECT se.stream_version, e.event_id, s.stream_uuid, se.original_stream_version, e.event_type, e.correlation_id,
                   e.causation_id, e.data, e.metadata, e.created_at, {PORT}
            FROM "public".stream_events se
            INNER JOIN "public".streams s ON s.stream_id = se.original_stream_id
            INNER JOIN "public".events e ON se.event_id = e.event_id
            WHERE se.stream_id = %s AND se.stream_version >= %s AND se.stream_version >= s.stream_origin
            ORDER BY se.stream_version ASC LIMIT %s""", (known[0], 0, 1000)))

    unattributed = ("INSERT INTO public.events (event_id, event_type, data) VALUES (gen_random_uuid(), 'P', '')", ())


LIBRARIES = (ElixirEventStore(), EventsourcePy(), Marten(), RailsEventStore(), PythonEventsourcing(), Akka(), Axon())
