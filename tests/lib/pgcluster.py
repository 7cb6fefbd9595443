"""Throw-away PostgreSQL clusters: in a temporary folder, by an unprivileged user, on free ports.

    with Workspace() as workspace:
        shared = Cluster(workspace, "shared")
        shared.create()
        shared.start()
        with shared.connect("postgres") as conn: ...

A workspace owns its folder and whatever was started in it; leaving it stops everything and removes the folder.
"""
import base64
import hashlib
import hmac
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

import certificates

SUPERUSER = "postgres"
START_TIMEOUT_S = 30


class HarnessError(Exception):
    """Something of ours, not of pgshunt's, went wrong."""


# --- who runs the servers ---------------------------------------------------------------------------------------------

def server_user():
    """The account that PostgreSQL runs as: it refuses root, so root lends it postgres (or nobody)."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise HarnessError("neither a user postgres nor a user nobody to run the servers as")


def as_server_user(command):
    """`command` (a list), run by server_user()."""
    if os.geteuid() != 0:
        return list(command)
    user = server_user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--", *command]


def bindir():
    # A server of the major version we are built for; pg_config names the newest when there are several.
    fixed = Path("/usr/lib/postgresql/15/bin")
    if fixed.is_dir():
        return fixed
    return Path(subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip())


# --- ports ------------------------------------------------------------------------------------------------------------

def free_port():
    """A port below the ephemeral range: no outgoing connection takes it while its server is down for a moment."""
    chooser = random.SystemRandom()
    for _ in range(200):
        port = chooser.randrange(18000, 32000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise HarnessError("no free port between 18000 and 32000")


# --- processes --------------------------------------------------------------------------------------------------------

def children_of(pid):
    """Pids of the direct children of `pid`."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                after_name = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == pid:
            found.append(int(entry))
    return found


def process_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def wait_until(what, condition, timeout_s=10.0, poll_s=0.02):
    """The first true value of condition(); a HarnessError that names `what` after timeout_s."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise HarnessError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(poll_s)


# --- SCRAM ------------------------------------------------------------------------------------------------------------

def scram_verifier(password, iterations=4096, salt=None):
    """What PostgreSQL keeps in rolpassword: the same one can be given to several servers and to an auth_file."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{text[0]}${text[1]}:{text[2]}"


# --- the folder everything lives in -----------------------------------------------------------------------------------

class Workspace:
    """A temporary folder, and what has to be stopped before it goes."""

    def __init__(self, prefix="pgshunt-"):
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("TMPDIR", "/tmp")))
        # The servers' user reaches its own folder below; nobody lists the rest.
        os.chmod(self.path, 0o711)
        self._stops = []
        self._kept = False

    def at_end(self, stop):
        """Calls stop() when the workspace closes; what was started last is stopped first."""
        self._stops.append(stop)

    def keep(self):
        """What was started goes on, and the folder stays."""
        self._stops.clear()
        self._kept = True

    def close(self):
        if self._kept:
            return
        while self._stops:
            stop = self._stops.pop()
            try:
                stop()
            except Exception as problem:  # the others still have to be stopped
                print(f"while stopping: {problem}")
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- a cluster --------------------------------------------------------------------------------------------------------

