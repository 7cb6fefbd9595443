"""Both sides compared: what each level finds of what was done to the target behind the migration's back, and what a report
keeps of it. Writers never make it find what is not there."""
import json
import threading

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until

EVENTS = 200                           # twenty streams of ten


def tamper(stores, statements):
    """By the copier's own login, which START wants for itself: nobody else may write there."""
    conninfo = eventstore.store_conninfo(stores.dedicated, stores.dbname)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("SET pgshunt.copier = on")
        conn.execute(statements)


@pytest.fixture
def mirrored(proxy, stores):
    """A migration in dual_write that has been verified; its id."""
    stores.fill({TENANT: EVENTS, OTHER: 50})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    return identity


def verify(proxy, identity, level="hash", more=""):
    return proxy.admin(f"VERIFY MIGRATION '{identity}' LEVEL {level} {more}")[0]


def reports(proxy, identity, kind="verification"):
    code, out, err = proxy.admin_psql(f"SHOW REPORT '{identity}' JSON", "-At")
    assert code == 0, err
    return [row["report"] for row in json.loads(out)["reports"] if row["kind"] == kind]


def listed(proxy, identity, kind="verification"):
    """(kind, version, columns) of every violation of the last report."""
    return [(row["kind"], row["version"], row.get("columns")) for row in reports(proxy, identity, kind)[-1].get("listed", [])]


def test_every_level_passes_where_nothing_differs(proxy, stores, mirrored):
    for level in ("count", "hash", "full"):
        row = verify(proxy, mirrored, level)
        assert (row["level"], row["result"], row["streams"], row["events"], row["violations"]) == (
            level, "passed", EVENTS // 10, EVENTS, 0)
    last = reports(proxy, mirrored)
    by_hash = next(report for report in last if report["level"] == "hash")
    assert by_hash["source_digest"] == by_hash["target_digest"]
    assert by_hash["source_position"] == by_hash["target_position"] is not None


# What was done to one stream of the target, what it is called then, and by which levels it is seen.
ONE = "tenant_id = '%s' AND aggregate_id = (SELECT min(aggregate_id::text)::uuid FROM events)" % TENANT
TAMPERED = {
    "a_row_is_missing": (f"DELETE FROM events WHERE {ONE} AND version = 7",
                         [("missing", "7", None)], {"count", "hash", "full"}),
    "a_row_too_many": (f"INSERT INTO events (global_position, event_id, aggregate_id, aggregate_type, event_type, tenant_id,"
                       f" version, timestamp, payload) SELECT 900000, gen_random_uuid(), aggregate_id, aggregate_type, 'X',"
                       f" tenant_id, 11, now(), '{{}}' FROM events WHERE {ONE} AND version = 1",
                       [("extra", "11", None)], {"count", "hash", "full"}),
    "another_payload": (f"UPDATE events SET payload = '{{}}', actor_id = NULL WHERE {ONE} AND version = 7",
                        [("different", "7", "actor_id, payload")], {"hash", "full"}),
    "two_versions_swapped": (f"UPDATE events SET version = version + 100 WHERE {ONE} AND version IN (6, 7);"
                             f" UPDATE events SET version = CASE version WHEN 106 THEN 7 ELSE 6 END"
                             f" WHERE {ONE} AND version > 100",
                             [("reordered", "6", "version"), ("reordered", "7", "version")], {"hash", "full"}),
    "an_event_in_another_stream": (f"UPDATE events SET aggregate_type = 'Other' WHERE {ONE} AND version = 10",
                                   [("extra", "10", None), ("missing", "10", None)], {"count", "hash", "full"}),
}


def test_a_target_that_was_tampered_with(proxy, stores, mirrored):
    """Each level finds it, or by design does not; no cutover begins; REPAIR brings the rows again."""
    for what, (sql, kinds, finders) in TAMPERED.items():
        tamper(stores, sql)
        for level in ("count", "hash", "full"):
            row = verify(proxy, mirrored, level)
            if level not in finders:
                assert (row["result"], row["violations"]) == ("passed", 0), (what, level)
                continue
            assert (row["result"], row["violations"]) == ("violations", len(kinds)), (what, level)
            assert sorted(listed(proxy, mirrored), key=str) == sorted(kinds, key=str), (what, level)
            assert row["first_violation"].startswith("stream ") and ": version " in row["first_violation"]
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="not ready"):
            proxy.cutover(mirrored)
        row = proxy.admin(f"REPAIR MIGRATION '{mirrored}'")[0]
        assert (row["result"], row["violations"]) == ("repaired", 0) and row["repaired"] > 0, what
    assert "Consistency check failed" in proxy.log()
    assert verify(proxy, mirrored, "full")["result"] == "passed"
    assert len(reports(proxy, mirrored, "repair")) == len(TAMPERED)
    proxy.wait_cutover_ready(mirrored)
    proxy.cutover(mirrored)
    kinds = [row["kind"] for row in proxy.admin(f"SHOW REPORT '{mirrored}'")]
    assert kinds.count("repair") == len(TAMPERED) and kinds[-1] == "cutover"
    events = {row["event_type"] for row in proxy.admin(f"SHOW AUDIT '{mirrored}'")}
    assert {"verification_started", "verification_completed", "verification_failed", "repair_completed"} <= events


