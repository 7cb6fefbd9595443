"""CHECK MIGRATION: everything that START would refuse or warn of, each found by itself, and nothing changed by looking.

START runs the same checks: a blocker is its error, a warning a NOTICE and a line in the audit."""
import psycopg
import pytest

from conftest import OTHER, TENANT
from eventstore import APP

# What a look must not change, in both stores: objects, triggers, rights, sequences, rows.
CATALOGUE = """
SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_trigger),
       (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'), (SELECT count(*) FROM pg_constraint),
       (SELECT string_agg(relname || coalesce(relacl::text, ''), ' ' ORDER BY oid) FROM pg_class
         WHERE relnamespace = 'public'::regnamespace),
       (SELECT count(*) FROM events), (SELECT last_value FROM events_global_position_seq)
"""


def check(proxy, options=None, tenant=TENANT, store="dedicated"):
    extra = f" WITH ({options})" if options else ""
    return proxy.admin(f"CHECK MIGRATION TENANT '{tenant}' TO '{store}'{extra}")


def found(rows, status):
    return [(row["check"], row["found"]) for row in rows if row["status"] == status]


def run(cluster, stores, *statements):
    for statement in statements:
        cluster.execute(stores.dbname, statement)


def test_a_healthy_pair_has_nothing_to_complain_of_and_is_not_changed(stores, proxy):
    stores.fill({TENANT: 30, OTHER: 10})
    before = [cluster.rows(stores.dbname, CATALOGUE) for cluster in (stores.shared, stores.dedicated)]
    routes = stores.shared.rows(stores.dbname, "SELECT (SELECT count(*) FROM pgshunt.tenant_migrations),"
                                " (SELECT count(*) FROM pgshunt.migration_audit_log),"
                                " (SELECT count(*) FROM pgshunt.tenant_routing), (SELECT count(*) FROM pgshunt.stores)")
    rows = check(proxy)
    assert found(rows, "warning") == [] and found(rows, "blocker") == []
    assert {row["check"] for row in rows} >= {
        "connection", "route", "identity", "columns", "declared", "rights", "rows", "positions", "row_security",
        "read_only", "replication_role", "version", "encoding", "server_settings", "partitions", "defaults",
        "constraints", "indexes", "triggers", "rules", "policies", "types", "functions", "position_index", "sequence",
        "roles", "role_settings", "logins", "connections", "open_transactions", "tap", "guard", "size", "space", "lag",
        "duration"}
    assert all(row["ok"] is True and row["hint"] is None for row in rows)
    assert "30 events" in dict(found(rows, "ok"))["size"]
    assert before == [cluster.rows(stores.dbname, CATALOGUE) for cluster in (stores.shared, stores.dedicated)]
    assert routes == stores.shared.rows(
        stores.dbname, "SELECT (SELECT count(*) FROM pgshunt.tenant_migrations),"
        " (SELECT count(*) FROM pgshunt.migration_audit_log), (SELECT count(*) FROM pgshunt.tenant_routing),"
        " (SELECT count(*) FROM pgshunt.stores)")
    proxy.move(TENANT, "dedicated")           # what it promised


