"""Before and after every statement that a migration sends: the process dies, the statement fails, the link is cut.
Each time an operator (who tries again what failed, and starts again what died) brings the life of the migration to its
end; nothing is lost, doubled or in a wrong store, and the route, the tables and the data agree.

statements.txt beside this file names the statements, by life. It is checked: against what a life without faults really
sends, and against the source: a statement that no life sends (or only some) is excused there by name. By default some are
walked; `./tests/run.sh failpoints` walks all. After adding a statement: PGSHUNT_WALK=record writes the file anew."""
import os
import re
import time
import zlib
from pathlib import Path

import psycopg
import pytest

import eventstore
from conftest import OTHER, TENANT, connect
from events import Appender, place
from pgcluster import HarnessError
from pgshunt import TOP, failpoints

LIST = Path(__file__).parent / "statements.txt"
WALK = os.environ.get("PGSHUNT_WALK", "short")
FAULTS = ("before=crash", "after=crash", "before=error", "after=partition")
SHORT_OF = 16       # by default one of so many is walked, and every commit's "after=crash"
STEP_S = 60


# --- lives ------------------------------------------------------------------------------------------------------------

class Operator:
    """Knows what is wanted, not what happened: each step is tried until it is so."""

    def __init__(self, proxy, stores):
        self.proxy, self.stores = proxy, stores
        self.identity = None

    def sql(self, text, *values):
        with self.stores.shared.connect(self.stores.dbname) as conn:
            return conn.execute(text, values).fetchall()

    def do(self, step):
        deadline = time.monotonic() + STEP_S
        problem = None
        while time.monotonic() < deadline:
            try:
                if not self.proxy.running():
                    self.proxy.kill()
                    self.proxy.start()
                if step(self):
                    return
            except (psycopg.Error, OSError, HarnessError) as again:
                problem = again
            time.sleep(0.05)
        raise AssertionError(f"{step.__name__}: {problem}\n{self.proxy.log_tail(60)}")

    def latest(self, target):
        """The newest migration to `target`, unless it was aborted before the life asked for that."""
        rows = [row for row in self.proxy.admin(f"SHOW MIGRATIONS TENANT '{TENANT}'") if row["target"] == target]
        return max(rows, key=lambda row: row["created_at"], default=None)


def started(target, options="batch_size = 100"):
    def step(operator):
        row = operator.latest(target)
        if row is None or row["state"] == "rolled_back":
            operator.proxy.start_migration(TENANT, target, options)
            return False
        assert row["state"] != "failed", operator.proxy.migration(row["id"])
        operator.identity = str(row["id"])
        return True
    return step


def dual_write(operator):
    return operator.proxy.state(operator.identity) == "dual_write"


def held_up_and_reverted(operator):
    """Somebody's transaction past the proxy is in the way of a cutover: it is taken back."""
    with operator.stores.shared.connect(operator.stores.dbname, autocommit=False) as direct:
        direct.execute("UPDATE events SET payload = payload WHERE global_position ="
                       " (SELECT min(global_position) FROM events WHERE tenant_id = %s)", [TENANT])
        try:
            operator.proxy.admin(f"CUTOVER MIGRATION '{operator.identity}' FORCE")
        except psycopg.Error:
            pass
        else:
            raise AssertionError("a cutover beside somebody who writes")
        direct.rollback()
    return operator.proxy.state(operator.identity) == "dual_write"


def migrated(operator):
    if operator.proxy.state(operator.identity) == "migrated":
        return True
    if operator.proxy.check_cutover(operator.identity)[0]:
        operator.proxy.cutover(operator.identity)
    else:
        operator.proxy.accept_shapes()
    return False


def settled(operator):
    """The shut tap of the old store has given way to its guard."""
    return operator.sql("SELECT settled_at IS NOT NULL FROM pgshunt.tenant_migrations WHERE id = %s",
                        operator.identity)[0][0]


