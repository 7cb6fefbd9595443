"""pgbench, as a stranger that knows nothing of tenants, and as an application that does."""
import os
import re
import subprocess

import pytest

from conftest import OTHER, TENANT, THIRD, TOP
from eventstore import APP, APP_PASSWORD
from pgcluster import bindir


def pgbench(proxy, stores, *arguments):
    """What it says; every transaction must have succeeded."""
    done = subprocess.run([str(bindir() / "pgbench"), "-h", proxy.host, "-p", str(proxy.port), "-U", APP, *arguments,
                           stores.dbname], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, "PGPASSWORD": APP_PASSWORD, "PGSSLMODE": "disable"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stderr.lower() and "abort" not in done.stderr.lower(), done.stderr
    assert int(re.search(r"number of failed transactions: (\d+)", done.stdout)[1]) == 0
    assert int(re.search(r"number of transactions actually processed: (\d+)", done.stdout)[1]) > 0
    return done.stdout


@pytest.fixture
def accounts(stores):
    """pgbench's own tables, small."""
    stores.shared.execute(stores.dbname, "GRANT CREATE ON SCHEMA public TO app")
    done = subprocess.run([str(bindir() / "pgbench"), "-i", "-q", "-s", "1", "-h", str(stores.shared.socket_dir), "-p",
                           str(stores.shared.port), "-U", "postgres", stores.dbname], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stores.shared.execute(stores.dbname, "GRANT ALL ON ALL TABLES IN SCHEMA public TO app")


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("script", ["select-only", "tpcb-like", "simple-update"])
def test_its_own_scripts(proxy, stores, accounts, mode, script):
    pgbench(proxy, stores, "-n", "-b", script, "-M", mode, "-c", "8", "-T", "2")


def test_a_new_connection_for_each_transaction(proxy, stores, accounts):
    pgbench(proxy, stores, "-n", "-S", "-C", "-c", "4", "-T", "2")


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("moved_first", [False, True], ids=["at home", "moved"])
def test_the_projects_scripts(proxy, stores, mode, moved_first):
    """Appends, reads and probes of several tenants, one of which may live elsewhere."""
    stores.fill({TENANT: 500, OTHER: 500, THIRD: 500})
    if moved_first:
        proxy.move(TENANT, "dedicated")
    scripts = []
    for script in sorted((TOP / "bench" / "pgbench").glob("*.sql")):
        scripts += ["-f", str(script)]
    pgbench(proxy, stores, "-n", "-M", mode, "-c", "6", "-T", "3", "-D", "tenants=3", "-D", "known=0",
            "-D", f"simple={int(mode == 'simple')}", *scripts)