def test_one_stream_is_repaired_and_the_other_is_not(proxy, stores, mirrored):
    streams = stores.shared.rows(stores.dbname, "SELECT DISTINCT aggregate_id::text FROM events WHERE tenant_id = %s"
                                 " ORDER BY 1 LIMIT 2", [TENANT])
    for (stream,) in streams:
        tamper(stores, f"DELETE FROM events WHERE aggregate_id = '{stream}' AND version > 8")
    assert verify(proxy, mirrored)["violations"] == 4
    row = proxy.admin(f"REPAIR MIGRATION '{mirrored}' STREAM '{streams[0][0]}' 'Order'")[0]
    assert (row["result"], row["repaired"], row["streams"]) == ("repaired", 2, 1)
    assert verify(proxy, mirrored)["violations"] == 2


def test_a_sample_is_the_same_every_time(proxy, stores, mirrored):
    first = verify(proxy, mirrored, "hash", "SAMPLE 40")
    assert 0 < first["streams"] < EVENTS // 10 and first["sample"] == 40
    again = verify(proxy, mirrored, "full", "SAMPLE 40")
    assert (again["streams"], again["events"]) == (first["streams"], first["events"])
    # What it finds counts as a violation; what it does not find proves nothing.
    tamper(stores, "DELETE FROM events WHERE version = 1")
    assert verify(proxy, mirrored, "count", "SAMPLE 40")["violations"] == first["streams"]
    assert not proxy.check_cutover(mirrored)[0]


def test_what_cannot_be_meant_is_refused(proxy, mirrored):
    one = f"MIGRATION '{mirrored}'"
    for command, code in ((f"VERIFY {one} LEVEL deep", "22023"), (f"VERIFY {one} LEVEL ''''", "22023"),
                          (f"VERIFY {one} SAMPLE 0", "22023"), (f"VERIFY {one} SAMPLE 100.5", "22023"),
                          (f"VERIFY {one} SAMPLE nan", "22023"), (f"VERIFY {one} SAMPLE '1; DROP TABLE events'", "22023"),
                          ("VERIFY MIGRATION 'beef0000'", "42704"), ("VERIFY MIGRATION", "42601"),
                          ("REPAIR MIGRATION 'beef0000'", "42704"), ("SHOW REPORT 'beef0000' JSON", "42704"),
                          (f"REPAIR {one} STREAM", "42601"), (f"REPAIR {one} STREAM 'a'", "22023"),
                          (f"REPAIR {one} STREAM 'no uuid' 'Order'", "22P02"),
                          (f"REPAIR {one} STREAM '''; DROP TABLE events; --' 'Order'", "22P02")):
        with pytest.raises(psycopg.Error) as refused:
            proxy.admin(command)
        assert refused.value.sqlstate == code, command
    assert verify(proxy, mirrored)["result"] == "passed"


