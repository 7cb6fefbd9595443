"""A session's settings are the same on every server it uses, whatever role and database say there; and the client is told
of a change once."""
import pytest

import wire
from conftest import OTHER, TENANT, connect
from eventstore import APP, APP_PASSWORD

NAMES = ("work_mem", "DateStyle", "TimeZone", "search_path", "client_min_messages", "statement_timeout", "application_name",
         "client_encoding", "IntervalStyle", "standard_conforming_strings", "default_transaction_isolation",
         "extra_float_digits", "bytea_output", "lc_monetary", "app.custom", "role")


@pytest.fixture
def few(proxy, stores):
    stores.fill({TENANT: 20, OTHER: 10})
    proxy.move(TENANT, "dedicated")
    for setting in ("work_mem = '5MB'", "TimeZone = 'Asia/Tokyo'", "DateStyle = 'German'", "IntervalStyle = 'iso_8601'",
                    "application_name = 'of the role'"):
        stores.dedicated.execute("postgres", f"ALTER ROLE app IN DATABASE {stores.dbname} SET {setting}")
    return proxy


def worn(conn, tenant):
    asking = ", ".join(f"current_setting('{name}', true)" for name in NAMES)
    return dict(zip(NAMES, conn.execute(f"SELECT {asking} FROM events WHERE tenant_id = '{tenant}' LIMIT 1").fetchone()))


def same(conn):
    """What both servers say; they must agree. What was never set by anybody may be the server's own."""
    away, home = worn(conn, TENANT), worn(conn, OTHER)
    return {name: value for name, value in home.items() if value == away[name]}, \
           {name: (value, away[name]) for name, value in home.items() if value != away[name]}


REPORTED = {"TimeZone", "DateStyle", "IntervalStyle", "application_name", "client_encoding", "standard_conforming_strings"}


def test_what_was_set_is_worn_on_both(few, stores):
    with connect(few, stores, options="-c statement_timeout=77s -c app.custom=start", application_name="mine") as conn:
        agreed, differs = same(conn)
        assert set(differs) <= {"work_mem"} and agreed["statement_timeout"] == "77s" and agreed["app.custom"] == "start"
        assert agreed["application_name"] == "mine"
        for change, name, value in (
                ("SET work_mem = '7MB'", "work_mem", "7MB"),
                ("SET TimeZone = 'Europe/Oslo'", "TimeZone", "Europe/Oslo"),
                ("SET DateStyle = 'SQL, DMY'", "DateStyle", "SQL, DMY"),
                ("SET search_path = public, pg_catalog", "search_path", "public, pg_catalog"),
                ("SELECT set_config('app.custom', 'it''s \\ odd', false)", "app.custom", "it's \\ odd"),
                ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                 "default_transaction_isolation", "repeatable read"),
                ("SET application_name = 'other'", "application_name", "other"),
                ("RESET app.custom", "app.custom", "start"),
                ("SET app.custom TO DEFAULT", "app.custom", "start")):
            conn.execute(change)
            agreed, differs = same(conn)
            assert not differs and agreed[name] == value, (change, differs)


def test_what_a_transaction_set(few, stores):
    with connect(few, stores) as conn:
        worn(conn, TENANT)
        conn.execute("BEGIN")
        conn.execute("SET LOCAL app.custom = 'local'")
        conn.execute("SET IntervalStyle = 'sql_standard'")
        conn.execute("SAVEPOINT a")
        conn.execute("SET lc_monetary = 'C'")
        conn.execute("SET app.custom = 'inner'")
        conn.execute("ROLLBACK TO a")
        assert worn(conn, TENANT)["app.custom"] == "local"
        conn.execute("COMMIT")
        agreed, _ = same(conn)
        assert agreed["IntervalStyle"] == "sql_standard" and agreed.get("app.custom") in (None, "")
        conn.execute("BEGIN")
        conn.execute("SET extra_float_digits = 0")
        conn.execute("ROLLBACK")
        agreed, _ = same(conn)
        assert agreed["extra_float_digits"] == "1"


@pytest.mark.parametrize("how", ["RESET ALL", "DISCARD ALL"])
def test_reset_is_reset_on_both(few, stores, how):
    with connect(few, stores, options="-c app.custom=start") as conn:
        conn.execute("SET app.custom = 'changed'")
        conn.execute("SET TimeZone = 'Europe/Oslo'")
        conn.execute("SET bytea_output = 'escape'")
        conn.execute("SET statement_timeout = '5s'")
        same(conn)
        conn.execute(how)
        agreed, differs = same(conn)
        assert set(differs) <= {"work_mem"}, differs
        assert (agreed["app.custom"], agreed["bytea_output"], agreed["statement_timeout"]) == ("start", "hex", "0")


def test_a_change_is_told_once(few, stores):
    with wire.RawClient(few.port) as raw:
        raw.login(APP, APP_PASSWORD, stores.dbname)
        reading = {tenant: wire.query(f"SELECT 1 FROM events WHERE tenant_id = '{tenant}' LIMIT 1")
                   for tenant in (TENANT, OTHER)}

        def told(message):
            raw.send(message)
            return [answer.parameter() for answer in raw.until("Z") if answer.kind == "S"]
        assert told(reading[TENANT]) == told(reading[OTHER]) == []
        assert told(wire.query("SET TimeZone = 'Europe/Oslo'")) == [("TimeZone", "Europe/Oslo")]
        assert told(reading[TENANT]) == told(reading[OTHER]) == []
        assert told(reading[TENANT]) == []
        assert told(wire.query("SET DateStyle = 'SQL, DMY'")) == [("DateStyle", "SQL, DMY")]       # said over there
        assert told(reading[OTHER]) == []
        assert told(wire.query("BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'")) == [("TimeZone", "Asia/Tokyo")]
        assert told(wire.query("ROLLBACK")) == [("TimeZone", "Europe/Oslo")]
        assert told(reading[TENANT]) == []