def aborted(operator):
    state = operator.proxy.state(operator.identity)
    if state != "rolled_back":
        operator.proxy.admin(f"ABORT MIGRATION '{operator.identity}' PURGE TARGET")
    return state == "rolled_back"


def repaired(operator):
    """Somebody has deleted events in the target."""
    target = eventstore.store_conninfo(operator.stores.dedicated, operator.stores.dbname)
    with psycopg.connect(target, autocommit=True) as conn:
        conn.execute("SET pgshunt.copier = on")
        conn.execute("DELETE FROM events WHERE tenant_id = %s AND actor_id = 'importer' AND version = 3", [TENANT])
    return operator.proxy.admin(f"REPAIR MIGRATION '{operator.identity}'")[0]["result"] == "repaired"


def verified(operator):
    return all(operator.proxy.admin(f"VERIFY MIGRATION '{operator.identity}' LEVEL {level}")[0]["result"] == "passed"
               for level in ("count", "full"))


def resynchronised(operator):
    """Somebody has had the tap disabled, and written: nobody saw what."""
    reports = operator.sql("SELECT report->>'result' FROM pgshunt.migration_reports WHERE kind = 'resync'")
    if ("resynchronised",) in reports:
        return operator.proxy.state(operator.identity) == "dual_write"
    if operator.proxy.state(operator.identity) == "dual_write":
        with operator.stores.shared.connect(operator.stores.dbname) as direct:
            direct.execute("ALTER TABLE events DISABLE TRIGGER ALL")
            direct.execute("UPDATE events SET payload = payload WHERE tenant_id = %s AND version = 5", [TENANT])
            direct.execute("ALTER TABLE events ENABLE TRIGGER ALL")
    operator.proxy.admin(f"RESYNC MIGRATION '{operator.identity}' FROM POSITION 1")
    return False


def altered(operator):
    operator.proxy.admin(f"ALTER MIGRATION '{operator.identity}' SET (batch_size = 77)")
    return operator.proxy.migration(operator.identity)["batch_size"] == "77"


def rested(operator):
    if operator.proxy.state(operator.identity) != "paused":
        operator.proxy.admin(f"PAUSE MIGRATION '{operator.identity}'")
    return operator.proxy.state(operator.identity) == "paused"


def resumed(operator):
    if operator.proxy.state(operator.identity) == "paused":
        operator.proxy.admin(f"RESUME MIGRATION '{operator.identity}'")
    return operator.proxy.state(operator.identity) == "dual_write"


def stopped(operator):
    """And nothing of it is left at the source."""
    if operator.proxy.state(operator.identity) != "failed":
        operator.proxy.admin(f"EMERGENCY STOP TENANT '{TENANT}'")
    return settled(operator)


def rehearsed(operator):
    operator.proxy.accept_shapes()
    return operator.proxy.admin(f"REHEARSE CUTOVER '{operator.identity}' TIMES 2")


def emptied(operator):
    """What the tenant has left behind in its old store is deleted, as START's hint says."""
    with psycopg.connect(eventstore.store_conninfo(operator.stores.shared, operator.stores.dbname)) as conn:
        conn.execute("SET pgshunt.copier = on")
        conn.execute("DELETE FROM events WHERE tenant_id = %s", [TENANT])
    return True


LIVES = {
    "rest": [started("dedicated"), dual_write, altered, rested, resumed, rehearsed, stopped, aborted],
    "move": [started("dedicated"), dual_write, migrated, settled],
    "abort": [started("dedicated"), dual_write, aborted],
    "companions": [started("dedicated"), dual_write, migrated, settled],
    "mend": [started("dedicated"), dual_write, repaired, verified, resynchronised, migrated, settled],
    "revert": [started("dedicated"), dual_write, held_up_and_reverted, migrated, settled],
    # Home again, where others have gone on taking positions: the store gives new ones.
    "return": [started("dedicated"), dual_write, migrated, settled, emptied,
               started("shared", "batch_size = 100, position_mode = assign"), dual_write, migrated, settled],
}
HOME = {"rest": "shared", "move": "dedicated", "companions": "dedicated", "abort": "shared", "mend": "dedicated",
        "revert": "dedicated", "return": "shared"}