class Cluster:
    """One PostgreSQL server: created once, started, stopped, killed and started again."""

    def __init__(self, workspace, name, settings=None, auth="scram-sha-256"):
        self.workspace = workspace
        self.name = name
        self.auth = auth
        self.port = free_port()
        self.host = "127.0.0.1"
        self.base = workspace.path / name
        self.data = self.base / "data"
        self.socket_dir = self.base
        self.log_path = self.base / "log"
        self.settings = {
            "fsync": "off",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "max_wal_size": "4GB",
            "max_prepared_transactions": "20",
            "log_line_prefix": "'%m [%p] %q%u@%d %a '",
            "log_min_messages": "warning",
            **({"ssl": "on"} if os.environ.get("PGSHUNT_TLS") == "1" else {}),
            **(settings or {}),
        }
        self.process = None

    def create(self):
        user = server_user()
        self.base.mkdir()
        if os.geteuid() == 0:
            os.chown(self.base, user.pw_uid, user.pw_gid)
        os.chmod(self.base, 0o700 if os.geteuid() != 0 else 0o711)
        self._run("initdb", "-D", self.data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "-A", "trust", "-N")
        lines = [f"port = {self.port}", f"listen_addresses = '{self.host}'",
                 f"unix_socket_directories = '{self.socket_dir}'"]
        lines += [f"{key} = {value}" for key, value in self.settings.items()]
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write("\n".join(lines) + "\n")
        if self.settings.get("ssl") == "on":
            self.show(certificates.of_workspace(self.workspace))
        self.write_hba([f"local all {SUPERUSER} trust", f"host all all {self.host}/32 {self.auth}"])

    def show(self, certificate):
        """The certificate that it presents, from its next start or reload on."""
        for source, name in ((certificate.cert, "server.crt"), (certificate.key, "server.key")):
            shutil.copyfile(source, self.data / name)
            os.chmod(self.data / name, 0o600)
            if os.geteuid() == 0:
                os.chown(self.data / name, server_user().pw_uid, server_user().pw_gid)

    def write_hba(self, lines):
        (self.data / "pg_hba.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                as_server_user([str(bindir() / "postgres"), "-D", str(self.data)]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        self.workspace.at_end(self.stop)
        wait_until(f"cluster {self.name} accepts connections (see {self.log_path})", self._ready, START_TIMEOUT_S)

    def _ready(self):
        if self.process.poll() is not None:
            raise HarnessError(f"cluster {self.name} did not start:\n{self.log_tail()}")
        try:
            with self.connect("postgres"):
                return True
        except psycopg.OperationalError:
            return False

    def stop(self, mode="fast"):
        """Ends the server; nothing to do if it is not running."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT,
                                      "immediate": signal.SIGQUIT}[mode])
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self):
        """kill -9 of the server and every process of it at once: what was not yet written to a file is gone."""
        if self.process is None:
            return
        postmaster = self.process.pid
        # Stopped first, so that it neither starts new children nor tidies up while we go through the list.
        os.kill(postmaster, signal.SIGSTOP)
        victims = children_of(postmaster)
        for pid in [postmaster, *victims]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None
        wait_until("the killed processes are gone", lambda: not any(process_alive(pid) for pid in victims))
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self):
        """The server goes on existing and answers nothing; thaw() ends it."""
        os.kill(self.process.pid, signal.SIGSTOP)    # first: it makes no more children then
        self._frozen = [self.process.pid]
        for pid in children_of(self.process.pid):
            try:
                os.kill(pid, signal.SIGSTOP)
                self._frozen.append(pid)
            except ProcessLookupError:
                pass

    def thaw(self):
        for pid in reversed(self._frozen):
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def running(self):
        return self.process is not None and self.process.poll() is None

    def _run(self, program, *arguments):
        command = as_server_user([str(bindir() / program), *[str(argument) for argument in arguments]])
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise HarnessError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def log_tail(self, lines=20):
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    # --- talking to it

    def conninfo(self, dbname, user=None, password=None, **more):
        """How an application would reach it, over TCP."""
        return make_conninfo(host=self.host, port=self.port, dbname=dbname, user=user, password=password, **more)

    def connect(self, dbname, **more):
        """The superuser's own way in, past everything else; autocommit."""
        more.setdefault("autocommit", True)
        return psycopg.connect(host=str(self.socket_dir), port=self.port, dbname=dbname, user=SUPERUSER, **more)

    def execute(self, dbname, statement, parameters=None):
        with self.connect(dbname) as conn:
            conn.execute(statement, parameters)

    def rows(self, dbname, statement, parameters=None):
        with self.connect(dbname) as conn:
            return conn.execute(statement, parameters).fetchall()

    def value(self, dbname, statement, parameters=None):
        return self.rows(dbname, statement, parameters)[0][0]

    def psql(self, dbname, *arguments, **variables):
        """psql as the superuser, stopping at the first error."""
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.socket_dir), "-p", str(self.port),
                   "-U", SUPERUSER, "-d", dbname]
        for name, value in variables.items():
            command += ["-v", f"{name}={value}"]
        done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise HarnessError(f"psql {' '.join(map(str, arguments))} failed:\n{done.stderr}")
        return done.stdout