class Writers:
    """Two connections that append, update and delete TENANT's events until told to stop."""

    def __init__(self, proxy, stores):
        self.stopped, self.failures, self.written = threading.Event(), [], [0, 0]
        self.threads = [threading.Thread(target=self.run, args=(proxy, stores, number)) for number in range(2)]

    def run(self, proxy, stores, number):
        try:
            with connect(proxy, stores) as conn:
                while not self.stopped.is_set():
                    append(conn, TENANT)
                    conn.execute("UPDATE events SET payload = payload || '{\"u\": 1}' WHERE tenant_id = %s AND version = %s",
                                 [TENANT, 2 + number])
                    conn.execute("DELETE FROM events WHERE tenant_id = %s AND event_id = (SELECT event_id FROM events"
                                 " WHERE tenant_id = %s AND version = %s LIMIT 1)", [TENANT, TENANT, 9 + number])
                    self.written[number] += 1
        except psycopg.Error as error:
            self.failures.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until("both have written", lambda: min(self.written) > 0 or self.failures, 20, 0.01)
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures


def test_writers_make_it_find_nothing_that_is_not_there(proxy, stores, mirrored):
    with Writers(proxy, stores) as writers:
        for level in ("count", "hash", "full", "hash", "full"):
            before = list(writers.written)
            assert verify(proxy, mirrored, level)["violations"] == 0, reports(proxy, mirrored)[-1]
            wait_until("both go on", lambda: all(now > then for now, then in zip(writers.written, before)), 20, 0.01)
        assert proxy.admin(f"REPAIR MIGRATION '{mirrored}'")[0]["violations"] == 0
    proxy.wait_cutover_ready(mirrored)
    proxy.cutover(mirrored)
    assert stores.digests(TENANT)[0] == stores.digests(TENANT)[1]


def test_after_the_switch_what_was_copied_is_compared(proxy, stores, mirrored):
    """The source is as it was at the switch. What was written in the target since is no violation; a copied row that is gone is."""
    proxy.cutover(mirrored)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    for level in ("count", "hash", "full"):
        row = verify(proxy, mirrored, level)
        assert (row["result"], row["events"]) == ("passed", EVENTS)
    tamper(stores, "DELETE FROM events WHERE version = 3")
    assert verify(proxy, mirrored)["violations"] == EVENTS // 10
    assert set(listed(proxy, mirrored)) == {("missing", "3", None)}
    assert "as they were at the switch" in reports(proxy, mirrored)[-1]["compared"]
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        proxy.admin(f"REPAIR MIGRATION '{mirrored}'")


def test_it_tells_how_far_it_is_and_can_be_cancelled(make_proxy, stores):
    """A lock on the target's table keeps it from its rows; the mirror does not wait, and nothing is left behind."""
    proxy = make_proxy().start()
    stores.fill({TENANT: EVENTS})
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    notices, outcome = [], []
    with stores.dedicated.connect(stores.dbname, autocommit=False) as holder, proxy.admin_connect() as operator:
        holder.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        operator.add_notice_handler(lambda notice: notices.append(notice.message_primary))

        def run():
            try:
                operator.execute(f"VERIFY MIGRATION '{identity}'")
            except psycopg.Error as error:
                outcome.append(error)
        asker = threading.Thread(target=run)
        asker.start()
        wait_until("it says how far it is", lambda: any("streams and" in text for text in notices), 30, 0.05)
        operator.cancel()
        asker.join()
        holder.rollback()
    assert outcome[0].sqlstate == "57014"
    wait_until("it has ended", lambda: reports(proxy, identity)[-1]["result"] == "not run", 20, 0.05)
    assert verify(proxy, identity)["result"] == "passed"


def test_consistency_is_verified_as_the_migration_says(proxy, stores):
    """Off: no verification stands before the cutover. A level: that one does."""
    stores.fill({TENANT: 20, OTHER: 20})
    identity = proxy.start_migration(TENANT, "dedicated", "verify_consistency = off")
    proxy.wait_state(identity, "dual_write")
    _, rows = proxy.wait_cutover_ready(identity) or proxy.check_cutover(identity)
    assert next(row["found"] for row in rows if row["check"] == "verification") == "verify_consistency is off"
    assert reports(proxy, identity) == []
    proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
    identity = proxy.start_migration(TENANT, "dedicated", "verify_consistency = full")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    assert [report["level"] for report in reports(proxy, identity)] == ["full"]
    with pytest.raises(psycopg.Error, match="verify_consistency must be one of"):
        proxy.start_migration(OTHER, "dedicated", "verify_consistency = perhaps")


