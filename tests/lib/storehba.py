"""pg_hba.conf of a running cluster, changed for a while; it is in force when these return."""
from contextlib import contextmanager

from pgcluster import wait_until


def _apply(cluster, lines):
    loaded = cluster.value("postgres", "SELECT pg_conf_load_time()")
    cluster.write_hba(lines)
    cluster.execute("postgres", "SELECT pg_reload_conf()")
    # The postmaster reads pg_hba.conf right behind its settings; a session begun later carries their time.
    wait_until("the server has read its pg_hba.conf",
               lambda: cluster.value("postgres", "SELECT pg_conf_load_time()") != loaded)


@contextmanager
def store_hba(clusters, *lines):
    """`lines` before those that stand there."""
    before = {cluster: (cluster.data / "pg_hba.conf").read_text(encoding="utf-8").splitlines() for cluster in clusters}
    try:
        for cluster in clusters:
            _apply(cluster, [*lines, *before[cluster]])
        yield
    finally:
        for cluster in clusters:
            if cluster.running():
                _apply(cluster, before[cluster])
            else:
                cluster.write_hba(before[cluster])


@contextmanager
def role(clusters, name, password=None, options="LOGIN", of=None):
    """A role in every cluster; `password` as it shall be stored. `of`: what it is a member of."""
    quoted = '"' + name.replace('"', '""') + '"'
    for cluster in clusters:
        with cluster.connect("postgres") as conn:
            said = "NULL" if password is None else "'" + password.replace("'", "''") + "'"
            conn.execute("SET password_encryption = 'scram-sha-256'")
            conn.execute(f"CREATE ROLE {quoted} {options} PASSWORD {said}" + (f" IN ROLE {of}" if of else ""))
    try:
        yield name
    finally:
        for cluster in clusters:
            if cluster.running():
                with cluster.connect("postgres") as conn:
                    conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [name])
                    conn.execute(f"DROP ROLE {quoted}")
