"""CREATE TARGET SCHEMA: what the target lacks is made from the source's definition, in one transaction or not at all."""
import psycopg
import pytest

from conftest import OTHER, TENANT
from events import append
from eventstore import APP, OWNER
from pgshunt import failpoints
from test_checks_before_it_moves import check, found

CREATE = f"CREATE TARGET SCHEMA TENANT '{TENANT}' TO 'dedicated'"

# Everything a table may be made of that has a name of its own.
RICH = f"""
SET ROLE {OWNER};
CREATE TYPE public.mood AS ENUM ('calm', 'it''s odd');
CREATE DOMAIN public.label AS varchar(40) DEFAULT 'none';
CREATE FUNCTION public.is_label(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 !~ '!' $$;
ALTER DOMAIN public.label ADD CONSTRAINT no_shouting CHECK (public.is_label(VALUE));
CREATE FUNCTION public.next_code() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN md5(random()::text); END $$;
CREATE SEQUENCE public.tickets MAXVALUE 100000 CACHE 5;
ALTER TABLE events ADD mood public.mood DEFAULT 'calm', ADD label public.label, ADD code text DEFAULT public.next_code(),
  ADD ticket bigint DEFAULT nextval('public.tickets'), ADD kind text GENERATED ALWAYS AS (event_type || '/' || version) STORED,
  ADD row_number bigint GENERATED ALWAYS AS IDENTITY, ADD "odd ""name" text COLLATE "C", ADD prices numeric(10,2)[],
  ADD CONSTRAINT positive CHECK (version > 0),
  ADD CONSTRAINT never_twice EXCLUDE USING btree (event_id WITH =);
CREATE INDEX by_kind ON events (kind) WHERE mood = 'calm';
CREATE INDEX "by payload" ON events USING gin (payload jsonb_path_ops);
CREATE UNIQUE INDEX by_code ON events (lower(code), event_id);
CREATE STATISTICS public.together ON aggregate_id, version FROM events;
COMMENT ON TABLE events IS 'what''s happened'; COMMENT ON COLUMN events.mood IS 'how it felt';
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON events FOR ALL TO {APP} USING (mood IS NOT NULL) WITH CHECK (version > 0);
CREATE FUNCTION public.quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER quiet BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION public.quiet();
GRANT SELECT (mood) ON events TO PUBLIC;
GRANT USAGE ON SEQUENCE public.tickets TO {APP};
"""


def by_name(rows, action):
    return {row["name"]: row for row in rows if row["action"] == action}


def indexes(cluster, stores):
    return {name for (name,) in cluster.rows(stores.dbname, "SELECT indexname FROM pg_indexes WHERE tablename = 'events'")}


def test_an_empty_target_gets_the_table_and_is_then_as_healthy_as_its_source(stores, proxy):
    stores.fill({TENANT: 50, OTHER: 10})
    stores.dedicated.execute(stores.dbname, "DROP TABLE events")
    rows = check(proxy)
    assert [row["check"] for row in rows if not row["ok"]] == ["connection"]
    made = proxy.admin(CREATE)
    assert {row["action"] for row in made} == {"made"}
    assert found(check(proxy), "warning") == [] and found(check(proxy), "blocker") == []
    assert {row["action"] for row in proxy.admin(CREATE)} == {"there"}      # again: nothing is left to do
    assert stores.shared.value(stores.dbname, "SELECT details ->> 'target' FROM pgshunt.migration_audit_log"
                               " WHERE event_type = 'target_schema_created'") == "dedicated"
    proxy.move(TENANT, "dedicated")
    assert stores.digests(TENANT)[0] == stores.digests(TENANT)[1]


def test_types_functions_identities_policies_and_rights_come_along(stores, proxy):
    stores.shared.execute(stores.dbname, RICH)
    stores.fill({TENANT: 30, OTHER: 10})
    stores.dedicated.execute(stores.dbname, "DROP TABLE events")
    rows = proxy.admin(CREATE)
    left = by_name(rows, "left to you")
    assert [*left] == ["public.events quiet"]                                # a trigger may do anything
    assert "CREATE TRIGGER quiet" in left["public.events quiet"]["statement"]
    stores.dedicated.execute(stores.dbname, f"SET ROLE {OWNER}; CREATE FUNCTION public.quiet() RETURNS trigger LANGUAGE"
                             " plpgsql AS $$ BEGIN RETURN NEW; END $$; " + left["public.events quiet"]["statement"])
    rows = check(proxy)
    assert found(rows, "warning") == [] and found(rows, "blocker") == []
    for query in ("SELECT obj_description('events'::regclass)", "SELECT relacl::text FROM pg_class WHERE relname = 'events'",
                  "SELECT count(*) FROM pg_statistic_ext", "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'events'",
                  "SELECT string_agg(label, ',') FROM (SELECT enumlabel AS label FROM pg_enum ORDER BY enumsortorder) e"):
        assert stores.dedicated.value(stores.dbname, query) == stores.shared.value(stores.dbname, query), query
    proxy.move(TENANT, "dedicated")
    assert stores.counts(TENANT)[1] == 30


