"""/metrics, /health, /health/migration and /ready: what a scraper and a load balancer see while a tenant moves."""
import gzip
import http.client
import json
import re
import subprocess

import pytest

from conftest import OTHER, TENANT, connect
from events import append
from pgcluster import free_port, wait_until
from pgshunt import program


@pytest.fixture
def watched(make_proxy, stores):
    stores.fill({TENANT: 200, OTHER: 50})
    port = free_port()
    proxy = make_proxy(settings={"pgshunt": {"http_listen": f"127.0.0.1:{port}"}}).start()
    proxy.http_port = port
    return proxy


def get(proxy, path, method="GET", headers=None, body=None):
    conn = http.client.HTTPConnection("127.0.0.1", proxy.http_port, timeout=20)
    try:
        conn.request(method, path, body=body, headers=headers or {})
        answer = conn.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        conn.close()


def metrics(proxy, **headers):
    """name{labels} → value, of every sample."""
    status, _, body = get(proxy, "/metrics", headers=headers)
    assert status == 200
    return dict(re.match(r"(\S+(?:\{.*\})?) (\S+)$", line).groups()
                for line in body.decode().splitlines() if line and not line.startswith("#"))


def test_a_move_in_numbers(watched, stores):
    identity = watched.start_migration(TENANT, "dedicated")
    watched.wait_state(identity, "dual_write")
    of = f'migration_id="{identity}",tenant_id="{TENANT}"'
    seen = metrics(watched)
    assert seen[f"migration_state{{{of}}}"] == "2"
    assert seen[f"migration_events_copied_total{{{of}}}"] == "200"
    assert seen[f'dual_write_sync_lag_events{{tenant_id="{TENANT}"}}'] == "0"
    watched.wait_cutover_ready(identity)
    watched.cutover(identity)
    seen = metrics(watched)
    assert seen[f"migration_state{{{of}}}"] == "4"
    assert seen[f'cutover_attempts_total{{migration_id="{identity}",status="completed"}}'] == "1"
    wait_until("the pause is in the histogram", lambda: metrics(watched).get(
        f'cutover_pause_duration_seconds_count{{migration_id="{identity}"}}') == "1", 10, 0.1)


def test_what_clients_do_is_counted(watched, stores):
    before = metrics(watched)
    with connect(watched, stores) as conn:
        append(conn, TENANT)
        seen = metrics(watched)
        assert float(seen["pgshunt_clients"]) == float(before["pgshunt_clients"]) + 1
        assert float(seen["pgshunt_statements_total"]) > float(before["pgshunt_statements_total"])
        assert 'pgshunt_queries_total{store="shared"}' in seen
        before_count, count = (float(all_of['pgshunt_query_duration_seconds_count{store="shared"}'])
                               for all_of in (before, seen))
        assert count > before_count and count == float(seen['pgshunt_query_duration_seconds_bucket{store="shared",le="+Inf"}'])
    assert before["pgshunt_control_up"] == "1"


def test_both_formats_packed_and_not(watched):
    _, headers, body = get(watched, "/metrics", headers={"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    text = gzip.decompress(body).decode()
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4") and "# EOF" not in text
    _, headers, body = get(watched, "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.decode().endswith("# EOF\n")


def test_bad_requests_harm_nobody(watched):
    assert get(watched, "/")[0] == 404
    assert get(watched, "/metrics/../etc")[0] == 404
    status, headers, _ = get(watched, "/metrics", method="POST", body=b"x" * 100000)
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    assert get(watched, "/health", method="HEAD")[2] == b""
    assert get(watched, "/" + "a" * 20000)[0] in (414, 431)
    assert get(watched, "/health")[0] == 200


def test_health_without_the_control_database(watched, stores):
    assert json.loads(get(watched, "/ready")[2]) == {"ready": True}
    status, _, body = get(watched, "/health/migration")
    assert status == 200 and json.loads(body)["status"] == "healthy"
    stores.shared.stop()
    wait_until("it is not ready", lambda: get(watched, "/ready")[0] == 503, 20, 0.1)
    assert get(watched, "/health/migration")[0] == 503
    assert get(watched, "/health")[0] == 200
    assert metrics(watched)["pgshunt_control_up"] == "0"
    stores.shared.start()
    wait_until("it is ready again", lambda: get(watched, "/ready")[0] == 200, 30, 0.1)


def test_a_wrong_address_says_so(watched):
    for address in ("9187", "nowhere.invalid:9187", "127.0.0.1:many", f"127.0.0.1:{watched.port}"):
        watched.settings["pgshunt"]["http_listen"] = address
        other = watched.base / "other.conf"
        watched.write_files()
        text = watched.conf_path.read_text().replace(str(watched.port), str(free_port()), 1)
        other.write_text(re.sub(r"admin_port = \d+", f"admin_port = {free_port()}", text)
                         .replace(f"http_listen = 127.0.0.1:{watched.port}", f"http_listen = {address}"))
        done = subprocess.run([str(program()), str(other)], capture_output=True, text=True, timeout=20)
        assert done.returncode != 0 and "http_listen" in done.stderr
