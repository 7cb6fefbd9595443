"""A pgshunt process for tests, the demo and the benches: its configuration file, its life, its admin socket, its log.

    proxy = Pgshunt(workspace, stores={"shared": shared.conninfo("shop", "pgshunt", "…"), …}, users={"app": "…"})
    proxy.start()
    with psycopg.connect(proxy.conninfo("shop", "app", "…")) as conn: ...
    proxy.admin("SHOW STORES")          # a list of Row: row["name"], row[0]
    proxy.stop()                        # also asserts that no sanitizer complained
"""
import os
import pwd
import re
import signal
import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

import certificates
from pgcluster import HarnessError, free_port, wait_until

TOP = Path(__file__).resolve().parents[2]
READY_TIMEOUT_S = 20
STOP_TIMEOUT_S = 15

# What a sanitizer writes into the log before it ends the process (or, for UBSan, goes on).
SANITIZER_REPORT = re.compile(
    r"(ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer|runtime error:)")

SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "exitcode=99",
    # Leaks inside libraries that keep what they have allocated until the process ends.
    "LSAN_OPTIONS": f"suppressions={Path(__file__).resolve().parent / 'lsan.supp'}:print_suppressions=0",
}

MIGRATION_ENDS = ("migrated", "failed", "rolled_back")


def program():
    """The program under test: PGSHUNT_PROGRAM, or the one in build-test (failpoints), or the one in build."""
    named = os.environ.get("PGSHUNT_PROGRAM")
    if named:
        return Path(named)
    for folder in ("build-test", "build"):
        if (TOP / folder / "pgshunt").exists():
            return TOP / folder / "pgshunt"
    raise HarnessError("no pgshunt: meson setup build-test -Dfailpoints=true && ninja -C build-test")


def os_user():
    return pwd.getpwuid(os.geteuid()).pw_name


def failpoints():
    """The names that this build knows; empty if they are not compiled in."""
    if os.environ.get("PGSHUNT_PROGRAM") == "direct":
        return []
    done = subprocess.run([str(program()), "--list-failpoints"], capture_output=True, text=True, timeout=20,
                          env={**os.environ, **SANITIZER_ENVIRONMENT})
    return done.stdout.split() if done.returncode == 0 else []