def test_a_partitioned_table_comes_with_its_partitions(stores, proxy):
    stores.shared.execute(stores.dbname, f"""
        DROP TABLE events; SET ROLE {OWNER};
        CREATE TABLE events (global_position bigint GENERATED BY DEFAULT AS IDENTITY, event_id uuid NOT NULL,
            aggregate_id uuid NOT NULL, aggregate_type varchar(255) NOT NULL, event_type varchar(255) NOT NULL,
            tenant_id uuid NOT NULL, actor_id varchar(255), version integer NOT NULL, "timestamp" timestamptz NOT NULL,
            payload jsonb NOT NULL, created_at timestamptz DEFAULT now(), PRIMARY KEY (event_id))
          PARTITION BY HASH (event_id);
        CREATE TABLE events_a PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE events_b PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE INDEX by_tenant ON events (tenant_id, global_position);
        GRANT SELECT, INSERT, UPDATE, DELETE ON events TO {APP}""")
    stores.fill({TENANT: 40, OTHER: 10})
    stores.dedicated.execute(stores.dbname, "DROP TABLE events")
    assert {row["action"] for row in proxy.admin(CREATE)} == {"made"}
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM pg_partition_tree('events') WHERE isleaf") == 2
    rows = check(proxy)
    assert found(rows, "warning") == [] and found(rows, "blocker") == []
    proxy.move(TENANT, "dedicated")
    assert stores.counts(TENANT)[1] == 40


def test_indexes_that_wait_are_made_between_the_copy_and_dual_write(stores, proxy):
    stores.fill({TENANT: 200, OTHER: 10})
    stores.dedicated.execute(stores.dbname, "DROP TABLE events")
    rows = proxy.admin(CREATE + " WITH (defer_indexes = on)")
    assert [*by_name(rows, "deferred")] == ["public.idx_events_tenant_position"]
    assert indexes(stores.dedicated, stores) == {"events_pkey", "events_event_id_key", "uq_events_aggregate_version"}
    assert found(check(proxy), "warning") == []
    migration = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(migration, "dual_write")
    assert "idx_events_tenant_position" in indexes(stores.dedicated, stores)
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM pgshunt.deferred_index") == 0
    assert any("idx_events_tenant_position" in (row["details"] or "") for row in proxy.admin(f"SHOW AUDIT '{migration}'"))


@pytest.mark.skipif(not failpoints(), reason="failpoints are not compiled in")
def test_a_crash_while_an_index_is_made_costs_only_that_index(stores, make_proxy):
    proxy = make_proxy().start()
    stores.fill({TENANT: 100, OTHER: 10})
    stores.shared.execute(stores.dbname, "CREATE INDEX by_version ON events (version)")
    stores.dedicated.execute(stores.dbname, "DROP TABLE events")
    proxy.admin(CREATE + " WITH (defer_indexes = on)")
    proxy.stop()
    proxy.start(failpoint="sql.before.delete_from_pgshunt_deferred_index_where_id=crash")
    with pytest.raises(psycopg.Error):
        proxy.wait_state(proxy.start_migration(TENANT, "dedicated"), "dual_write")
    proxy.wait_dead()
    assert indexes(stores.dedicated, stores) >= {"events_pkey"} and stores.dedicated.value(
        stores.dbname, "SELECT count(*) FROM pgshunt.deferred_index") == 2
    proxy.start()
    migration = str(proxy.admin("SHOW MIGRATIONS")[0]["id"])
    proxy.wait_state(migration, "dual_write")
    assert indexes(stores.dedicated, stores) >= {"by_version", "idx_events_tenant_position"}
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