# Each provoked by itself: what is done to which store, what is then found (status, check, a part of what is said).
SOURCE, TARGET = "shared", "dedicated"
TABLE = "public.events"
PROVOKED = {
    "a column is missing": (TARGET, "ALTER TABLE events DROP COLUMN actor_id", "blocker", "columns", "actor_id"),
    "a type differs": (TARGET, "ALTER TABLE events ALTER version TYPE smallint", "blocker", "columns", "version"),
    "two columns differ": (TARGET, "ALTER TABLE events DROP COLUMN actor_id, ALTER version TYPE smallint",
                           "blocker", "columns", "version"),
    "one more column that must have a value": (TARGET, "ALTER TABLE events ADD extra int NOT NULL", "blocker", "columns",
                                               "extra"),
    "one more column": (TARGET, "ALTER TABLE events ADD extra int", "warning", "defaults", "extra"),
    "another order": (TARGET, "ALTER TABLE events DROP COLUMN actor_id; ALTER TABLE events ADD actor_id varchar(255)",
                      "warning", "columns", "order"),
    "nulls that would be refused": (TARGET, "ALTER TABLE events ALTER actor_id SET NOT NULL", "blocker", "columns",
                                    "actor_id"),
    "a default differs": (TARGET, "ALTER TABLE events ALTER created_at DROP DEFAULT", "warning", "defaults", "created_at"),
    "the key is not unique": (TARGET, "ALTER TABLE events DROP CONSTRAINT events_event_id_key", "blocker", "columns",
                              "events"),
    "a unique constraint is missing": (TARGET, "ALTER TABLE events DROP CONSTRAINT uq_events_aggregate_version", "warning",
                                       "constraints", "uq_events_aggregate_version"),
    "a check more": (TARGET, "ALTER TABLE events ADD CONSTRAINT small CHECK (version < 100)", "warning", "constraints",
                     "small"),
    "a check less": (SOURCE, "ALTER TABLE events ADD CONSTRAINT small CHECK (version < 1000000)", "warning", "constraints",
                     "small"),
    "a foreign key more": (TARGET, "CREATE TABLE streams (id uuid PRIMARY KEY); ALTER TABLE events ADD CONSTRAINT of_stream"
                           " FOREIGN KEY (aggregate_id) REFERENCES streams", "warning", "constraints", "of_stream"),
    "an exclusion less": (SOURCE, "ALTER TABLE events ADD CONSTRAINT once EXCLUDE USING btree (event_id WITH =)", "warning",
                          "constraints", "once"),
    "an index is missing": (TARGET, "DROP INDEX idx_events_tenant_position", "warning", "indexes",
                            "idx_events_tenant_position"),
    "nothing to copy by": (SOURCE, "DROP INDEX idx_events_tenant_position", "warning", "position_index",
                           "begins with its tenant"),
    "an index in no order": (SOURCE, "DROP INDEX idx_events_tenant_position; CREATE INDEX by_tenant ON events (tenant_id)",
                             "warning", "position_index", "by_tenant"),
    "inheritance": (SOURCE, "CREATE TABLE more_events () INHERITS (events); ALTER TABLE more_events OWNER TO events_owner",
                    "blocker", "columns", "inheritance"),
    "a sequence at its end": (TARGET, "ALTER SEQUENCE events_global_position_seq MAXVALUE 10", "blocker", "sequence",
                              "10 at most"),
    "a sequence near its end": (TARGET, "ALTER SEQUENCE events_global_position_seq MAXVALUE 54", "warning", "sequence",
                                "left"),
    "a sequence that begins anew": (TARGET, "ALTER SEQUENCE events_global_position_seq CYCLE", "warning", "sequence",
                                    "anew"),
    "no sequence": (TARGET, "ALTER TABLE events ALTER global_position DROP DEFAULT; DROP SEQUENCE"
                    " events_global_position_seq", "warning", "sequence", "no match"),
    "a trigger in the target": (TARGET, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                                " CREATE TRIGGER watch BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION f()",
                                "warning", "triggers", "watch"),
    "a trigger that fires for the copier": (
        TARGET, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER watch BEFORE"
        " INSERT ON events FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE events ENABLE ALWAYS TRIGGER watch",
        "warning", "triggers", "would fire"),
    "a trigger in the source": (SOURCE, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                                " CREATE TRIGGER watch BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION f()",
                                "warning", "triggers", "watch"),
    "a rule": (TARGET, "CREATE RULE never AS ON DELETE TO events DO INSTEAD NOTHING", "warning", "rules", "never"),
    "a rule for the copier": (TARGET, "CREATE RULE never AS ON DELETE TO events DO INSTEAD NOTHING;"
                              " ALTER TABLE events ENABLE ALWAYS RULE never", "blocker", "rules", "never"),
    "policies that hide rows": (SOURCE, "ALTER TABLE events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "blocker",
                                "row_security", "hide rows"),
    "policies on one side": (TARGET, "ALTER TABLE events ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON events USING (true)",
                             "warning", "policies", "own"),
    "an enum with other labels": (TARGET, None, "blocker", "types", "mood"),
    "rows there": (TARGET, f"INSERT INTO events SELECT 1, gen_random_uuid(), gen_random_uuid(), 'a', 'b', '{TENANT}', 'c', 1,"
                   " now(), '{}', now()", "blocker", "rows", "holds 1 events"),
    "rows of somebody else": (TARGET, f"INSERT INTO events SELECT 1, gen_random_uuid(), gen_random_uuid(), 'a', 'b',"
                              f" '{OTHER}', 'c', 1, now(), '{{}}', now()", "warning", "guard", OTHER),
    "no rows to move": (SOURCE, f"DELETE FROM events WHERE tenant_id = '{TENANT}'", "blocker", "rows", "has no rows"),
    "a read-only target": (TARGET, "ALTER DATABASE {db} SET default_transaction_read_only = on", "blocker", "read_only",
                           "default_transaction_read_only"),
    "another owner": (TARGET, "ALTER TABLE events OWNER TO postgres", "blocker", "rights", "neither owns"),
    "no right to make a schema": (TARGET, "REVOKE CREATE ON DATABASE {db} FROM pgshunt", "blocker", "rights",
                                  "may not create"),
    "less safe": (TARGET, "ALTER DATABASE {db} SET synchronous_commit = off", "warning", "server_settings",
                  "synchronous_commit"),
    "another isolation": (TARGET, "ALTER DATABASE {db} SET default_transaction_isolation = 'serializable'", "warning",
                          "server_settings", "default_transaction_isolation"),
    "another setting of the database": (TARGET, "ALTER DATABASE {db} SET work_mem = '9MB'", "warning", "role_settings",
                                        "work_mem"),
    "another setting of the role": (TARGET, "ALTER ROLE app IN DATABASE {db} SET work_mem = '9MB'", "warning",
                                    "role_settings", "work_mem"),
    "no right of the application": (TARGET, "REVOKE DELETE ON events FROM app", "warning", "roles", "DELETE"),
    "no right on the sequence": (TARGET, "REVOKE USAGE ON SEQUENCE events_global_position_seq FROM app", "warning", "roles",
                                 "sequences"),
    "nobody may connect": (TARGET, "REVOKE CONNECT ON DATABASE {db} FROM PUBLIC; GRANT CONNECT ON DATABASE {db} TO pgshunt",
                           "warning", "logins", "cannot log in"),
    "a database for few": (TARGET, "ALTER DATABASE {db} CONNECTION LIMIT 4", "blocker", "connections", "pgshunt alone"),
    "a view instead": (TARGET, "ALTER TABLE events RENAME TO real_events; CREATE VIEW events AS SELECT * FROM real_events;"
                       " ALTER VIEW events OWNER TO events_owner", "blocker", "connection", "is not a table"),
    "no table": (TARGET, "DROP TABLE events", "blocker", "connection", "has no table"),
}


