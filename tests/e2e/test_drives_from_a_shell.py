"""pgshuntctl: the console's commands in a shell, exit codes that scripts can use, bars that end."""
import json
import os
import subprocess
import tarfile

import pytest

from conftest import OTHER, TENANT
from pgcluster import wait_until
from pgshunt import TOP, program


@pytest.fixture
def ctl(proxy):
    def run(*words, timeout_s=60):
        done = subprocess.run([str(program().parent / "src/ctl/pgshuntctl"), "-f", str(proxy.conf_path), *words],
                              capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr
    return run


def test_every_command_of_the_console_has_a_word(proxy):
    table = (TOP / "src/ctl/verb_table.h").read_text(encoding="utf-8")
    for row in proxy.admin("SHOW HELP"):
        words = row["command"].split()
        named = [f'"{" ".join(words[:count])}"' for count in (3, 2, 1)]
        assert any(name in table for name in named) or words[0] == "WATCH", row["command"]


def test_a_migration_from_start_to_end(ctl, proxy, stores):
    stores.fill({TENANT: 300, OTHER: 50})
    code, out, err = ctl("start", "--tenant", TENANT, "--to", "dedicated", "--with", "batch_size=100", "--json")
    assert code == 0 and "position_mode" in err    # a notice
    identity = json.loads(out)[0]["id"]
    assert ctl("wait", identity[:8], "--for", "dual_write", "--timeout", "30")[0] == 0
    code, out, _ = ctl("status", "--json")
    assert [row["state"] for row in json.loads(out)] == ["dual_write"]
    assert f"{identity}" in ctl("status")[1]
    wait_until("ready for the cutover", lambda: ctl("check-cutover", identity)[0] == 0, 30, 0.2)
    code, out, _ = ctl("cutover", identity, "--json")
    assert code == 0 and json.loads(out)[0]["state"] == "migrated"
    code, out, _ = ctl("watch", identity)
    assert code == 0 and "migrated" in out and len(out.splitlines()) == 1
    assert ctl("route", TENANT)[1].count("dedicated") == 1


def test_exit_codes(ctl, proxy, stores):
    stores.fill({TENANT: 30})
    assert ctl("stat")[0] == 2
    assert ctl("show")[0] == 2
    code, _, err = ctl("show", "deadbeef")
    assert code == 1 and "deadbeef" in err
    identity = proxy.start_migration(TENANT, "dedicated")
    code, _, err = ctl("wait", identity, "--for", "migrated", "--timeout", "0.3")
    assert code == 4 and "not migrated" in err
    ctl("abort", identity, "--purge-target", "--reason", "it's over")
    assert ctl("watch", identity)[0] == 5
    assert "it's over" in ctl("audit", identity, "--json")[1]
    proxy.stop()
    code, _, err = ctl("status")
    assert code == 3 and "Is pgshunt running?" in err


def test_watch_ends_when_nothing_is_under_way(ctl, proxy):
    assert ctl("watch") == (0, "no migration is under way\n", "")


def test_a_bundle_has_no_secrets(ctl, proxy, stores, tmp_path):
    stores.fill({TENANT: 30})
    proxy.move(TENANT, "dedicated")
    bundle = tmp_path / "bundle.tar.gz"
    code, out, err = ctl("collect", "--output", str(bundle), "--log", str(proxy.log_path))
    assert (code, out, err) == (0, f"{bundle}\n", "")
    with tarfile.open(bundle) as tar:
        names = {os.path.basename(name) for name in tar.getnames()}
        text = b"".join(tar.extractfile(member).read() for member in tar.getmembers() if member.isfile())
    assert {"config.json", "stores.json", "migrations.json", "version.json", "log"} <= names
    assert any(name.startswith("audit-") for name in names)
    for secret in (*proxy.users.values(), "password="):
        assert secret.encode() not in text