@pytest.mark.parametrize("statement,sqlstate,named", [
    ("ALTER TABLE events ALTER version TYPE bigint", "42710", "version"),
    ("ALTER TABLE events DROP CONSTRAINT events_event_id_key, ADD CONSTRAINT events_event_id_key UNIQUE (event_id, version)",
     "42710", "events_event_id_key"),
    ("ALTER TABLE events DROP COLUMN actor_id", "42710", "actor_id"),
], ids=["a type", "a constraint", "a missing column"])
def test_what_stands_and_does_not_fit_stops_everything(stores, proxy, statement, sqlstate, named):
    stores.fill({TENANT: 5, OTHER: 5})
    stores.dedicated.execute(stores.dbname, "DROP INDEX idx_events_tenant_position")
    stores.dedicated.execute(stores.dbname, statement)
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin(CREATE)
    assert refused.value.sqlstate == sqlstate and named in str(refused.value)
    assert "idx_events_tenant_position" not in indexes(stores.dedicated, stores)     # nothing was made


def test_an_owner_that_the_target_lacks_is_named(stores, proxy):
    stores.fill({TENANT: 5, OTHER: 5})
    role = f"owner_{stores.dbname}"
    stores.shared.execute(stores.dbname, f"CREATE ROLE {role}; GRANT {role} TO pgshunt; ALTER TABLE events OWNER TO {role}")
    stores.dedicated.execute(stores.dbname, "DROP TABLE events")
    try:
        with pytest.raises(psycopg.Error) as refused:
            proxy.admin(CREATE)
        assert role in str(refused.value) and "roles.sql" in refused.value.diag.message_hint
        assert stores.dedicated.value(stores.dbname, "SELECT to_regclass('events')") is None
    finally:
        stores.shared.execute(stores.dbname, f"ALTER TABLE events OWNER TO {OWNER}; DROP ROLE {role}")


@pytest.mark.parametrize("command,sqlstate", [
    (f"CREATE TARGET SCHEMA TENANT '{TENANT}' TO 'nowhere'", "42704"),
    (f"CREATE TARGET SCHEMA TENANT '{TENANT}' TO 'shared'", "55000"),
    (CREATE + " WITH (defer_indexes = perhaps)", "22023"),
    (CREATE + " WITH (batch_size = 5)", "42601"),
    ("CREATE TARGET SCHEMA TENANT 'x''; DROP TABLE events; --' TO 'dedicated'", "22P02"),
], ids=["no such store", "home", "no flag", "no option", "injected"])
def test_a_wrong_command_makes_nothing(stores, proxy, command, sqlstate):
    stores.dedicated.execute(stores.dbname, "DROP INDEX idx_events_tenant_position")
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin(command)
    assert refused.value.sqlstate == sqlstate
    assert "idx_events_tenant_position" not in indexes(stores.dedicated, stores)


COMPANIONS = f"""
SET ROLE {OWNER};
CREATE TABLE event_outbox (id uuid PRIMARY KEY, event_id uuid NOT NULL, tenant_id uuid, published boolean DEFAULT false);
CREATE TABLE snapshots (id bigserial PRIMARY KEY, aggregate_id uuid NOT NULL, tenant_id uuid NOT NULL, state jsonb,
                        CONSTRAINT one UNIQUE (aggregate_id));
GRANT SELECT, INSERT, UPDATE, DELETE ON event_outbox, snapshots TO {APP};
GRANT USAGE ON SEQUENCE snapshots_id_seq TO {APP};
"""


def test_companion_tables_are_made_too(stores, make_proxy):
    stores.shared.execute(stores.dbname, COMPANIONS)
    proxy = make_proxy(settings={"events": {"companion_tables": "event_outbox, snapshots"}}).start()
    stores.fill({TENANT: 20, OTHER: 10})
    stores.shared.execute(stores.dbname, "INSERT INTO snapshots (aggregate_id, tenant_id) SELECT DISTINCT aggregate_id,"
                          f" tenant_id FROM events WHERE tenant_id = '{TENANT}'")
    assert found(check(proxy), "blocker"), "they are missing in the target"
    made = by_name(proxy.admin(CREATE), "made")
    assert {"public.event_outbox", "public.snapshots", "public.snapshots_id_seq", "public.snapshots one"} <= set(made)
    rows = check(proxy)
    assert found(rows, "warning") == [] and found(rows, "blocker") == []
    proxy.move(TENANT, "dedicated")
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM snapshots") > 0