# One companion table with a tenant column and a sequence, one whose rows are their events' tenant's.
COMPANIONS = f"""
SET ROLE {eventstore.OWNER};
CREATE TABLE event_outbox (id bigserial PRIMARY KEY, event_id uuid NOT NULL, tenant_id uuid);
CREATE TABLE snapshots (aggregate_id uuid PRIMARY KEY, version int);
"""
COMPANION_ROWS = """
INSERT INTO event_outbox (event_id, tenant_id) SELECT event_id, tenant_id FROM events;
INSERT INTO snapshots SELECT aggregate_id, max(version) FROM events GROUP BY aggregate_id;
"""
DECLARED = "event_outbox, snapshots(parent = events, on = aggregate_id)"


def of_companions(store, stores):
    """What the tenant has in its companion tables."""
    return (store.rows(stores.dbname, "SELECT id, event_id FROM event_outbox WHERE tenant_id = %s ORDER BY 1", [TENANT]),
            store.rows(stores.dbname, "SELECT * FROM snapshots s WHERE EXISTS (SELECT FROM events e WHERE e.aggregate_id ="
                       " s.aggregate_id AND e.tenant_id = %s) ORDER BY 1", [TENANT]))


@pytest.fixture
def live(make_proxy, stores):
    """live(name, failpoint): that life under load, and then everything is as it must be."""
    def run(life, failpoint=None):
        settings, companions = {"migration": {"guard": "on"}}, life == "companions"
        if companions:
            settings["events"] = {"companion_tables": DECLARED}
        proxy = make_proxy(settings=settings)
        stores.fill({TENANT: 300, OTHER: 50})
        if companions:
            for store in (stores.shared, stores.dedicated):
                store.execute(stores.dbname, COMPANIONS)
            stores.shared.execute(stores.dbname, COMPANION_ROWS)
        before = imported(stores.shared, stores)
        proxy.launch(failpoint)
        operator = Operator(proxy, stores)
        appenders = [Appender(proxy, stores, tenant, pause_s=0.02, reconnect=True) for tenant in (TENANT, OTHER)]
        for appender in appenders:
            appender.start()
        try:
            for step in LIVES[life]:
                operator.do(step)
            for appender in appenders:
                appender.wait_appended(2)
        finally:
            for appender in appenders:
                appender.stop()
        check(proxy, stores, life, appenders, before)
        if companions:
            assert of_companions(stores.dedicated, stores) == of_companions(stores.shared, stores)
    return run


def imported(cluster, stores):
    """What was there before anybody wrote, but for its positions."""
    return cluster.rows(stores.dbname, "SELECT count(*), md5(string_agg(md5(concat_ws('|', event_id, aggregate_id, version,"
                        " payload)), '' ORDER BY event_id)) FROM events WHERE tenant_id = %s AND actor_id = 'importer'",
                        [TENANT])


def check(proxy, stores, life, appenders, before):
    home, cluster = HOME[life], {"shared": stores.shared, "dedicated": stores.dedicated}
    for appender in appenders:
        assert not appender.errors, appender.errors
        appender.check(cluster[home] if appender.tenant == TENANT else stores.shared,
                       positions=life != "return" or appender.tenant == OTHER)
    assert imported(cluster[home], stores) == before
    assert stores.counts(OTHER)[1] == 0
    assert home == "dedicated" or life == "return" or stores.counts(TENANT)[1] == 0
    with connect(proxy, stores) as conn:
        assert place(conn, TENANT)[0] == cluster[home].port
        assert place(conn, OTHER)[0] == stores.shared.port
    for store in (stores.shared, stores.dedicated):
        left = store.rows(stores.dbname, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
                          " AND tgname LIKE '%%tap%%'")
        assert not left, left


