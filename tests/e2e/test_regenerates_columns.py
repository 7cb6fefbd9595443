"""A column that belongs to the cluster and not to the event (the id of the transaction that wrote it): copied, it would hide
history from readers that wait for older transactions. Such a column takes the target's default, or START refuses."""

import psycopg
import pytest

from conftest import TENANT, connect
from events import append

SEEN = ("SELECT count(*) FROM events WHERE tenant_id = %s AND (txid IS NULL OR txid < pg_snapshot_xmin(pg_current_snapshot()))")


def prepare(stores, target="NOT NULL DEFAULT pg_current_xact_id()"):
    # Values that the target's cluster has not come to yet.
    stores.shared.execute(stores.dbname, "ALTER TABLE events ADD txid xid8 NOT NULL DEFAULT '900000000'")
    stores.dedicated.execute(stores.dbname, f"ALTER TABLE events ADD txid xid8 {target}")


def test_a_moved_row_takes_the_targets_value(make_proxy, stores):
    prepare(stores)
    proxy = make_proxy(settings={"events": {"regenerate_columns": "txid"}}).start()
    with connect(proxy, stores) as conn:
        for _ in range(5):
            append(conn, TENANT)
        identity = proxy.start_migration(TENANT, "dedicated")
        proxy.wait_state(identity, "dual_write")
        append(conn, TENANT)
        proxy.wait_cutover_ready(identity)
        proxy.cutover(identity)
        append(conn, TENANT)
        assert conn.execute(SEEN, [TENANT]).fetchone()[0] == 7
    assert stores.dedicated.value(stores.dbname, "SELECT count(*) FROM events WHERE txid = '900000000'") == 0


def test_start_refuses_a_clusters_column_that_would_be_copied(make_proxy, stores):
    prepare(stores)
    proxy = make_proxy().start()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="txid.*xid8") as refusal:
        proxy.start_migration(TENANT, "dedicated")
    assert "regenerate_columns" in refusal.value.diag.message_hint


def test_start_refuses_a_target_that_has_no_value_of_its_own(make_proxy, stores):
    prepare(stores, target="NOT NULL")
    proxy = make_proxy(settings={"events": {"regenerate_columns": "txid"}}).start()
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
    with pytest.raises(psycopg.errors.DatatypeMismatch, match="no default") as refusal:
        proxy.start_migration(TENANT, "dedicated")
    assert "pg_current_xact_id()" in refusal.value.diag.message_hint
