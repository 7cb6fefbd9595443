"""RELOAD and SIGHUP: what may change while it runs does, what may not is said, a wrong file changes nothing."""
import signal

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD
from pgcluster import wait_until


def reload(proxy, **sections):
    """Writes other settings into the file and reloads: {key: (old, new, status)}."""
    for section, keys in sections.items():
        proxy.settings.setdefault(section, {}).update(keys)
    proxy.write_files()
    return {row["key"]: (row["old"], row["new"], row["status"]) for row in proxy.admin("RELOAD")}


def shown(proxy, key):
    return next(row["value"] for row in proxy.admin("SHOW CONFIG") if row["key"] == key)


def test_says_what_applies_and_what_needs_a_restart(proxy, app):
    changes = reload(proxy, log={"level": "debug"}, pgshunt={"workers": 1}, migration={"batch_size": 7})
    assert changes == {"log.level": ("info", "debug", "applied"), "migration.batch_size": ("1000", "7", "applied"),
                       "pgshunt.workers": ("2", "1", "needs a restart")}
    assert shown(proxy, "log.level") == "debug" and shown(proxy, "pgshunt.workers") == "2"
    # Again: what still waits for a restart is still said, and nothing else.
    assert reload(proxy) == {"pgshunt.workers": ("2", "1", "needs a restart")}
    assert app.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("break_it, said", [
    (lambda proxy: proxy.settings["log"].update(level="loud"), "level must be one of"),
    (lambda proxy: proxy.settings["log"].update(nonsense="1"), "unknown key"),
    (lambda proxy: proxy.stores.update(shared="host="), ""),
    (lambda proxy: proxy.settings["auth"].update(auth_file="/nowhere/at/all"), "/nowhere/at/all")])
def test_a_file_with_an_error_changes_nothing(proxy, stores, app, break_it, said):
    proxy.settings["routing"]["unattributed_writes"] = "default_store"
    break_it(proxy)
    if said == "":
        proxy.stores["shared"] = "no such = thing"
    proxy.write_files()
    with pytest.raises(psycopg.Error) as refused:
        proxy.admin("RELOAD")
    assert said in str(refused.value)
    if "one of" in said:
        assert "pgshunt.conf:" in str(refused.value)
    assert shown(proxy, "routing.unattributed_writes") == "reject"
    assert app.execute("SELECT 1").fetchone() == (1,)
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_users_come_and_go_without_harm_to_sessions(proxy, stores, app):
    proxy.users = {APP: "another password"}
    assert reload(proxy) == {}
    with pytest.raises(psycopg.OperationalError):
        connect(proxy, stores)
    assert app.execute("SELECT current_user").fetchone() == (APP,)
    proxy.users = {APP: APP_PASSWORD}
    reload(proxy)
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (APP,)


def test_a_limit(proxy, stores, app):
    reload(proxy, pgshunt={"max_client_conn": 1})
    with pytest.raises(psycopg.OperationalError, match="too many clients"):
        connect(proxy, stores)
    reload(proxy, pgshunt={"max_client_conn": 2})
    connect(proxy, stores).close()


def test_writes_of_unknown_tenant_in_an_open_session(proxy, stores, moved):
    with connect(proxy, stores) as conn:
        statement = "UPDATE events SET payload = payload WHERE false"
        with pytest.raises(psycopg.Error):
            conn.execute(statement)
        reload(proxy, routing={"unattributed_writes": "default_store"})
        conn.execute(statement)
        reload(proxy, routing={"unattributed_writes": "reject"})
        with pytest.raises(psycopg.Error):
            conn.execute(statement)


def test_the_tenant_of_a_login(proxy, stores, moved):
    statement = "UPDATE events SET payload = payload WHERE false"
    with connect(proxy, stores) as conn, pytest.raises(psycopg.Error):
        conn.execute(statement)
    assert reload(proxy, routing={f"user.{APP}": f"tenant:{OTHER}"}) == {f"routing.user.{APP}": (None, OTHER, "applied")}
    with connect(proxy, stores) as conn:
        conn.execute(statement)


def test_defaults_of_the_next_migration(proxy, stores):
    stores.fill({TENANT: 30})
    reload(proxy, migration={"batch_size": 3})
    migration = proxy.admin(f"START MIGRATION TENANT '{TENANT}' TO 'dedicated'")[0]["id"]
    assert stores.shared.rows(stores.dbname, "SELECT config->>'batch_size' FROM pgshunt.tenant_migrations") == [("3",)]
    proxy.admin(f"ABORT MIGRATION '{migration}'")


def test_by_signal_and_with_a_log_that_was_moved_away(make_proxy, stores):
    proxy = make_proxy()
    log = proxy.base / "own.log"
    proxy.settings["log"].update(destination=log, level="info")
    proxy.write_files()
    proxy.launch()
    wait_until("it is ready", lambda: log.exists() and "ready" in log.read_text())
    log.rename(proxy.base / "own.log.1")
    proxy.settings["log"]["level"] = "debug"
    proxy.write_files()
    proxy.process.send_signal(signal.SIGHUP)
    wait_until("the log is made anew", log.exists)
    with connect(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    wait_until("the level applies", lambda: shown(proxy, "log.level") == "debug")
    proxy.stop()
    assert "stopped" in log.read_text()
