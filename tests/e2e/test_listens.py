"""LISTEN hears what is notified wherever a tenant lives: once, when PostgreSQL would tell it, and as long as the session
listens."""
import select
import threading
import time

import pytest

from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import wait_until

STILL_S = 0.4


def listening(conn):
    """Keeps what comes while statements run."""
    conn.heard = []
    conn.add_notify_handler(lambda note: conn.heard.append((note.channel, note.payload)))
    return conn


def take(conn, wait_s):
    """What has come unasked, within that time too."""
    select.select([conn.fileno()], [], [], wait_s)
    conn.pgconn.consume_input()
    while (note := conn.pgconn.notifies()) is not None:
        conn.heard.append((note.relname.decode(), note.extra.decode()))


def heard(conn, count, timeout_s=10):
    """That many notifications as (channel, payload), and no more right behind them."""
    deadline = time.monotonic() + timeout_s
    while len(conn.heard) < count and time.monotonic() < deadline:
        take(conn, 0.2)
    take(conn, STILL_S)
    found, conn.heard = conn.heard, []
    return found


@pytest.fixture
def ear(proxy, stores):
    with connect(proxy, stores) as conn:
        yield listening(conn)


@pytest.fixture
def few(proxy, stores):
    stores.fill({TENANT: 20, OTHER: 10})
    return proxy


def notify(cluster, stores, channel, payload=""):
    """Somebody notifies there, past the proxy."""
    cluster.execute(stores.dbname, "SELECT pg_notify(%s, %s)", (channel, payload))


