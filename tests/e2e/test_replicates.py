"""Replication connections go through to the default store as they are: PostgreSQL's own tools do not notice."""
import os
import subprocess

import pytest

from conftest import OTHER, TENANT
from pgcluster import bindir

USER, PASSWORD = "replicator", "repl secret"


@pytest.fixture
def server(stores):
    """The default store's server; it lets the user replicate."""
    cluster = stores.shared
    hba = cluster.data / "pg_hba.conf"
    before = hba.read_text()
    cluster.execute("postgres", f"CREATE ROLE {USER} LOGIN REPLICATION PASSWORD '{PASSWORD}'")
    cluster.write_hba([*before.splitlines(), f"host replication {USER} 127.0.0.1/32 scram-sha-256"])
    cluster.execute("postgres", "SELECT pg_reload_conf()")
    yield cluster
    cluster.execute("postgres", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    cluster.execute("postgres", f"DROP ROLE {USER}")
    hba.write_text(before)
    cluster.execute("postgres", "SELECT pg_reload_conf()")


@pytest.fixture(params=["home", "away", "away, pool_mode = transaction"])
def proxy_before(request, server, make_proxy, stores):
    """A pool of one server, where it is shared: a replication connection is not among those that it counts."""
    mode = {"pool_mode": "transaction", "default_pool_size": 1} if "transaction" in request.param else {}
    proxy = make_proxy(users={"app": "app's secret", USER: PASSWORD}, settings={"pgshunt": mode}).start()
    stores.fill({TENANT: 20, OTHER: 10})
    if request.param.startswith("away"):
        proxy.move(TENANT, "dedicated")
    return proxy


def run(proxy, tool, *arguments, timeout_s=60):
    done = subprocess.run([str(bindir() / tool), "-h", proxy.host, "-p", str(proxy.port), "-U", USER,
                           *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, cwd="/",
                          stdin=subprocess.DEVNULL, env={**os.environ, "PGPASSWORD": PASSWORD})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_logical_stream_to_its_end(proxy_before, server, stores):
    slot = ("-d", stores.dbname, "--slot", "story")
    run(proxy_before, "pg_recvlogical", *slot, "--create-slot", "--plugin", "test_decoding")
    with server.connect(stores.dbname) as conn:
        conn.execute("INSERT INTO events (event_id, aggregate_id, aggregate_type, event_type, tenant_id, version,"
                     " timestamp, payload) SELECT gen_random_uuid(), gen_random_uuid(), 'O', 'P', %s, n, now(),"
                     " to_jsonb(repeat('x', 10000)) FROM generate_series(1, 500) n", (OTHER,))
        end = conn.execute("SELECT pg_current_wal_flush_lsn()").fetchone()[0]
    seen = run(proxy_before, "pg_recvlogical", *slot, "--start", "-f", "-", "--endpos", end).splitlines()
    assert len([line for line in seen if line.startswith("table public.events: INSERT:")]) == 500
    assert (seen[0][:5], seen[-1][:6]) == ("BEGIN", "COMMIT")
    run(proxy_before, "pg_recvlogical", *slot, "--drop-slot")


def test_a_base_backup_with_its_log(proxy_before, server, tmp_path):
    run(proxy_before, "pg_basebackup", "-D", tmp_path / "backup", "-X", "stream", "-c", "fast")
    checked = subprocess.run([str(bindir() / "pg_verifybackup"), str(tmp_path / "backup")], capture_output=True,
                             text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_a_stream_of_log_files(proxy_before, server, stores, tmp_path):
    server.execute(stores.dbname, "SELECT pg_switch_wal()")
    server.execute(stores.dbname, "SELECT txid_current()")
    end = server.value(stores.dbname, "SELECT pg_current_wal_flush_lsn()")
    run(proxy_before, "pg_receivewal", "-D", tmp_path, "--slot", "files", "--create-slot")
    server.execute(stores.dbname, "CREATE TABLE filler AS SELECT n, repeat('x', 100) FROM generate_series(1, 200000) n")
    server.execute(stores.dbname, "SELECT pg_switch_wal()")
    end = server.value(stores.dbname, "SELECT pg_current_wal_flush_lsn()")
    run(proxy_before, "pg_receivewal", "-D", tmp_path, "--slot", "files", "--endpos", end)
    whole = [path for path in tmp_path.iterdir() if path.stat().st_size == 16 * 1024 * 1024]
    assert len(whole) >= 1


def test_a_replication_command_and_a_query(proxy_before, server, stores):
    """psql on a replication connection: both languages, and both are the default store's."""
    asking = [str(bindir() / "psql"), "-XAt", "-h", proxy_before.host, "-p", str(proxy_before.port), "-U", USER,
              "-d", f"dbname={stores.dbname} replication=database"]
    done = subprocess.run([*asking, "-c", "IDENTIFY_SYSTEM", "-c", "SHOW port",
                           "-c", f"SELECT current_setting('port') FROM pg_class WHERE '{TENANT}' <> '' LIMIT 1"],
                          capture_output=True, text=True, timeout=30, env={**os.environ, "PGPASSWORD": PASSWORD})
    assert done.returncode == 0, done.stderr
    system, *ports = done.stdout.splitlines()
    assert system.split("|")[0] == server.value("postgres", "SELECT system_identifier FROM pg_control_system()").__str__()
    assert ports == [str(server.port)] * 2