@pytest.mark.parametrize("name", sorted(PROVOKED))
def test_finds(stores, proxy, name):
    side, statements, status, what, part = PROVOKED[name]
    stores.fill({TENANT: 40, OTHER: 10})
    cluster = getattr(stores, side)
    if name == "nulls that would be refused":
        stores.shared.execute(stores.dbname, "UPDATE events SET actor_id = NULL WHERE version = 1")
    if name == "an enum with other labels":
        for at, labels in ((stores.shared, "'a', 'b'"), (stores.dedicated, "'a', 'c'")):
            run(at, stores, f"CREATE TYPE public.mood AS ENUM ({labels}); ALTER TABLE events ADD mood public.mood")
    else:
        cluster.execute(stores.dbname, statements.replace("{db}", stores.dbname))
    rows = check(proxy)
    hits = [row for row in rows if row["status"] == status and row["check"] == what and part in row["found"]]
    assert hits, [row for row in rows if row["status"] != "ok"]
    assert all(row["hint"] for row in hits), "whoever reads it must know what to do"
    if status == "warning":
        assert found(rows, "blocker") == []
        return
    with pytest.raises(psycopg.Error) as refused:          # START refuses by the same
        proxy.start_migration(TENANT, "dedicated")
    blockers = [row["found"] for row in rows if row["status"] == "blocker"]
    assert refused.value.diag.message_primary[:60] in blockers[0]
    if len(blockers) > 1:
        assert all(text[:50] in refused.value.diag.message_detail for text in blockers[:3])
    assert stores.shared.value(stores.dbname, "SELECT count(*) FROM pgshunt.tenant_migrations") == 0


