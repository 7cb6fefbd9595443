"""A store of one library behind a preset, and a tenant that moves by hand: its route, and its rows."""
import uuid

from eventstore import APP, OWNER
from pgcluster import wait_until

PORT = "current_setting('port')::int"


def install(stores, schema, name="public"):
    """The library's own schema in both stores; `schema` is SQL, or what installs it into one cluster. The tables of the
    other stories go: some libraries have the same names."""
    for cluster in (stores.shared, stores.dedicated):
        cluster.execute(stores.dbname, "DROP TABLE IF EXISTS events CASCADE")
        if callable(schema):
            schema(cluster)
        else:
            cluster.execute(stores.dbname, f"SET ROLE {OWNER}; {schema}")
        cluster.execute(stores.dbname, f"GRANT ALL ON ALL TABLES IN SCHEMA {name} TO {APP};"
                                       f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {name} TO {APP};"
                                       f"GRANT USAGE ON SCHEMA {name} TO {APP}, pgshunt")


def begin(make_proxy, preset, **events):
    """A pgshunt with nothing said in [events] but the preset."""
    proxy = make_proxy()
    proxy.settings["events"] = {"preset": preset, **events}
    proxy.write_files()
    return proxy.start()


def move(proxy, stores, tenant, tables, anew=None):
    """tables: (name, its tenant column), parents first. anew: column -> what it gets in the new store."""
    for table, column in tables:
        names = [name for (name,) in stores.shared.rows(
            stores.dbname, "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                           " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum", [table])]
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join((anew or {}).get(name, f'"{name}"') for name in names)
        rows = stores.shared.rows(stores.dbname, f"SELECT row_to_json(t)::text FROM {table} t WHERE {column} = %s", [tenant])
        for (row,) in rows:
            stores.dedicated.execute(stores.dbname, f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE"
                                                    f" SELECT {values} FROM json_populate_record(NULL::{table}, %s::json)", [row])
    stores.dedicated.execute(stores.dbname, "SELECT setval(oid::regclass, 1000) FROM pg_class WHERE relkind = 'S'")
    for table, column in reversed(tables):
        stores.shared.execute(stores.dbname, f"SET session_replication_role = replica; DELETE FROM {table} WHERE {column} = '{tenant}'")
    stores.shared.execute(stores.dbname, "INSERT INTO pgshunt.tenant_routing (tenant_id, store_id) VALUES (%s, 'dedicated')",
                          [tenant])
    wait_until("the route is known", lambda: any(row["store_id"] == "dedicated"
                                                 for row in proxy.admin(f"SHOW ROUTE '{tenant}'")))


def new_id():
    return uuid.uuid4()


def counts(stores, table, column, tenant):
    """(rows in shared, rows in dedicated)."""
    return tuple(cluster.value(stores.dbname, f"SELECT count(*) FROM {table} WHERE {column} = %s", [tenant])
                 for cluster in (stores.shared, stores.dedicated))