# --- the list ---------------------------------------------------------------------------------------------------------

def listed():
    """(life → names of statements, name → why no life sends it)."""
    lives, excused, life = {name: [] for name in LIVES}, {}, None
    for line in LIST.read_text(encoding="utf-8").splitlines() if LIST.exists() else []:
        if line.startswith("["):
            life = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, why = line.partition(": ")
            if life == "excused":
                excused[name] = why
            else:
                lives[life].append(name)
    return lives, excused


def traced(live, life, path):
    os.environ["PGSHUNT_FAILPOINT_TRACE"] = str(path)
    try:
        live(life)
    finally:
        del os.environ["PGSHUNT_FAILPOINT_TRACE"]
    return {line.removeprefix("sql.before.") for line in path.read_text(encoding="ascii").splitlines()
            if line.startswith("sql.before.")}


def words(text):
    """The name of a statement by its words: pg_fault.c's rule."""
    name = ""
    for word in re.findall("[a-z0-9]+", re.sub(r"'[^']*'?", " ", text.lower())):
        if len(name) + len(word) + 1 >= 63:
            break
        name += "" if word[0].isdigit() else ("_" if name else "") + word
    return name


def in_source():
    """Names of every statement that src/migrate sends, as far as a text tells: by file of sql/, by words."""
    names = set()
    for path in sorted((TOP / "src/migrate").glob("*.c")):
        source = path.read_text(encoding="utf-8")
        names |= {name for name in re.findall(r"\bsql_(\w+)\b", source) if (TOP / "sql" / f"{name}.sql").exists()}
        for call in re.finditer(r"\bpg_(?:query|run|rows_send|copy_out|copy_in|pipe_exec)\(", source):
            literal = re.match(r'[^;"]*?,\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', source[call.end():])
            if literal:
                text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal.group(1)))
                if text not in ("COMMIT", "ROLLBACK"):
                    names.add(words(text))
    return names


@pytest.mark.skipif(not failpoints(), reason="failpoints are not compiled in")
@pytest.mark.parametrize("life", sorted(LIVES))
def test_the_list_is_what_a_life_sends(live, life, tmp_path):
    sent = traced(live, life, tmp_path / "trace")
    others = set().union(*(names for name, names in listed()[0].items() if name != life))
    if WALK == "record":
        (Path(os.environ["PGSHUNT_WALK_TO"]) / life).write_text("\n".join(sorted(sent)) + "\n", encoding="ascii")
        return
    new = sent - set(listed()[0][life]) - others - set(listed()[1])
    assert not new, f"not in statements.txt: {sorted(new)}"
    missing = set(listed()[0][life]) - sent - set(listed()[1])
    assert not missing, f"in statements.txt, but this life does not send it: {sorted(missing)}"


def test_the_list_is_what_the_source_has():
    lives, excused = listed()
    walked = set().union(*lives.values())
    unknown = {name for name in in_source() if name not in excused
               and not any(sent.startswith(name) for sent in walked)}
    assert not unknown, f"statements that no life sends; say why in statements.txt: {sorted(unknown)}"


# --- the walk ---------------------------------------------------------------------------------------------------------

def cases():
    for life, names in listed()[0].items():
        for name in names:
            for fault in FAULTS:
                moment, action = fault.split("=")
                drawn = zlib.crc32(f"{life} {name} {fault}".encode()) % SHORT_OF == 0
                if WALK == "all" or drawn or (name.startswith("commit_") and fault == "after=crash"):
                    yield pytest.param(life, f"sql.{moment}.{name}={action}", id=f"{life}-{name}-{moment}-{action}")


@pytest.mark.skipif(not failpoints(), reason="failpoints are not compiled in")
@pytest.mark.parametrize("life,failpoint", cases())
def test_at(live, life, failpoint):
    live(life, failpoint)
