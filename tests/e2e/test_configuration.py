"""The command line and the configuration file: what is wrong is named, with its line, before anything has started."""
import json
import os
import stat

import pytest

from conftest import TOP, connect
from pgcluster import wait_until
from pgshunt import failpoints


@pytest.fixture
def plain(make_proxy):
    """A good configuration, not started."""
    return make_proxy()


def refused(plain):
    """What -t says about the file; a start must say the same and end at once."""
    code, said = plain.command("-t", plain.conf_path)
    assert code != 0, said
    code, at_start = plain.command(plain.conf_path)
    assert code != 0, at_start
    return said


def change(plain, section, key, value):
    plain.settings.setdefault(section, {})[key] = value
    plain.write_files()


def line_of(plain, text):
    return next(number for number, line in enumerate(plain.conf_path.read_text().splitlines(), 1) if text in line)


def test_a_good_file_is_said_to_be_good(plain):
    code, said = plain.command("-t", plain.conf_path)
    assert code == 0, said


def test_the_example_is_good(plain, tmp_path):
    """But for the one file that it cannot bring along."""
    users, example = tmp_path / "users.txt", tmp_path / "proxy.conf"
    users.write_text('"app" "secret"\n')
    text = (TOP / "proxy.conf.example").read_text()
    assert "/etc/pgshunt/users.txt" in text
    example.write_text(text.replace("/etc/pgshunt/users.txt", str(users)))
    code, said = plain.command("-t", example)
    assert code == 0, said


def test_version_and_help(plain):
    assert plain.command("--version")[0] == 0
    code, said = plain.command("--help")
    assert code == 0 and "-t" in said


def test_failpoints_are_listed(plain):
    assert len(failpoints()) >= 10, "built with -Dfailpoints=true"


@pytest.mark.parametrize("section, key, value", [
    ("pgshunt", "no_such_key", "1"), ("no_such_section", "x", "1"), ("pgshunt", "workers", "many"),
    ("pgshunt", "workers", "0"), ("pgshunt", "workers", "-1"), ("pgshunt", "workers", "999999999999999999999"),
    ("pgshunt", "pool_mode", "statement"), ("auth", "auth_type", "plain"), ("migration", "batch_size", "0"),
    ("migration", "position_mode", "guess"), ("log", "level", "loud"), ("log", "format", "xml"),
    ("control", "lease_ms", "soon"), ("migration", "allow_empty", "maybe"),
])
def test_a_wrong_key_or_value_is_named_with_its_line(plain, section, key, value):
    change(plain, section, key, value)
    said = refused(plain)
    wrong = key if section != "no_such_section" else section
    assert wrong in said
    line = line_of(plain, f"{key} = {value}")
    assert any(str(number) in said for number in (line, line - 1)), f"line {line}: {said}"


@pytest.mark.parametrize("section, key, value, word", [
    ("routing", "default_store", "nowhere", "nowhere"), ("routing", "default_store", "", "default_store"),
    ("pgshunt", "listen", "nonsense", "listen"), ("pgshunt", "listen", "127.0.0.1:99999", "listen"),
    ("auth", "auth_file", "/nonexistent/users.txt", "users.txt"),
])
def test_a_value_that_leads_nowhere_is_refused(plain, section, key, value, word):
    change(plain, section, key, value)
    assert word in refused(plain)


def test_a_store_that_is_no_connection_string(plain):
    plain.stores["shared"] = "this is = not = one"
    plain.write_files()
    assert "shared" in refused(plain)


def test_no_stores(plain):
    plain.stores.clear()
    plain.write_files()
    assert "store" in refused(plain)


def test_no_file(plain):
    code, said = plain.command("/nonexistent/pgshunt.conf")
    assert code != 0 and "/nonexistent/pgshunt.conf" in said


@pytest.mark.parametrize("content", ["", "[", "[pgshunt", "listen = x", "= x", "\0\0\0", "[stores]\n" + "x" * 100000,
                                     "[pgshunt]\nlisten"])
def test_a_file_that_is_none(plain, content):
    plain.conf_path.write_text(content)
    refused(plain)


@pytest.mark.parametrize("content", ['"user', '"user" ', '"user" "x', 'user secret', '"" "x"'])
def test_an_auth_file_that_is_none(plain, content):
    plain.auth_path.write_text(content)
    assert "users.txt" in refused(plain)


def test_a_port_that_is_taken(plain, proxy):
    change(plain, "pgshunt", "listen", f"127.0.0.1:{proxy.port}")
    code, said = plain.command(plain.conf_path)
    assert code != 0 and str(proxy.port) in said


def test_two_on_the_same_admin_socket(plain, proxy):
    change(plain, "pgshunt", "admin_socket_dir", proxy.base)
    change(plain, "pgshunt", "admin_port", proxy.admin_port)
    code, said = plain.command(plain.conf_path)
    assert code != 0, said
    assert proxy.admin("SHOW VERSION"), "the first one still has its socket"


def test_a_socket_left_by_a_dead_one_is_taken_over(make_proxy, stores):
    proxy = make_proxy().start()
    proxy.kill()
    proxy.start()
    assert proxy.admin("SHOW VERSION")


def test_init_control(make_proxy, stores):
    """Creates the schema; a second time it finds everything there; then the proxy starts on it."""
    proxy = make_proxy()
    for _ in range(2):
        code, said = proxy.init_control()
        assert code == 0, said
    tables = {name for (name,) in stores.shared.rows(
        stores.dbname, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'pgshunt'")}
    assert {"tenant_migrations", "tenant_routing", "migration_audit_log", "proxy_instances", "instance_acks",
            "stores"} <= tables
    proxy.start()
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_schema_of_another_name(make_proxy, stores):
    proxy = make_proxy(settings={"control": {"schema": "Another One"}}).start()
    assert stores.shared.value(stores.dbname, "SELECT count(*) FROM pg_namespace WHERE nspname = 'Another One'") == 1
    assert proxy.admin("SHOW MIGRATIONS ALL") == []


def test_pid_file(make_proxy):
    proxy = make_proxy()
    pid_file = proxy.base / "pid"
    change(proxy, "pgshunt", "pid_file", pid_file)
    proxy.start()
    assert int(pid_file.read_text()) == proxy.process.pid
    proxy.stop()
    assert not pid_file.exists()


def test_a_log_of_its_own_in_json(make_proxy):
    proxy = make_proxy()
    log = proxy.base / "own.log"
    change(proxy, "log", "destination", log)
    change(proxy, "log", "format", "json")
    proxy.start(ready=False)
    wait_until("it logs that it is ready", lambda: log.exists() and "ready" in log.read_text())
    for line in log.read_text().splitlines():
        assert json.loads(line)
    assert stat.S_IMODE(os.stat(log).st_mode) & 0o022 == 0
    assert "secret" not in log.read_text()


def test_no_password_is_ever_logged(make_proxy, stores):
    proxy = make_proxy(settings={"log": {"level": "debug"}}).start()
    with connect(proxy, stores) as conn:
        conn.execute("SELECT 1")
    proxy.stop()
    assert "secret" not in proxy.log()