class Pgshunt:
    """One instance: configured once, started, stopped, killed and started again on the same port."""

    # Whoever compares with the server itself swaps in Direct (below), which has the same conninfo().
    def __init__(self, workspace, stores, users, default_store="shared", name="pgshunt", settings=None):
        self.workspace = workspace
        self.stores = dict(stores)
        self.users = dict(users)
        self.name = name
        self.host = "127.0.0.1"
        self.port = free_port()
        self.admin_port = free_port()
        self.base = workspace.path / name
        self.base.mkdir(exist_ok=True)
        self.log_path = self.base / "log"
        self.conf_path = self.base / "pgshunt.conf"
        self.auth_path = self.base / "users.txt"
        self.process = None
        self.default_store = default_store
        self.settings = self._default_settings(default_store)
        for section, keys in (settings or {}).items():
            self.settings.setdefault(section, {}).update(keys)
        self.write_files()
        workspace.at_end(self.end)

    def _default_settings(self, default_store):
        return {
            "pgshunt": {"listen": f"{self.host}:{self.port}", "workers": 2, "pool_mode": "session",
                        "shutdown_timeout_seconds": 1, "admin_socket_dir": self.base, "admin_port": self.admin_port},
            "auth": {"auth_type": "scram-sha-256", "auth_file": self.auth_path},
            "routing": {"default_store": default_store, "tenant_setting": "app.tenant_id"},
            "events": {"table": "events", "tenant_column": "tenant_id", "position_column": "global_position",
                       "event_id_column": "event_id", "stream_columns": "aggregate_id, aggregate_type",
                       "version_column": "version"},
            "migration": {"position_mode": "preserve"},
            "control": {"schema": "pgshunt"},
            "log": {"level": "info"},
            **self._tls(),
        }

    def _tls(self):
        """With PGSHUNT_TLS=1 whoever asks for TLS gets it, and asks stores for it: the same stories, encrypted."""
        if os.environ.get("PGSHUNT_TLS") != "1":
            return {}
        server = certificates.of_workspace(self.workspace)
        return {"tls": {"client_tls_sslmode": "allow", "client_tls_cert_file": server.cert,
                        "client_tls_key_file": server.key}}

    def write_files(self):
        """Writes configuration and auth_file as they are now in settings, stores and users."""
        lines = []
        for section, keys in {**self.settings, "stores": self.stores}.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {value}" for key, value in keys.items() if value is not None]
            lines.append("")
        self.conf_path.write_text("\n".join(lines), encoding="utf-8")
        os.chmod(self.conf_path, 0o600)
        quoted = ['"%s" "%s"' % (user.replace('"', '""'), secret.replace('"', '""'))
                  for user, secret in self.users.items()]
        self.auth_path.write_text("\n".join(quoted) + "\n", encoding="utf-8")
        os.chmod(self.auth_path, 0o600)

    # --- its life

    def start(self, failpoint=None, ready=True):
        """Starts the program; with `ready`, returns when it serves clients."""
        self.launch(failpoint)
        if ready:
            self.wait_ready()
        return self

    def launch(self, failpoint=None, options=()):
        environment = {**os.environ, **SANITIZER_ENVIRONMENT}
        environment.pop("PGSHUNT_FAILPOINT", None)
        if failpoint:
            environment["PGSHUNT_FAILPOINT"] = failpoint
        self._log_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(program()), *options, str(self.conf_path)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=environment, start_new_session=True)

    def take_over(self, ready=True):
        """Starts a successor (`pgshunt -R`), which becomes self.process; returns its predecessor."""
        predecessor = self.process
        self.launch(options=["-R"])
        if ready:
            self.wait_ready()
        return predecessor

    def wait_ready(self, timeout_s=READY_TIMEOUT_S):
        wait_until(f"pgshunt is ready (see {self.log_path})", self._ready, timeout_s)

    def _ready(self):
        if self.process.poll() is not None:
            raise HarnessError(f"pgshunt ended with {self.process.returncode} instead of getting ready:\n"
                               f"{self.log_since_start()}")
        return re.search(r"\bready\b", self.log_since_start()) is not None

    def stop(self):
        """SIGTERM, and everything a test that ends well may expect: exit code 0, nothing from a sanitizer."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"pgshunt did not end within {STOP_TIMEOUT_S} s of SIGTERM:\n{self.log_tail()}")
        code, self.process = self.process.returncode, None
        self.assert_clean_log()
        assert code == 0, f"pgshunt ended with {code}:\n{self.log_tail()}"

    def kill(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process = None

    def end(self):
        """Whatever state it is in: gone afterwards. For the end of a workspace."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_dead(self, timeout_s=30):
        """The exit code, once the program has ended by itself (a failpoint, a refused configuration)."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"pgshunt was expected to end within {timeout_s} s:\n{self.log_tail()}") from None
        self.process = None
        return code

    def init_control(self):
        """`pgshunt --init-control FILE`: (exit code, what it said)."""
        return self.command("--init-control", self.conf_path)

    def command(self, *arguments, timeout_s=30):
        done = subprocess.run([str(program()), *map(str, arguments)], capture_output=True, text=True,
                              timeout=timeout_s, stdin=subprocess.DEVNULL, env={**os.environ, **SANITIZER_ENVIRONMENT})
        return done.returncode, done.stdout + done.stderr

    # --- its log

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def log_since_start(self):
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_from)
            return log.read().decode("utf-8", errors="replace")

    def log_tail(self, lines=40):
        return "\n".join(self.log().splitlines()[-lines:])

    def assert_clean_log(self):
        text = self.log()
        found = SANITIZER_REPORT.search(text)
        assert found is None, f"a sanitizer reports:\n{text[max(0, found.start() - 2000):found.start() + 6000]}"

    # --- its clients

    def conninfo(self, dbname, user=None, password=None, **more):
        return make_conninfo(host=self.host, port=self.port, dbname=dbname, user=user, password=password, **more)

    def cpu_seconds(self):
        """User + system time of the process so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- its operator

    def admin_connect(self, **more):
        more.setdefault("autocommit", True)
        more.setdefault("row_factory", dict_row)
        return psycopg.connect(host=str(self.base), port=self.admin_port, dbname="admin", user=os_user(), **more)

    def admin(self, command):
        """The rows of one admin command, each a dict by column name; an error raises psycopg.Error."""
        with self.admin_connect() as conn:
            cursor = conn.execute(command)
            return cursor.fetchall() if cursor.description else []

    def admin_psql_command(self):
        return ["psql", "-X", "-h", str(self.base), "-p", str(self.admin_port), "-d", "admin", "-U", os_user()]

    def admin_psql(self, command, *options):
        """(exit code, stdout, stderr) of an operator's psql."""
        done = subprocess.run([*self.admin_psql_command(), *options, "-c", command], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        return done.returncode, done.stdout, done.stderr

    # --- migrations, as an operator drives them

    def start_migration(self, tenant, store, options=None):
        extra = f" WITH ({options})" if options else ""
        return str(self.admin(f"START MIGRATION TENANT '{tenant}' TO '{store}'{extra}")[0]["id"])

    def migration(self, identity):
        """SHOW MIGRATION as a dict: name -> value."""
        return {row["name"]: row["value"] for row in self.admin(f"SHOW MIGRATION '{identity}'")}

    def state(self, identity):
        return self.migration(identity)["state"]

    def wait_state(self, identity, state, timeout_s=60):
        """Polls until the migration is in `state`; an end that is not `state` fails at once."""
        def there():
            try:
                seen = self.migration(identity)
            except psycopg.Error as away:      # its control database is on its way back
                if away.sqlstate != "08001":
                    raise
                return None
            if seen["state"] == state:
                return seen
            if seen["state"] in MIGRATION_ENDS:
                raise AssertionError(f"migration is {seen['state']}, not {state}: {seen.get('error_message')}\n"
                                     f"{self.log_tail()}")
            return None
        return wait_until(f"migration reaches {state}\n{self.log_tail()}", there, timeout_s, 0.05)

    def check_cutover(self, identity):
        """(ready, rows) of CHECK CUTOVER."""
        rows = self.admin(f"CHECK CUTOVER '{identity}'")
        return bool(rows) and all(passed(row) for row in rows), rows

    def accept_shapes(self, reason="a story"):
        """Accepts whatever SHOW SHAPES names: what a story reads over all tenants, it means to read."""
        for row in self.admin("SHOW SHAPES"):
            if not row["accepted"]:
                self.admin(f"ACCEPT SHAPE {row['n']} REASON '{reason}'")

    def wait_cutover_ready(self, identity, timeout_s=60, accept=True):
        """Until CHECK CUTOVER finds nothing in the way; feeds and what the rehearsal found are accepted."""
        latest = []

        def ready():
            try:
                answer, rows = self.check_cutover(identity)
            except psycopg.Error as away:
                if away.sqlstate != "08001":
                    raise
                return False
            latest[:] = rows
            if accept and any(row["check"] in ("feed", "rehearsal") and not passed(row) for row in rows):
                self.accept_shapes()
            return answer
        try:
            wait_until("CHECK CUTOVER is ready", ready, timeout_s, 0.1)
        except HarnessError:
            raise AssertionError(f"CHECK CUTOVER is not ready: {[row for row in latest if not passed(row)]}\n"
                                 f"{self.log_tail()}") from None

    def cutover(self, identity, accept=True):
        if accept:
            self.accept_shapes()
        return self.admin(f"CUTOVER MIGRATION '{identity}'")

    def move(self, tenant, store, options=None, timeout_s=60):
        """A whole migration: start, dual_write, ready, cutover, migrated. Its id."""
        identity = self.start_migration(tenant, store, options)
        self.wait_state(identity, "dual_write", timeout_s)
        self.wait_cutover_ready(identity, timeout_s)
        self.cutover(identity)
        self.wait_state(identity, "migrated", timeout_s)
        return identity


def passed(row):
    """Whether one row of CHECK CUTOVER is met (a typed boolean or its text)."""
    for column in ("ok", "ready", "passed"):
        if column in row:
            return row[column] in (True, "t", "true", "yes", "on", "ok")
    raise HarnessError(f"CHECK CUTOVER has no column ok: {row}")


class Direct:
    """Stands in for the proxy where the server itself is measured: the same conninfo(), nothing in between."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.host, self.port = cluster.host, cluster.port

    def start(self):
        return self

    def running(self):
        return self.cluster.running()

    def conninfo(self, dbname, user=None, password=None, **more):
        return self.cluster.conninfo(dbname, user, password, **more)


def wait_log(proxy, pattern, timeout_s=20):
    return wait_until(f"the log says {pattern}\n{proxy.log_tail()}", lambda: re.search(pattern, proxy.log()),
                      timeout_s)