def test_start_says_its_warnings_and_writes_them_down(stores, proxy):
    stores.fill({TENANT: 40, OTHER: 10})
    stores.dedicated.execute(stores.dbname, "ALTER TABLE events ADD CONSTRAINT small CHECK (version < 1000)")
    notices = []
    with proxy.admin_connect() as conn:
        conn.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        identity = str(conn.execute(f"START MIGRATION TENANT '{TENANT}' TO 'dedicated'").fetchone()["id"])
    assert any(text.startswith("constraints: check public.events small") for text in notices)
    audit = [row for row in proxy.admin(f"SHOW AUDIT '{identity}'") if row["event_type"] == "migration_checked"]
    assert "public.events small" in audit[0]["details"]
    proxy.wait_state(identity, "dual_write")


def test_the_same_store_twice_and_the_same_database_by_another_name(stores, make_proxy):
    conninfos = stores.conninfos()
    proxy = make_proxy(conninfos={**conninfos, "twin": conninfos["shared"]}).start()
    stores.fill({TENANT: 5, OTHER: 5})
    assert found(check(proxy, store="shared"), "blocker")[0][0] == "route"
    assert "same database" in dict(found(check(proxy, store="twin"), "blocker"))["identity"]


def test_a_store_that_is_another_one_than_before(stores, proxy):
    stores.fill({TENANT: 5, OTHER: 5})
    stores.shared.execute(stores.dbname, "INSERT INTO pgshunt.stores VALUES ('dedicated', '12345', 1)")
    assert "was cluster 12345" in dict(found(check(proxy), "blocker"))["identity"]
    with pytest.raises(psycopg.Error) as refused:
        proxy.start_migration(TENANT, "dedicated")
    assert refused.value.sqlstate == "55000"


def test_a_role_that_the_target_lacks_or_knows_otherwise(stores, make_proxy, clusters):
    role = f"user_{stores.dbname}"
    stores.fill({TENANT: 5, OTHER: 5})
    for cluster in clusters:
        cluster.execute(stores.dbname, f"CREATE ROLE {role} LOGIN PASSWORD 'one'; GRANT SELECT ON events TO {role}")
    try:
        proxy = make_proxy(users={APP: "app's secret", role: "one"}).start()
        assert found(check(proxy), "warning") == []
        stores.dedicated.execute(stores.dbname, f"ALTER ROLE {role} PASSWORD 'two'")
        assert [what for what, _ in found(check(proxy), "warning")] == ["logins"]
        stores.dedicated.execute(stores.dbname, f"ALTER ROLE {role} PASSWORD 'one' CONNECTION LIMIT 3 VALID UNTIL '2020-01-01'")
        assert {what for what, _ in found(check(proxy), "warning")} == {"logins", "roles", "connections"}
        stores.dedicated.execute(stores.dbname, f"DROP OWNED BY {role}; DROP ROLE {role}")
        assert any("does not exist" in text for _, text in found(check(proxy), "warning"))
    finally:
        for cluster in clusters:
            cluster.execute(stores.dbname, f"DO $$ BEGIN IF to_regrole('{role}') IS NOT NULL THEN DROP OWNED BY {role};"
                            f" DROP ROLE {role}; END IF; END $$")


