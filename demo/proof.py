"""The proof: what applications were told, against what the stores hold, read straight from them."""
from datetime import datetime, timedelta, timezone

import eventstore

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# What the load wrote, as text: everything that was sent, and the position that came back.
WRITTEN = """
SELECT event_id, aggregate_id, aggregate_type, event_type, tenant_id, actor_id, version,
       (extract(epoch FROM "timestamp") * 1000000)::bigint, payload::text, global_position
FROM events WHERE tenant_id = %s AND actor_id <> 'importer'
"""


def as_stored(record):
    """One record of the history in the shape of a row of WRITTEN."""
    event = list(record["event"])
    event[7] = (event[7] - EPOCH) // timedelta(microseconds=1)
    return (*event, record["position"])


class Proof:
    def __init__(self, say):
        self.say = say
        self.checked = self.failed = 0

    def check(self, holds, claim, why, why_not):
        self.checked += 1
        if not holds:
            self.failed += 1
        self.say(f"{'  ok ' if holds else 'FAIL '} {claim}: {why if holds else why_not}")

    def holds(self):
        return self.checked > 0 and self.failed == 0

    def appends_are_there(self, cluster, dbname, tenant, history, who):
        """Each acknowledged append exactly once, as it was sent, at the position the client was told; nothing else;
        no stream with a gap or out of order."""
        told = {record["event"][0]: as_stored(record) for record in history if record["tenant"] == tenant}
        rows = cluster.rows(dbname, WRITTEN, [tenant])
        stored = {row[0]: row for row in rows}
        lost = [identity for identity in told if identity not in stored]
        strange = [identity for identity in stored if identity not in told]
        changed = [identity for identity, row in told.items() if identity in stored and stored[identity] != row]
        doubled = len(rows) - len(stored)
        self.check(told and not (lost or strange or changed or doubled),
                   f"{who}: every acknowledged append is there exactly once, as it was sent",
                   f"{len(told):,} appends",
                   f"of {len(told):,} appends {len(lost)} lost, {doubled} doubled, {len(changed)} changed,"
                   f" {len(strange)} never acknowledged; for example"
                   f" {self._example(lost, strange, changed, told, stored)}")
        broken = eventstore.broken_streams(cluster, dbname, tenant)
        self.check(not broken, f"{who}: no stream has a gap, none is out of order",
                   "versions 1, 2, 3 …, positions rise with them", f"for example {broken[:3]}")

    @staticmethod
    def _example(lost, strange, changed, told, stored):
        for identity in [*lost, *strange, *changed][:1]:
            return f"told {told.get(identity)}, stored {stored.get(identity)}"
        return None
