"""Applications may come by a Unix-domain socket, as to a server: its name, its mode, who else may have it."""
import os
import stat

import psycopg
import pytest

from eventstore import APP, APP_PASSWORD


def by_socket(proxy, stores, **more):
    return psycopg.connect(host=str(proxy.base), port=proxy.port, dbname=stores.dbname, user=APP,
                           password=APP_PASSWORD, autocommit=True, **more)


def path_of(proxy):
    return proxy.base / f".s.PGSQL.{proxy.port}"


def with_socket(make_proxy, **more):
    proxy = make_proxy()
    proxy.settings["pgshunt"].update(unix_socket_dir=proxy.base, **more)
    proxy.write_files()
    return proxy


def test_serves_both_ways_and_tidies_up(make_proxy, stores):
    proxy = with_socket(make_proxy, unix_socket_mode="0700").start()
    with by_socket(proxy, stores) as local, psycopg.connect(
            proxy.conninfo(stores.dbname, APP, APP_PASSWORD)) as remote:
        for conn in (local, remote):
            assert conn.execute("SELECT current_user, repeat('x', 300000)").fetchone() == (APP, "x" * 300000)
    assert stat.S_IMODE(path_of(proxy).lstat().st_mode) == 0o700
    proxy.stop()
    assert not path_of(proxy).exists() and not (proxy.base / f".s.PGSQL.{proxy.port}.lock").exists()


def test_encryption_is_refused_as_a_server_refuses_it_there(make_proxy, stores):
    proxy = with_socket(make_proxy).start()
    with by_socket(proxy, stores, sslmode="prefer", gssencmode="prefer") as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_needs_no_tcp(make_proxy, stores):
    proxy = with_socket(make_proxy, listen="", unix_socket_port="1234").start()
    proxy.port = 1234
    with by_socket(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_takes_over_what_a_killed_instance_left(make_proxy, stores):
    proxy = with_socket(make_proxy).start()
    proxy.kill()
    assert path_of(proxy).is_socket()
    proxy.start()
    with by_socket(proxy, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_keeps_off_a_socket_that_is_in_use(make_proxy, stores):
    first = with_socket(make_proxy).start()
    second = make_proxy()
    second.settings["pgshunt"].update(unix_socket_dir=first.base, unix_socket_port=first.port)
    second.write_files()
    second.launch()
    assert second.wait_dead() != 0
    assert "another instance holds the lock" in second.log()
    with by_socket(first, stores) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_keeps_off_a_servers_own_socket(make_proxy, stores):
    """A server that is alive says so in its lock file, with its process id and nothing else."""
    proxy = with_socket(make_proxy)
    lock = proxy.base / f".s.PGSQL.{proxy.port}.lock"
    lock.write_text(f"{os.getpid()}\n/var/lib/postgresql/15/main\n0\n{proxy.port}\n{proxy.base}\n")
    proxy.launch()
    assert proxy.wait_dead() != 0
    assert f"belongs to process {os.getpid()}" in proxy.log()
    assert lock.exists()
    lock.unlink()


@pytest.mark.parametrize("key, value, said", [
    ("unix_socket_mode", "0888", "octal"), ("unix_socket_group", "no such group", "there is no group"),
    ("unix_socket_dir", "/nowhere/at/all", "cannot open")])
def test_says_what_is_wrong_with_its_settings(make_proxy, key, value, said):
    proxy = with_socket(make_proxy)
    proxy.settings["pgshunt"][key] = value
    proxy.write_files()
    proxy.launch()
    assert proxy.wait_dead() != 0
    assert said in proxy.log()
