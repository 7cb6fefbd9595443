"""START … WITH: each setting changes what the migration does, and only of the migration that it was given to.

max_bulk_copy_rate has its story in test_copies_exactly_once.py, verify_consistency in test_verifies_both_sides.py,
position_mapping_enabled in test_shares_a_store.py; what START refuses of them in test_refuses_bad_input.py."""
import threading

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until


@pytest.mark.parametrize("batch_size,batches", [(10, 10), (25, 4), (1000, 1)])
def test_batch_size_is_how_many_events_a_transaction_brings(stores, proxy, batch_size, batches):
    stores.fill({TENANT: 100, OTHER: 10})
    proxy.wait_state(proxy.start_migration(TENANT, "dedicated", f"batch_size = {batch_size}"), "dual_write")
    counts = [count for (count,) in stores.dedicated.rows(
        stores.dbname, "SELECT count(*) FROM events GROUP BY xmin ORDER BY 1 DESC")]
    assert sum(counts) == 100 and max(counts) == min(batch_size, 100) and len(counts) == batches


def test_dual_write_timeout_minutes_pauses_the_one_that_has_less(stores, proxy):
    stores.fill({TENANT: 20, OTHER: 20})
    hasty = proxy.start_migration(TENANT, "dedicated", "dual_write_timeout_minutes = 1")
    proxy.wait_state(hasty, "dual_write")
    # As if it had lasted for two minutes: whoever takes it up believes the row.
    proxy.stop()
    stores.shared.execute(stores.dbname, "UPDATE pgshunt.tenant_migrations SET dual_write_started_at ="
                          " dual_write_started_at - interval '2 minutes'")
    proxy.start()
    proxy.wait_state(hasty, "paused")
    assert "1 minutes" in proxy.migration(hasty)["error_message"]
    proxy.admin(f"ABORT MIGRATION '{hasty}' PURGE TARGET")
    patient = proxy.start_migration(TENANT, "dedicated", "dual_write_timeout_minutes = 10")
    proxy.wait_state(patient, "dual_write")
    proxy.stop()
    stores.shared.execute(stores.dbname, "UPDATE pgshunt.tenant_migrations SET dual_write_started_at ="
                          " dual_write_started_at - interval '2 minutes'")
    proxy.start()
    proxy.wait_cutover_ready(patient)
    assert proxy.state(patient) == "dual_write"


@pytest.mark.parametrize("most,ready", [(3, False), (50, True)])
def test_cutover_max_lag_events_is_what_may_be_left_to_mirror(stores, proxy, app, most, ready):
    stores.fill({TENANT: 20, OTHER: 10})
    migration = proxy.start_migration(TENANT, "dedicated", f"cutover_max_lag_events = {most}")
    proxy.wait_state(migration, "dual_write")
    proxy.wait_cutover_ready(migration)
    stores.dedicated.stop()
    try:
        for _ in range(8):
            append(app, TENANT)

        def lag():
            rows = {row["check"]: row for row in proxy.admin(f"CHECK CUTOVER '{migration}'")}
            return rows["lag"] if rows["lag"]["found"].startswith("8 ") else None
        row = wait_until("eight are captured", lag, 30)
        assert row["ok"] is ready and f"at most {most})" in row["found"]
    finally:
        stores.dedicated.start()


@pytest.mark.parametrize("timeout_ms,outcome", [(200, "57014"), (20000, "migrated")])
def test_cutover_timeout_ms_is_how_long_it_waits_for_a_writer(stores, proxy, timeout_ms, outcome):
    """An application's transaction that has written the tenant ends when the first one has given up, or never would."""
    stores.fill({TENANT: 20, OTHER: 10})
    migration = proxy.start_migration(TENANT, "dedicated", f"cutover_timeout_ms = {timeout_ms}")
    proxy.wait_state(migration, "dual_write")
    proxy.wait_cutover_ready(migration)
    with connect(proxy, stores, autocommit=False) as writer:
        append(writer, TENANT)
        proxy.accept_shapes()
        ends = threading.Timer(2, writer.commit)
        if outcome == "migrated":
            ends.start()
            proxy.cutover(migration)
            ends.join()
        else:
            with pytest.raises(psycopg.Error) as refused:
                proxy.cutover(migration)
            assert refused.value.sqlstate == outcome
            writer.rollback()
    assert proxy.state(migration) == ("migrated" if outcome == "migrated" else "dual_write")


@pytest.mark.parametrize("option", [
    "batch_size = 0", "batch_size = 'x'", "max_bulk_copy_rate = -1", "dual_write_timeout_minutes = 0",
    "cutover_max_lag_events = -1", "cutover_timeout_ms = 0", "position_mapping_enabled = maybe",
    "verify_consistency = perhaps"])
def test_a_value_that_is_none_is_refused_by_check_and_start(stores, proxy, option):
    for command in ("CHECK", "START"):
        with pytest.raises(psycopg.Error) as refused:
            proxy.admin(f"{command} MIGRATION TENANT '{TENANT}' TO 'dedicated' WITH ({option})")
        assert refused.value.sqlstate == "22023" and option.split(" =")[0] in str(refused.value)
