"""A COPY FROM STDIN whose rows are read, into companion tables and partitions, never into views; and its end before its time:
a server that is lost, a cancel, a client that goes, a tenant that is paused."""
import contextlib
import select
import threading
import uuid

import psycopg
import pytest

import wire
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD, OWNER
from pgcluster import wait_until
from test_copies_rows_to_their_stores import COLUMNS, errors, kinds, line

SCHEMA = f"""
SET ROLE {OWNER};
CREATE TABLE journal (n int, tenant_id uuid NOT NULL, note text) PARTITION BY RANGE (n);
CREATE TABLE journal_low PARTITION OF journal FOR VALUES FROM (0) TO (100);
CREATE TABLE journal_high PARTITION OF journal FOR VALUES FROM (100) TO (1000);
CREATE TABLE notes (note text, whose text);
CREATE VIEW shown AS SELECT n, tenant_id, note FROM journal;
CREATE FUNCTION into_journal() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO journal VALUES (NEW.n, NEW.tenant_id, NEW.note); RETURN NEW; END $$;
CREATE TRIGGER into_journal INSTEAD OF INSERT ON shown FOR EACH ROW EXECUTE FUNCTION into_journal();
GRANT ALL ON ALL TABLES IN SCHEMA public TO {APP};
"""
EVENTS = {"table": "journal", "position_column": "n", "event_id_column": "n", "stream_columns": "n", "version_column": "n",
          "companion_tables": "notes(tenant_column=whose)", "event_views": "shown"}
NOTES = "SELECT note FROM {} ORDER BY note"


@pytest.fixture
def journal(stores, make_proxy):
    """A partitioned event table, a companion, a view; TENANT lives in dedicated."""
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, SCHEMA)
    proxy = make_proxy({"events": EVENTS}).start()
    stores.shared.execute(stores.dbname, "INSERT INTO pgshunt.tenant_routing (tenant_id, store_id, migration_state, generation)"
                                         " VALUES (%s, 'dedicated', 'normal', 1)", [TENANT])
    wait_until("the route is known", lambda: proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]["store_id"] == "dedicated")
    with connect(proxy, stores) as conn:
        yield conn


def copied(conn, statement, text):
    with conn.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(text)
        return cursor.rowcount


def notes(stores, table):
    return tuple([note for (note,) in cluster.rows(stores.dbname, NOTES.format(table))] for cluster in (stores.shared, stores.dedicated))


@pytest.mark.parametrize("into, table, row", [
    ("notes FROM STDIN", "notes", "{note}\t{tenant}\n"),
    ("notes (whose, note) FROM STDIN CSV", "notes", '"{tenant}","{note}"\n'),
    ("journal_low FROM STDIN", "journal", "7\t{tenant}\t{note}\n"),
    ("public.journal_high (note, n, tenant_id) FROM STDIN", "journal", "{note}\t700\t{tenant}\n"),
], ids=["companion", "companion_csv", "partition", "partition_with_a_list"])
def test_into_companions_and_partitions(stores, journal, into, table, row):
    for note, tenant in (("here", OTHER), ("away", TENANT)):
        assert copied(journal, f"COPY {into}", row.format(note=note, tenant=tenant)) == 1
    with pytest.raises(psycopg.Error, match="line 2") as refused:
        copied(journal, f"COPY {into}", row.format(note="x", tenant=TENANT) + row.format(note="y", tenant=OTHER))
    assert refused.value.sqlstate == "0A000"
    assert notes(stores, table) == (["here"], ["away"])


def test_a_view_takes_no_rows(stores, journal):
    """Its trigger might put them anywhere."""
    for tenant in (TENANT, OTHER):
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="unattributed_write"):
            copied(journal, "COPY shown FROM STDIN", f"7\t{tenant}\tx\n")
    assert notes(stores, "journal") == ([], [])


# --- its end before its time --------------------------------------------------------------------------------------------

PID = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY events%' AND state = 'active'"


@pytest.fixture
def copying(proxy, stores):
    """A session in the middle of a COPY of TENANT's rows, which live in dedicated: (session, the server's pid)."""
    stores.fill({TENANT: 20, OTHER: 10})
    proxy.move(TENANT, "dedicated")
    with wire.RawClient(proxy.port) as client:
        client.login(APP, APP_PASSWORD, stores.dbname)
        client.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
        client.until("G")
        client.send(wire.copy_data(line(TENANT) * 1 + line(TENANT)))
        wait_until("the server has rows", lambda: stores.dedicated.rows(stores.dbname, PID))
        yield client, stores.dedicated.value(stores.dbname, PID)


