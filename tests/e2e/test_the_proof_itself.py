"""The demo's proof and the stories' checks must be able to fail: each kind of damage is done on purpose and found."""
import sys
import uuid
from datetime import datetime, timezone

import psycopg
import pytest

import eventstore
from conftest import TENANT
from eventstore import APP, APP_PASSWORD
from events import Appender
from proof import Proof
from tally import main as tally

INSERT = ("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version, timestamp,"
          " payload) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING global_position")


@pytest.fixture
def history(stores):
    """Five events of one stream, written to the first store as the demo's load would."""
    told, stream = [], uuid.uuid4()
    with psycopg.connect(stores.shared.conninfo(stores.dbname, APP, APP_PASSWORD), autocommit=True) as conn:
        for version in range(1, 6):
            event = (uuid.uuid4(), stream, "Order", "OrderChanged", uuid.UUID(TENANT), "writer", version,
                     datetime.now(timezone.utc), '{"n": %d}' % version)
            position = conn.execute(INSERT, event).fetchone()[0]
            told.append({"tenant": TENANT, "event": event, "position": position, "sent": 0.0, "acked": 0.0})
    return told


def holds(stores, history):
    proof = Proof(lambda text: None)
    proof.appends_are_there(stores.shared, stores.dbname, TENANT, history, "tenant")
    return proof.holds()


def test_it_holds_for_what_is_right(stores, history):
    assert holds(stores, history)


@pytest.mark.parametrize("damage", [
    "DELETE FROM events WHERE version = 3",
    "DELETE FROM events WHERE version = 5",
    "UPDATE events SET payload = '{\"n\": 99}' WHERE version = 2",
    "UPDATE events SET \"timestamp\" = \"timestamp\" + interval '1 microsecond' WHERE version = 2",
    "UPDATE events SET global_position = 1000 WHERE version = 2",
    "UPDATE events SET version = 9 WHERE version = 5",
    "UPDATE events SET aggregate_id = gen_random_uuid() WHERE version = 5",
    "UPDATE events SET actor_id = 'somebody' WHERE version = 1",
    "UPDATE events SET event_id = gen_random_uuid() WHERE version = 1",
    "INSERT INTO events SELECT 1000, gen_random_uuid(), aggregate_id, aggregate_type, event_type, tenant_id, actor_id, 6,"
    " timestamp, payload FROM events WHERE version = 1",
    "ALTER TABLE events DROP CONSTRAINT events_event_id_key; ALTER TABLE events DROP CONSTRAINT uq_events_aggregate_version;"
    " INSERT INTO events SELECT 1000, event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version,"
    " timestamp, payload FROM events WHERE version = 5",
])
def test_it_finds_damage(stores, history, damage):
    stores.shared.execute(stores.dbname, damage)
    assert not holds(stores, history)


def test_a_digest_sees_one_bit(stores, history):
    before = eventstore.tenant_digest(stores.shared, stores.dbname, TENANT)
    assert before == eventstore.tenant_digest(stores.shared, stores.dbname, TENANT)
    stores.shared.execute(stores.dbname, "UPDATE events SET created_at = created_at + interval '1 microsecond'"
                                         " WHERE version = 4")
    assert before != eventstore.tenant_digest(stores.shared, stores.dbname, TENANT)


@pytest.mark.parametrize("damage", ["DELETE FROM events WHERE version = 2", "UPDATE events SET version = 1000 WHERE version"
                                    " = 2", "UPDATE events SET event_id = gen_random_uuid() WHERE version = 2"])
def test_an_appender_finds_what_it_was_told_wrongly(stores, damage):
    class Server:
        host, port = stores.shared.host, stores.shared.port
    appender = Appender(Server, stores, TENANT)
    appender.start()
    appender.wait_appended(5)
    appender.stop()
    appender.check(stores.shared)
    stores.shared.execute(stores.dbname, damage)
    with pytest.raises(AssertionError):
        appender.check(stores.shared)


def test_the_tally_counts_what_fails(tmp_path, monkeypatch, capsys):
    file = str(tmp_path / "tally")
    for arguments in (["add", file, "one", "3", "0"], ["add", file, "two", "4", "1"]):
        monkeypatch.setattr(sys, "argv", ["tally.py", *arguments])
        tally()
    monkeypatch.setattr(sys, "argv", ["tally.py", "sum", file])
    assert tally() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "7 passed, 1 failed"
    monkeypatch.setattr(sys, "argv", ["tally.py", "pytest", file, "never", str(tmp_path / "no.xml"), "2"])
    tally()
    assert "0 passed, 1 failed" in capsys.readouterr().out