# A trigger at the target that fires for the copier, too, and alters what it brings: what everybody believes was copied.
ALTERS = """
CREATE FUNCTION alter_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.actor_id := 'somebody else'; RETURN NEW; END $$;
CREATE TRIGGER alter_it BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION alter_it();
ALTER TABLE events ENABLE ALWAYS TRIGGER alter_it;
"""


def test_the_verification_before_the_cutover_stops_it(proxy, stores):
    """Nothing failed, nobody asked for it: what was copied wrongly is found before the switch, and there is none."""
    stores.fill({TENANT: 20, OTHER: 20})
    identity = proxy.start_migration(TENANT, "dedicated", "verify_consistency = count")
    proxy.wait_state(identity, "dual_write")
    stores.dedicated.execute(stores.dbname, ALTERS)
    proxy.admin(f"ABORT MIGRATION '{identity}' PURGE TARGET")
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    wait_until("it is found", lambda: proxy.migration(identity).get("verification_result") == "violations", 30, 0.05)
    assert "actor_id" in proxy.migration(identity)["verification_first_violation"]
    ready, rows = proxy.check_cutover(identity)
    found = next(row for row in rows if row["check"] == "verification")
    assert not ready and found["status"] == "blocker" and "REPAIR" in found["hint"]
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        proxy.cutover(identity)
    assert proxy.admin(f"SHOW ROUTE '{TENANT}'")[0]["store_id"] == "shared"


def test_what_is_mirrored_is_compared_behind_it(proxy, stores, mirrored):
    stores.dedicated.execute(stores.dbname, ALTERS)
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    wait_until("it is found", lambda: not proxy.check_cutover(mirrored)[0]
               and any(row["check"] == "verify_behind" and row["status"] == "blocker" and "different" in row["found"]
                       for row in proxy.check_cutover(mirrored)[1]), 30, 0.1)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        proxy.cutover(mirrored)
    stores.dedicated.execute(stores.dbname, "DROP TRIGGER alter_it ON events")
    assert proxy.admin(f"REPAIR MIGRATION '{mirrored}'")[0]["result"] == "repaired"
    proxy.wait_cutover_ready(mirrored)
    proxy.cutover(mirrored)
    assert stores.digests(TENANT)[0] == stores.digests(TENANT)[1]


def test_with_positions_of_the_targets_own(proxy, stores):
    """assign: positions are not compared, everything else is; a repair keeps the place of what it does not bring."""
    stores.fill({TENANT: EVENTS, OTHER: 50})
    identity = proxy.start_migration(TENANT, "dedicated", "position_mode = assign")
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    for level in ("count", "hash", "full"):
        assert verify(proxy, identity, level)["result"] == "passed"
    tamper(stores, "UPDATE events SET payload = '{}' WHERE version = 4; DELETE FROM events WHERE version = 5")
    assert verify(proxy, identity, "full")["violations"] == 2 * EVENTS // 10
    row = proxy.admin(f"REPAIR MIGRATION '{identity}'")[0]
    assert (row["result"], row["repaired"]) == ("repaired", 2 * EVENTS // 10)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="positions of its own"):
        proxy.admin(f"RESYNC MIGRATION '{identity}' FROM POSITION 5")
    tamper(stores, "DELETE FROM events WHERE version = 6")
    assert proxy.admin(f"RESYNC MIGRATION '{identity}'")[0]["different"] == EVENTS // 10
    proxy.wait_state(identity, "dual_write")
    proxy.wait_cutover_ready(identity)
    proxy.cutover(identity)
    assert [row["pause_ms"] is not None for row in proxy.admin(f"SHOW REPORT '{identity}'") if row["kind"] == "cutover"] == [True]
