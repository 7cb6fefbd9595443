"""kill -9 while a cutover is taken back, or while a migration is aborted: the tenant's writes go on at the source, no
client sees the tap that was shut, nothing is lost."""
import signal

import psycopg
import pytest

from conftest import OTHER, TENANT, connect
from events import append, place
from pgshunt import failpoints
from test_survives_kill import Life

BACK = [name for name in failpoints() if name in ("cutover.before_settle", "cutover.after_settle",
                                                  "cutover.before_reopen", "cutover.after_reopen")]
ABORT = [name for name in failpoints() if name in ("runner.before_abort", "runner.after_abort_written",
                                                   "runner.before_rolled_back")]


@pytest.fixture
def life(make_proxy, stores):
    return Life(make_proxy(), stores)


@pytest.mark.parametrize("fails_at", ["cutover.after_shut", "cutover.before_switch"])
@pytest.mark.parametrize("name", BACK)
def test_killed_while_a_cutover_is_taken_back(life, name, fails_at):
    life.begin(failpoint=f"{fails_at}=error,{name}=crash", migrate=False)
    assert life.push(), f"the proxy was to die at {name}"
    assert life.proxy.wait_dead() == -signal.SIGKILL
    life.proxy.start()
    assert not life.push()
    life.finish()


@pytest.mark.parametrize("name", ABORT)
def test_killed_while_it_is_aborted(make_proxy, stores, name):
    proxy = make_proxy()
    stores.fill({TENANT: 500, OTHER: 50})
    proxy.start(failpoint=f"{name}=crash")
    identity = proxy.start_migration(TENANT, "dedicated")
    proxy.wait_state(identity, "dual_write")
    with pytest.raises(psycopg.Error):
        proxy.admin(f"ABORT MIGRATION '{identity}' REASON 'enough'")
    assert proxy.wait_dead() == -signal.SIGKILL
    proxy.start()
    if name == "runner.before_abort":    # nothing had been written down yet: it is asked for again
        proxy.wait_state(identity, "dual_write")
        proxy.admin(f"ABORT MIGRATION '{identity}'")
    proxy.wait_state(identity, "rolled_back")
    with connect(proxy, stores) as conn:
        append(conn, TENANT)
        assert place(conn, TENANT) == (stores.shared.port, 501)
    left = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pgshunt\\_tap%'"
    assert stores.shared.value(stores.dbname, left) == 0, "the tap is gone"
