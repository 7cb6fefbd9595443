"""What a comparison stands on: two clusters, a database that is the default store, a proxy in front of them.

    stand = Stand(workspace, "home", "regression", moved=False)
    stand.proxy.host, stand.proxy.port       through pgshunt
    stand.shared.host, stand.shared.port     the default store's server itself
    stand.stop()

With `tls` servers and proxy speak TLS with whoever asks for it.
With `moved` the tenant TENANT lives in the other cluster, OTHER has stayed. Unless the stand is given users, everybody may
log in as anybody (trust): the regression suite connects as roles that it has just made.
"""
import difflib
import os
import shutil
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "lib")]

import eventstore  # noqa: E402
from certificates import Authority  # noqa: E402
from pgcluster import Cluster, server_user  # noqa: E402
from pgshunt import Pgshunt  # noqa: E402

TENANT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
EVENTS_EACH = 50
TABLE = "shunted_events"               # PostgreSQL's own tests make tables named events
SHOWN_LINES = 60


# Whoever ends a comparison leaves nothing behind: its workspace closes.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Stand:
    def __init__(self, workspace, name, dbname, moved=False, table=TABLE, database_settings=None, users=None,
                 tls=False, pool_mode="session"):
        self.dbname, self.users = dbname, users
        self.moved, self.certificate = False, None
        if tls:
            authority = Authority(workspace.path / f"{name}-pki", "root")
            self.certificate = authority.issue("server", "localhost", names=["DNS:localhost", "IP:127.0.0.1"])
        self.clusters = [self._cluster(workspace, f"{name}-{store}", table) for store in ("shared", "dedicated")]
        self.shared, self.dedicated = self.clusters
        for key, value in (database_settings or {}).items():
            self.shared.execute("postgres", f"ALTER DATABASE {dbname} SET {key} TO '{value}'")
        if table:
            eventstore.fill(self.shared, dbname, {TENANT: EVENTS_EACH, OTHER: EVENTS_EACH})
            for cluster in self.clusters:
                cluster.execute(dbname, f"ALTER TABLE events RENAME TO {table}" if table != "events" else "")
        # The control tables stand in a database of their own: the store is as its owner made it.
        self.proxy = Pgshunt(workspace, {"shared": eventstore.store_conninfo(self.shared, dbname),
                                         "dedicated": eventstore.store_conninfo(self.dedicated, dbname)},
                             users=users or {}, name=f"{name}-pgshunt",
                             settings={"pgshunt": {"pool_mode": pool_mode},
                                       "auth": {} if users else {"auth_type": "trust", "auth_file": None},
                                       "events": {"table": table or TABLE},
                                       "control": {"conninfo": eventstore.store_conninfo(self.shared, "control")}})
        if tls:                        # who asks for it gets it
            self.proxy.settings["tls"] = {"client_tls_sslmode": "allow", "client_tls_cert_file": self.certificate.cert,
                                          "client_tls_key_file": self.certificate.key}
            self.proxy.write_files()
        self.proxy.start()
        if moved:
            self.move()

    def pool(self, mode, **more):
        """The proxy, in this pool_mode from now on."""
        wanted = {**self.proxy.settings["pgshunt"], "pool_mode": mode, **more}
        if self.proxy.settings["pgshunt"] != wanted:
            self.proxy.stop()
            self.proxy.settings["pgshunt"] = wanted
            self.proxy.write_files()
            self.proxy.start()
        return self.proxy

    def move(self):
        self.moved = True
        self.proxy.move(TENANT, "dedicated")

    def _cluster(self, workspace, name, table):
        cluster = Cluster(workspace, name, settings={"ssl": "on"} if self.certificate else None,
                          auth="scram-sha-256" if self.users else "trust")
        cluster.create()
        if self.certificate:
            for source, file in ((self.certificate.cert, "server.crt"), (self.certificate.key, "server.key")):
                shutil.copyfile(source, cluster.data / file)
                os.chmod(cluster.data / file, 0o600)
                if os.geteuid() == 0:
                    os.chown(cluster.data / file, server_user().pw_uid, server_user().pw_gid)
        cluster.start()
        eventstore.create_roles(cluster)
        eventstore.create_database(cluster, "control", table=False)
        eventstore.create_database(cluster, self.dbname, table=table is not None)
        return cluster

    def stop(self):
        self.proxy.stop()
        for cluster in self.clusters:
            cluster.stop()


def said_differently(name, direct, proxied):
    """How two texts differ, for a reader."""
    lines = list(difflib.unified_diff(direct.splitlines(), proxied.splitlines(), "direct", "through pgshunt", "", "", 3))
    shown = "\n".join(lines[:SHOWN_LINES])
    more = f"\n… {len(lines) - SHOWN_LINES} more lines" if len(lines) > SHOWN_LINES else ""
    return f"--- {name}\n{shown}{more}".encode("utf-8", "backslashreplace").decode()