def test_at_both_stores_and_each_once(few, stores, ear):
    few.move(TENANT, "dedicated")
    ear.execute("LISTEN news")
    notify(stores.shared, stores, "news", "from home")
    notify(stores.dedicated, stores, "news", "from away")
    notify(stores.dedicated, stores, "others", "not for us")
    assert sorted(heard(ear, 2)) == [("news", "from away"), ("news", "from home")]
    ear.execute(f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")      # has a server there from now on
    notify(stores.dedicated, stores, "news", "again")
    assert heard(ear, 1) == [("news", "again")]
    ear.execute("LISTEN news")                                              # and that one listens, too
    notify(stores.shared, stores, "news", "home")
    notify(stores.dedicated, stores, "news", "away")
    assert sorted(heard(ear, 2)) == [("news", "away"), ("news", "home")]


def test_what_a_tenants_transaction_notifies(few, stores, ear, app):
    few.move(TENANT, "dedicated")
    ear.execute("LISTEN news")
    with app.transaction():
        append(app, TENANT)
        app.execute("NOTIFY news, 'appended'")
        assert heard(ear, 0) == []
    assert heard(ear, 1) == [("news", "appended")]
    listening(app).execute("LISTEN mine")
    app.execute(f"SELECT pg_notify('mine', 'own') FROM events WHERE tenant_id = '{TENANT}' LIMIT 1")
    app.execute(f"SELECT pg_notify('mine', 'own') FROM events WHERE tenant_id = '{OTHER}' LIMIT 1")
    assert heard(app, 2) == [("mine", "own")] * 2


def test_a_session_knows_its_own_notifications(few, stores, ear, app):
    """libpq's clients compare PQbackendPID() with the sender's number."""
    few.move(TENANT, "dedicated")
    for conn in (ear, app):
        conn.execute("LISTEN mine")
    seen = {}
    for name, conn in (("ear", ear), ("app", app)):
        conn.add_notify_handler(lambda note, name=name, conn=conn: seen.setdefault((name, note.payload), []).append(
            note.pid == conn.pgconn.backend_pid))
    for payload, tenant in (("away", TENANT), ("home", OTHER)):
        app.execute(f"SELECT pg_notify('mine', '{payload}') FROM events WHERE tenant_id = '{tenant}' LIMIT 1")
        wait_until("both have heard", lambda: [c.execute("SELECT 1") for c in (ear, app)] and
                   ("ear", payload) in seen and ("app", payload) in seen, 20)
    assert seen == {("ear", "away"): [False], ("ear", "home"): [False], ("app", "away"): [True], ("app", "home"): [True]}


def test_listeners_follow_a_tenant_that_moves(few, stores, ear):
    """Who listens before the move hears the first notification after it."""
    ear.execute("LISTEN news")
    few.move(TENANT, "dedicated")
    notify(stores.dedicated, stores, "news", "moved")
    assert heard(ear, 1) == [("news", "moved")]


def test_a_listen_counts_when_its_transaction_commits(few, stores, ear):
    few.move(TENANT, "dedicated")
    for ending, expected in (("ROLLBACK", []), ("COMMIT", [("news", "x")])):
        ear.execute("BEGIN")
        ear.execute("LISTEN news")
        ear.execute(ending)
        notify(stores.dedicated, stores, "news", "x")
        assert heard(ear, len(expected)) == expected
    ear.execute("BEGIN")
    ear.execute("SAVEPOINT a")
    ear.execute("LISTEN within")
    ear.execute("ROLLBACK TO a")
    ear.execute("UNLISTEN news")
    ear.execute("COMMIT")
    notify(stores.dedicated, stores, "within")
    notify(stores.dedicated, stores, "news")
    assert heard(ear, 0) == []


@pytest.mark.parametrize("how", ["UNLISTEN news", "UNLISTEN *", "DISCARD ALL"])
def test_unlisten_at_another_store_than_listen(few, stores, ear, how):
    few.move(TENANT, "dedicated")
    ear.execute("LISTEN news")
    ear.execute(f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")
    ear.execute(how)
    notify(stores.shared, stores, "news")
    notify(stores.dedicated, stores, "news")
    assert heard(ear, 0) == []
    ear.execute("LISTEN news")
    notify(stores.shared, stores, "news", "back")
    assert heard(ear, 1) == [("news", "back")]


def test_nothing_is_told_inside_a_transaction(few, stores, ear):
    few.move(TENANT, "dedicated")
    ear.execute("LISTEN news")
    ear.execute("BEGIN")
    ear.execute(f"SELECT 1 FROM events WHERE tenant_id = '{TENANT}'")
    for number in range(3):
        notify(stores.dedicated, stores, "news", str(number))
    assert heard(ear, 0) == []
    ear.execute("COMMIT")
    assert heard(ear, 3) == [("news", "0"), ("news", "1"), ("news", "2")]


def test_odd_names_and_payloads(few, stores, ear):
    few.move(TENANT, "dedicated")
    for name in ('Mixed "Case"', "späte", "x" * 63):
        quoted = name.replace('"', '""')
        ear.execute(f'LISTEN "{quoted}"')
        notify(stores.dedicated, stores, name, "ü" * 3900)
        assert heard(ear, 1) == [(name, "ü" * 3900)]
    ear.execute("LISTEN FOLDED")
    notify(stores.dedicated, stores, "folded")
    assert heard(ear, 1) == [("folded", "")]


def listeners_at(stores, cluster):
    return cluster.value(stores.dbname, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
                                        " AND usename = 'pgshunt' AND datname = current_database()")


def test_a_listener_that_is_cut_off_listens_again(few, stores, ear):
    few.move(TENANT, "dedicated")
    ear.execute("LISTEN news")
    assert listeners_at(stores, stores.dedicated) == 1
    stores.dedicated.execute(stores.dbname, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE"
                                            " 'LISTEN%%' AND usename = 'pgshunt' AND datname = current_database()")
    wait_until("the listener is back", lambda: listeners_at(stores, stores.dedicated) == 1)
    notify(stores.dedicated, stores, "news", "still here")
    assert heard(ear, 1) == [("news", "still here")]


def test_a_store_that_is_down_does_not_hold_up_a_listen(few, stores, ear):
    few.move(TENANT, "dedicated")
    stores.dedicated.stop("immediate")
    ear.execute("LISTEN news")
    notify(stores.shared, stores, "news", "home")
    assert heard(ear, 1) == [("news", "home")]
    stores.dedicated.start()
    wait_until("the listener is there", lambda: listeners_at(stores, stores.dedicated) == 1)
    notify(stores.dedicated, stores, "news", "away")
    assert heard(ear, 1) == [("news", "away")]


def test_nobody_listens_for_nobody(few, stores):
    """While all tenants are at home there is no listener, and the last one to leave takes it along."""
    with connect(few, stores) as conn:
        listening(conn).execute("LISTEN news")
        notify(stores.shared, stores, "news", "x")
        assert heard(conn, 1) == [("news", "x")]
        assert listeners_at(stores, stores.shared) == listeners_at(stores, stores.dedicated) == 0
        few.move(TENANT, "dedicated")
        wait_until("a listener is there", lambda: listeners_at(stores, stores.dedicated) == 1)
    wait_until("no listener is left", lambda: listeners_at(stores, stores.dedicated) == 0)


def test_a_store_that_is_slow_to_listen(few, stores, ear):
    """LISTEN waits for every store that matters, however long it takes, and then answers."""
    few.move(TENANT, "dedicated")
    stores.dedicated.freeze()
    late = threading.Timer(2.5, stores.dedicated.thaw)
    late.start()
    impatient = threading.Timer(15, ear.cancel)
    impatient.start()
    try:
        ear.execute("LISTEN news")
    finally:
        impatient.cancel()
        late.join()
    notify(stores.dedicated, stores, "news", "from away")
    assert heard(ear, 1) == [("news", "from away")]
