"""pool_mode = transaction: no client is given a server that is dead, too old, or of a store that is down; and whoever
works through shared servers is no hidden writer."""
import contextlib
import socket
import threading
import time

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import eventstore
import wire
from conftest import TENANT, connect
from events import append
from pgcluster import wait_until
from pgshunt import wait_log
from test_shares_servers import backends, shared_by, value, works  # noqa: F401  pylint: disable=unused-import


class Network:
    """Stands between pgshunt and a store, which may forget the application's connections, or refuse new ones."""

    def __init__(self, port):
        self.port_behind, self.mode, self.asked = port, "open", 0
        self.deaf = set()
        self.ways = {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self):
        """What is open now hears nothing any more, and is not told so."""
        self.deaf.update(self.ways)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for front, back in list(self.ways.items()):
            for end in (front, back):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                front, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[front], daemon=True).start()

    def _serve(self, front):
        with contextlib.suppress(OSError), front, socket.create_connection(("127.0.0.1", self.port_behind)) as back:
            first = front.recv(65536)
            if first == wire.request(wire.SSL_REQUEST):
                front.sendall(b"N")
                first = front.recv(65536)
            if b"user\0" + eventstore.APP.encode() + b"\0" in first:
                self.asked += 1
                if self.mode == "refuse":
                    return
                self.ways[front] = back
            back.sendall(first)
            other = threading.Thread(target=self._pump, args=[back, front, front], daemon=True)
            other.start()
            self._pump(front, back, front)
            other.join()

    def _pump(self, source, target, way):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if way not in self.deaf:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def between(stores):
    with contextlib.closing(Network(stores.shared.port)) as network:
        yield network


@pytest.fixture
def shared_behind(make_proxy, stores, between):
    def make(**settings):
        conninfos = stores.conninfos()
        conninfos["shared"] = make_conninfo(**{**conninfo_to_dict(conninfos["shared"]), "port": between.port})
        return make_proxy(settings={"pgshunt": {"pool_mode": "transaction", "workers": 1, **settings}},
                          conninfos=conninfos).start()
    return make


# --- server_check_query, server_check_delay ---------------------------------------------------------------------------

def test_a_server_that_died_while_idle_is_given_to_nobody(shared_behind, stores, between):
    """… although nobody has said that it did."""
    proxy = shared_behind(server_check_delay=0)
    with connect(proxy, stores) as one, connect(proxy, stores) as two:
        with one.transaction(), two.transaction():
            gone = {value(one, "SELECT pg_backend_pid()"), value(two, "SELECT pg_backend_pid()")}
        time.sleep(1.1)                # whoever has just worked is not asked
        between.forget()
        with one.transaction():
            assert value(one, "SELECT pg_backend_pid()") not in gone
            assert value(two, "SELECT pg_backend_pid()") not in gone
    wait_log(proxy, "server_check_query: a connection of user .* is closed: it does not answer")


def test_a_check_that_fails(shared_by, stores):  # noqa: F811
    proxy = shared_by(1, server_check_query="SELECT 1/0", server_check_delay=1)
    with connect(proxy, stores) as one:
        mine = value(one, "SELECT pg_backend_pid()")
        assert value(one, "SELECT pg_backend_pid()") == mine
        time.sleep(1.1)
        assert value(one, "SELECT pg_backend_pid()") != mine
    wait_log(proxy, "server_check_query: a connection of user .* is closed: division by zero")


def test_a_check_that_goes_well(shared_by, stores):  # noqa: F811
    proxy = shared_by(2, server_check_query="SELECT 'are you there?'", server_check_delay=0)
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT ''are you there?''' AND pid = {}"
    with connect(proxy, stores) as one:
        one.execute("SET work_mem = '7MB'")
        mine = value(one, "SELECT pg_backend_pid()")
        time.sleep(1.1)
        with one.transaction():
            assert value(one, "SELECT pg_backend_pid()") == mine
            assert value(one, "SHOW work_mem") == "7MB"
        one.execute("RESET work_mem")
        time.sleep(1.1)
        with connect(proxy, stores) as two, two.transaction(), one.transaction():
            pids = {value(two, "SELECT pg_backend_pid()"), value(one, "SELECT pg_backend_pid()")}
            assert mine in pids and len(pids) == 2
            assert stores.shared.value(stores.dbname, asked.format(mine)) == 0     # a client's was the last one


# --- server_lifetime, server_login_retry ------------------------------------------------------------------------------

def test_an_old_server_is_replaced_between_transactions(shared_by, stores):  # noqa: F811
    proxy = shared_by(1, server_lifetime=1)
    with connect(proxy, stores) as one:
        pids = set()

        def replaced():
            with one.transaction():
                pids.add(value(one, "SELECT pg_backend_pid()"))
                assert value(one, "SELECT pg_backend_pid()") in pids
            return len(pids) > 2
        wait_until("it is another one, and another one", replaced)
        assert len(backends(stores)) <= 1


def test_a_store_that_is_down_is_not_asked_all_the_time(shared_behind, stores, between):
    proxy = shared_behind(server_login_retry=2, default_pool_size=3, server_check_query="")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores)) for _ in range(3)]
        between.mode, before = "refuse", between.asked
        stores.shared.rows(stores.dbname, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                          f" WHERE usename = '{eventstore.APP}'")
        wait_until("its servers are gone", lambda: not backends(stores))
        for _ in range(10):
            for conn in clients:
                with pytest.raises(psycopg.Error) as refused:
                    conn.execute("SELECT 1")
                assert refused.value.sqlstate.startswith("08")
        assert between.asked - before < 10, "each of 30 statements has knocked"
        between.mode = "open"
        for conn in clients:
            wait_until("it is asked again", lambda conn=conn: works(conn))


# --- hidden writers ---------------------------------------------------------------------------------------------------

def test_a_writer_past_the_proxy_is_named_and_shared_servers_are_not(shared_by, stores):  # noqa: F811
    stores.fill({TENANT: 100})
    proxy = shared_by(2, workers=2)
    past = psycopg.connect(stores.shared.conninfo(stores.dbname, eventstore.APP, eventstore.APP_PASSWORD), autocommit=True)
    with past, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy, stores)) for _ in range(6)]
        identity = proxy.start_migration(TENANT, "dedicated")
        proxy.wait_state(identity, "dual_write")
        for conn in clients:
            append(conn, TENANT)
        append(past, TENANT)
        said = wait_until("CHECK CUTOVER names it", lambda: next(
            (text for text in [str(proxy.admin(f"CHECK CUTOVER '{identity}'"))] if str(past.info.backend_pid) in text), None),
            10, 0.1)
        mine = {value(conn, "SELECT pg_backend_pid()") for conn in clients}
        assert mine and not [pid for pid in mine if str(pid) in said], said
        past.close()
        proxy.wait_cutover_ready(identity)
        for conn in clients:
            append(conn, TENANT)
        proxy.cutover(identity)
        proxy.wait_state(identity, "migrated")
    source, target = stores.digests(TENANT)
    assert source == target and source[0] == 113