def works(client, stores, counts):
    """The session goes on; none of the COPY's rows is anywhere."""
    client.send(wire.query(f"SELECT count(*) FROM events WHERE tenant_id = '{TENANT}'"))
    assert client.until("Z")[-1].body == b"I"
    assert (stores.counts(TENANT), stores.counts(OTHER)) == counts
    client.send(wire.query(f"COPY events ({COLUMNS}) FROM STDIN"))
    client.until("G")
    client.send(wire.copy_data(line(TENANT)) + wire.copy_done())
    assert kinds(client.until("Z")) == "CZ"


@pytest.mark.parametrize("how", ["terminated", "killed", "cancelled"])
@pytest.mark.parametrize("rows", ["more_to_come", "all_said"])
def test_its_server_is_lost_or_stopped(stores, copying, how, rows):
    client, pid = copying
    before = (stores.counts(TENANT), stores.counts(OTHER))
    if how == "killed":
        stores.dedicated.kill()
        stores.dedicated.start()
    else:
        stores.dedicated.execute(stores.dbname, f"SELECT pg_{'terminate' if how == 'terminated' else 'cancel'}_backend({pid})")
    if rows == "more_to_come":
        for _ in range(50):
            client.send(wire.copy_data(line(TENANT)))
    client.send(wire.copy_done())
    answer = client.until("Z")
    assert errors(answer)[0]["C"] == {"terminated": "57P01", "cancelled": "57014"}.get(how, errors(answer)[0]["C"])
    assert errors(answer)[0]["C"][:2] in ("57", "08") and answer[-1].body == b"I"
    works(client, stores, before)


def test_a_cancel_by_the_client(stores, proxy, copying):
    client, _ = copying
    before = (stores.counts(TENANT), stores.counts(OTHER))
    with wire.RawClient(proxy.port) as other:
        other.send(wire.cancel(*client.key))
        other.until_end()

    def answered():    # PostgreSQL looks for a cancel when data comes
        client.send(wire.copy_data(line(TENANT)))
        return select.select([client.socket], [], [], 0.05)[0]

    wait_until("the server has stopped", answered)
    client.send(wire.copy_done())
    assert errors(client.until("Z"))[0]["C"] == "57014"
    works(client, stores, before)


def test_its_client_goes(stores, copying):
    client, pid = copying
    before = (stores.counts(TENANT), stores.counts(OTHER))
    client.close()
    wait_until("the server has let go", lambda: not stores.dedicated.rows(
        stores.dbname, f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'"))
    assert (stores.counts(TENANT), stores.counts(OTHER)) == before


def test_a_truncate_waits_for_a_paused_tenant(stores, proxy):
    """It is about everybody: held as long as one is paused, and then refused, since that one lives elsewhere."""
    stores.fill({TENANT: 50, OTHER: 10})
    stores.shared.execute(stores.dbname, f"GRANT {OWNER} TO {APP}")
    identity = proxy.start_migration(TENANT, "dedicated", "cutover_timeout_ms = 20000")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    answers = []

    def truncate():
        with connect(proxy, stores) as conn:
            conn.execute(f"SET ROLE {OWNER}")
            try:
                answers.append(conn.execute("TRUNCATE events").statusmessage)
            except psycopg.Error as refusal:
                answers.append(refusal)

    def held():
        return [client["held"] for client in proxy.admin("SHOW CLIENTS")].count(True)

    with contextlib.ExitStack() as stack:
        conn = stack.enter_context(connect(proxy, stores, autocommit=False))
        conn.execute("UPDATE events SET actor_id = 'x' WHERE tenant_id = %s AND version = 1", [uuid.UUID(TENANT)])
        cutover = threading.Thread(target=proxy.cutover, args=[identity])
        late = threading.Thread(target=truncate)
        cutover.start()
        wait_until("it is paused", lambda: proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]["migration_state"] == "cutover_paused", 20)
        late.start()
        wait_until("the TRUNCATE is held", lambda: held() == 1, 20)
        assert answers == []
        conn.commit()
        cutover.join(30)
        late.join(30)
    proxy.wait_state(identity, "migrated")
    assert len(answers) == 1 and answers[0].sqlstate == "0A000" and "unattributed_write" in str(answers[0])
    assert stores.counts(TENANT)[1] == 50 and stores.counts(OTHER) == (10, 0)
