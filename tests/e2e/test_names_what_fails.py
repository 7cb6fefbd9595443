"""What can go wrong in the target is named and classified: a constraint that rejects a row pauses the migration and says what
to do; a full disk is waited for, behind the circuit breaker. Clients go on meanwhile, and nothing is lost."""
import os
import subprocess

import psycopg
import pytest

from conftest import TENANT, connect
from events import append
from pgcluster import wait_until

BREAKER = {"migration": {"breaker_failures": 2, "breaker_open_ms": 200, "breaker_trials": 1}}


def seen(proxy, identity):
    """severity, recoverability, message of the migration's present error."""
    row = proxy.migration(identity)
    return row["error_severity"], row["error_recoverability"], row["error_message"]


def wait_error(proxy, identity, severity, recoverability):
    wait_until("an error is written down", lambda: seen(proxy, identity)[:2] == (severity, recoverability), 40, 0.1)
    return seen(proxy, identity)[2]


def assert_same(stores):
    counts = stores.counts(TENANT)
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("when", ["bulk_copy", "dual_write"])
def test_a_constraint_that_rejects_a_row_pauses(make_proxy, stores, when):
    proxy = make_proxy(settings=BREAKER).start()
    check = "ALTER TABLE events ADD CONSTRAINT no_bad_words CHECK (payload::text NOT LIKE '%bad%')"
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        if when == "bulk_copy":
            append(conn, TENANT, payload='{"word": "bad"}')
        stores.dedicated.execute(stores.dbname, check)
        identity = proxy.start_migration(TENANT, "dedicated")
        if when == "dual_write":
            proxy.wait_state(identity, "dual_write")
            append(conn, TENANT, payload='{"word": "bad"}')
        proxy.wait_state(identity, "paused")
        severity, recoverability, message = seen(proxy, identity)
        assert (severity, recoverability) == ("error", "recoverable")
        assert "no_bad_words" in message
        append(conn, TENANT)  # nobody waits for the target
        stores.dedicated.execute(stores.dbname, "ALTER TABLE events DROP CONSTRAINT no_bad_words")
        proxy.admin(f"RESUME MIGRATION '{identity}'")
        proxy.wait_state(identity, "dual_write")
        proxy.wait_cutover_ready(identity)
    assert_same(stores)


@pytest.fixture
def small_disk(tmp_path, stores):
    """A tablespace of the target that holds 6 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    place = str(stores.dedicated.socket_dir) + "-full"
    os.makedirs(place, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0777", "tmpfs", place], check=False).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    subprocess.run(["chown", "--reference", str(stores.dedicated.socket_dir), place], check=True)
    stores.dedicated.execute("postgres", f"CREATE TABLESPACE small LOCATION '{place}'")
    try:
        yield place
    finally:
        stores.dedicated.execute(stores.dbname, "DROP TABLE events")
        stores.dedicated.execute("postgres", "DROP TABLESPACE small")
        subprocess.run(["umount", place], check=True)
        os.rmdir(place)


def test_a_full_disk_is_waited_for(make_proxy, stores, small_disk):
    proxy = make_proxy(settings=BREAKER).start()
    stores.dedicated.execute(stores.dbname, "ALTER TABLE events SET TABLESPACE small")
    large = '{"a": "' + os.urandom(200_000).hex() + '"}'
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        identity = proxy.start_migration(TENANT, "dedicated")
        proxy.wait_state(identity, "dual_write")
        for _ in range(25):
            append(conn, TENANT, payload=large)
        message = wait_error(proxy, identity, "error", "transient")
        assert "No space left" in message
        assert proxy.state(identity) == "dual_write"
        append(conn, TENANT)
        lag = proxy.admin(f"SHOW LAG '{identity}'")[0]
        assert lag["entries"] > 0 and lag["trend"] in ("steady", "growing") and "No space" in lag["last_error"]
        subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
        proxy.wait_cutover_ready(identity)
        assert proxy.admin(f"SHOW LAG '{identity}'")[0]["trend"] == "none"
        assert_same(stores)
        failures, recovered = stores.shared.rows(
            stores.dbname, "SELECT sum(failures), bool_and(recovered_at IS NOT NULL) FROM pgshunt.migration_failed_writes"
            " WHERE migration_id = %s", [identity])[0]
        assert failures > 0 and recovered
        proxy.admin(f"ABORT MIGRATION '{identity}'")
        proxy.stop()