def test_open_and_prepared_transactions_that_the_tap_would_wait_for(stores, proxy):
    stores.fill({TENANT: 5, OTHER: 5})
    assert [what for what, _ in found(check(proxy), "warning")] == []
    with stores.shared.connect(stores.dbname, autocommit=False) as writer:
        writer.execute("UPDATE events SET version = version WHERE version = 1")
        rows = check(proxy)                       # young: nobody would wait long; but it has the lock now
        assert "has a lock" in dict(found(rows, "warning"))["tap"]
        writer.execute("SELECT pg_sleep(5.2)")
        assert "open for" in dict(found(check(proxy), "warning"))["open_transactions"]
        writer.rollback()


def test_a_prepared_transaction_that_nobody_ends(stores, proxy):
    stores.fill({TENANT: 5, OTHER: 5})
    with stores.shared.connect(stores.dbname, autocommit=False) as writer:
        writer.execute(f"UPDATE events SET version = version WHERE version = 1; PREPARE TRANSACTION '{stores.dbname}'")
    rows = check(proxy)
    assert "prepared transaction" in dict(found(rows, "warning"))["open_transactions"]
    assert any("pg_prepared_xacts" in row["hint"] for row in rows if row["check"] == "open_transactions")
    stores.shared.execute(stores.dbname, f"ROLLBACK PREPARED '{stores.dbname}'")
    assert found(check(proxy), "warning") == []


def test_a_store_that_is_down_and_one_that_is_slow(stores, proxy):
    stores.fill({TENANT: 5, OTHER: 5})
    stores.dedicated.stop()
    rows = check(proxy)
    assert [row["check"] for row in rows if not row["ok"]] == ["connection"]
    assert any(row["check"] == "connection" and row["ok"] and "shared" in row["found"] for row in rows)
    stores.dedicated.start()
    assert found(check(proxy), "blocker") == []


def test_who_waits_long_is_told_for_what(stores, proxy):
    stores.fill({TENANT: 5, OTHER: 5})
    notices = []
    with stores.shared.connect(stores.dbname, autocommit=False) as other, proxy.admin_connect() as conn:
        conn.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        other.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")   # every look at rows waits, for lock_timeout at most
        stores.dedicated.freeze()
        try:
            rows = conn.execute(f"CHECK MIGRATION TENANT '{TENANT}' TO 'dedicated'").fetchall()
        finally:
            stores.dedicated.thaw()
        other.rollback()
    assert any("looking at" in text for text in notices) and found(rows, "blocker") != []


def test_no_option_and_no_tenant_are_errors_of_the_command(stores, proxy):
    for command, sqlstate in ((f"CHECK MIGRATION TENANT '{TENANT}' TO 'nowhere'", "42704"),
                              (f"CHECK MIGRATION TENANT '{TENANT}' TO 'dedicated' WITH (nonsense = 1)", "42601"),
                              (f"CHECK MIGRATION TENANT '{TENANT}' TO 'dedicated' WITH (batch_size = 'x')", "22023"),
                              ("CHECK MIGRATION TENANT 'x'' OR true; --' TO 'dedicated'", "22P02"),
                              ("CHECK MIGRATION TENANT '' TO 'dedicated'", "22P02")):
        with pytest.raises(psycopg.Error) as refused:
            proxy.admin(command)
        assert refused.value.sqlstate == sqlstate, command


def test_a_tenant_under_way_is_no_candidate(stores, proxy):
    stores.fill({TENANT: 5, OTHER: 5})
    proxy.wait_state(proxy.start_migration(TENANT, "dedicated"), "dual_write")
    assert "active migration" in found(check(proxy), "blocker")[0][1]
    assert found(check(proxy, tenant=OTHER, options="position_mode = preserve"), "blocker")[0][0] == "positions"
