/* preflight_store.c - before a migration: the two servers, and pgshunt's own role in them.
 * Part of preflight.h; runner's thread. */
#include <stdlib.h>
#include <string.h>

#include "migrate/preflight.h"
#include "sql_embedded.h"

/* Columns of check_server.sql. */
enum {
    VERSION,
    IN_RECOVERY,
    READ_ONLY,
    MAY_REPLICATE,
    SYNCHRONOUS,
    ENCODING,
    COLLATION,
    FSYNC,
    FULL_PAGES,
    ISOLATION,
    PREPARED,
    CONNECTIONS,
    RESERVED,
    USED,
    HERE,
    DATABASE_LIMIT,
    ALLOWS,
};

/* Of pgshunt itself at a target: runner, cutover, verification, look-ups. */
enum { OWN_CONNECTIONS = 6 };

static const char *text(const PGresult *result, int column)
{
    return PQgetvalue(result, 0, column);
}

static bool is_on(const PGresult *result, int column)
{
    return text(result, column)[0] == 't';
}

static long number(const PGresult *result, int column)
{
    return strtol(text(result, column), NULL, 10);
}

static PGresult *ask_server(struct preflight *p, const struct preflight_side *side)
{
    return preflight_ask(p, "server", FINDING_BLOCKER, *side->pg, sql_check_server, 0, NULL);
}

/* --- settings --- */

static void look_at_writing(struct preflight *p, const struct preflight_side *side, const PGresult *server)
{
    if (is_on(server, IN_RECOVERY))
        finding_blocker(p->list, "read_only", "25006", "Name its primary under [stores].",
                        "store \"%s\" is a standby (in recovery): nothing can be written there",
                        side->store->name);
    else if (is_on(server, READ_ONLY))
        finding_blocker(p->list, "read_only", "25006",
                        "ALTER DATABASE … RESET default_transaction_read_only (or ALTER ROLE, ALTER SYSTEM).",
                        "store \"%s\": default_transaction_read_only is on: writes would be refused",
                        side->store->name);
    else
        finding_ok(p->list, "read_only", "store \"%s\" takes writes", side->store->name);
}

static void look_at_replica(struct preflight *p, const PGresult *target)
{
    if (is_on(target, MAY_REPLICATE))
        finding_ok(p->list, "replication_role", "the copier may keep triggers of store \"%s\" still",
                   p->target.store->name);
    else
        finding_blocker(
            p->list, "replication_role", "42501",
            "GRANT SET ON PARAMETER session_replication_role TO pgshunt's role: see sql/roles.sql.",
            "store \"%s\": role \"%s\" may not set session_replication_role, so that triggers would fire for "
            "copied rows",
            p->target.store->name, PQuser(pg_raw(*p->target.pg)));
}

static void look_at_versions(struct preflight *p, const PGresult *source, const PGresult *target)
{
    long from = number(source, VERSION) / 10000, to = number(target, VERSION) / 10000;

    if (to < from)
        finding_warning(p->list, "version", "Upgrade the target first, or test the application with it.",
                        "the target runs PostgreSQL %ld, the source %ld: what is new since may be missed", to,
                        from);
    else
        finding_ok(p->list, "version", "PostgreSQL %ld to %ld", from, to);
}

static void look_at_encoding(struct preflight *p, const PGresult *source, const PGresult *target)
{
    if (strcmp(text(source, ENCODING), text(target, ENCODING)) != 0 &&
        strcmp(text(target, ENCODING), "UTF8") != 0)
        finding_blocker(p->list, "encoding", "0A000", "Make the target's database with ENCODING 'UTF8'.",
                        "the source is in %s, the target in %s: not every text can be kept there",
                        text(source, ENCODING), text(target, ENCODING));
    else if (strcmp(text(source, COLLATION), text(target, COLLATION)) != 0)
        finding_warning(p->list, "encoding",
                        "Make the target's database with the same LC_COLLATE and LC_CTYPE.",
                        "the source's collation is %s, the target's %s: texts may be ordered and compared "
                        "differently",
                        text(source, COLLATION), text(target, COLLATION));
    else
        finding_ok(p->list, "encoding", "%s, %s on both sides", text(target, ENCODING),
                   text(target, COLLATION));
}

/* What the application would notice, or what a crash would cost it. */
static void look_at_settings(struct preflight *p, const PGresult *source, const PGresult *target)
{
    static const struct {
        const char *name;
        int column;
        const char *bad; /* at the target, where the source differs; NULL: any difference */
        const char *means;
    } settings[] = {
        { "synchronous_commit", SYNCHRONOUS, "off", "a crash may lose what was acknowledged" },
        { "fsync", FSYNC, "off", "a crash may destroy the database" },
        { "full_page_writes", FULL_PAGES, "off", "a crash may destroy pages" },
        { "default_transaction_isolation", ISOLATION, NULL,
          "transactions would see and refuse other things" },
        { "max_prepared_transactions", PREPARED, "0", "PREPARE TRANSACTION would be refused" },
    };
    size_t worse = 0;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        const char *from = text(source, settings[i].column), *to = text(target, settings[i].column);

        if (strcmp(from, to) == 0 || (settings[i].bad != NULL && strcmp(to, settings[i].bad) != 0))
            continue;
        worse++;
        finding_warning(p->list, "server_settings", "Set it as in the source, or know why not.",
                        "%s is %s in the target and %s in the source: %s", settings[i].name, to, from,
                        settings[i].means);
    }
    if (worse == 0)
        finding_ok(p->list, "server_settings", "the target's are as safe as the source's");
}

void preflight_server(struct preflight *p)
{
    PGresult *source = ask_server(p, &p->source);
    PGresult *target = source == NULL ? NULL : ask_server(p, &p->target);

    if (target != NULL) {
        look_at_writing(p, &p->source, source);
        look_at_writing(p, &p->target, target);
        look_at_replica(p, target);
        look_at_versions(p, source, target);
        look_at_encoding(p, source, target);
        look_at_settings(p, source, target);
    }
    PQclear(source);
    PQclear(target);
}

/* --- rights of pgshunt's role --- */

/* One row of check_rights.sql. */
static bool rights_fit(struct preflight *p, const struct preflight_side *side, struct error *err)
{
    const char *const values[] = { side->rel->qualified, p->r->m.control_schema };
    PGresult *result = pg_query(*side->pg, sql_check_rights, 2, values, err);
    const char *role;
    bool fine = true;

    if (result == NULL)
        return false;
    role = PQgetvalue(result, 0, 0);
    if (PQgetvalue(result, 0, 1)[0] != 't')
        fine = error_set(err, "42501",
                         "store \"%s\": role \"%s\" neither owns %s nor is a member of its owner \"%s\"",
                         side->store->name, role, side->rel->qualified, PQgetvalue(result, 0, 2));
    else if (PQgetvalue(result, 0, 3)[0] != 't')
        fine = error_set(err, "42501", "store \"%s\": role \"%s\" may not create objects in schema \"%s\"",
                         side->store->name, role, p->r->m.control_schema);
    else if (!PQgetisnull(result, 0, 4))
        fine = error_set(err, "55000", "store \"%s\": role \"%s\" is used by somebody else, too (%s)",
                         side->store->name, role, PQgetvalue(result, 0, 4));
    if (!fine && error_is(err, "42501"))
        error_hint(err, "Run sql/roles.sql in that database.");
    else if (!fine)
        error_hint(err, "The tap lets this login pass: give pgshunt one of its own, and run sql/roles.sql.");
    PQclear(result);
    return fine;
}

/* What sql/roles.sql grants and a migration can do without. */
static void look_at_grants(struct preflight *p, const struct preflight_side *side)
{
    PGresult *result = preflight_ask(p, "rights", FINDING_WARNING, *side->pg,
                                     "SELECT pg_has_role(session_user, 'pg_signal_backend', 'MEMBER'),"
                                     " pg_has_role(session_user, 'pg_read_all_stats', 'MEMBER')",
                                     0, NULL);

    if (result == NULL)
        return;
    if (PQgetvalue(result, 0, 0)[0] != 't' || PQgetvalue(result, 0, 1)[0] != 't')
        finding_warning(
            p->list, "rights", "Run sql/roles.sql in that database.",
            "store \"%s\": role \"%s\" is no member of %s: who is in the way can then not be named "
            "or moved",
            side->store->name, PQuser(pg_raw(*side->pg)),
            PQgetvalue(result, 0, 0)[0] != 't' ? "pg_signal_backend" : "pg_read_all_stats");
    else
        finding_ok(p->list, "rights", "store \"%s\": role \"%s\" may do what a migration does",
                   side->store->name, PQuser(pg_raw(*side->pg)));
    PQclear(result);
}

void preflight_rights(struct preflight *p)
{
    const struct preflight_side *sides[] = { &p->source, &p->target };
    struct error err;

    for (size_t i = 0; i < 2; i++) {
        if (preflight_note(p, "rights", FINDING_BLOCKER, rights_fit(p, sides[i], &err), &err))
            look_at_grants(p, sides[i]);
    }
}

/* --- room for connections --- */

static void look_at_room(struct preflight *p, const PGresult *source, const PGresult *target)
{
    long free_ = number(target, CONNECTIONS) - number(target, RESERVED) - number(target, USED);
    long limit = number(target, DATABASE_LIMIT), wanted = number(source, HERE) + OWN_CONNECTIONS;

    if (limit >= 0 && limit - number(target, HERE) < free_)
        free_ = limit - number(target, HERE);
    if (!is_on(target, ALLOWS) || free_ < OWN_CONNECTIONS)
        finding_blocker(p->list, "connections", "53300",
                        "Raise max_connections (or ALTER DATABASE … CONNECTION LIMIT) of the target.",
                        "store \"%s\" has room for %ld more connections, pgshunt alone needs %d",
                        p->target.store->name, free_ < 0 ? 0 : free_, OWN_CONNECTIONS);
    else if (free_ < wanted)
        finding_warning(p->list, "connections",
                        "Raise max_connections (or the database's CONNECTION LIMIT) of the target, or share "
                        "servers: pool_mode = transaction.",
                        "store \"%s\" has room for %ld more connections; the application has %ld in the "
                        "source now, and pgshunt needs %d",
                        p->target.store->name, free_, number(source, HERE), OWN_CONNECTIONS);
    else
        finding_ok(
            p->list, "connections",
            "store \"%s\" has room for %ld more connections; the application has %ld in the source now",
            p->target.store->name, free_, number(source, HERE));
}

/* As many as pgshunt may open there by its own limits. */
static void look_at_pools(struct preflight *p, const PGresult *target)
{
    const struct config *config = p->r->setup->config;
    long most = number(target, CONNECTIONS) - number(target, RESERVED);
    long pool = (long)config_number(config, CONFIG_MAX_DB_CONNECTIONS);

    if (strcmp(config_text(config, CONFIG_POOL_MODE), "transaction") == 0 && pool == 0)
        pool = (long)config_number(config, CONFIG_DEFAULT_POOL_SIZE);
    if (pool > most)
        finding_warning(p->list, "connections",
                        "Lower default_pool_size or max_db_connections, or raise "
                        "max_connections of the target.",
                        "pools may open %ld connections to store \"%s\", which takes %ld at most", pool,
                        p->target.store->name, most);
}

void preflight_connections(struct preflight *p)
{
    PGresult *source = ask_server(p, &p->source);
    PGresult *target = source == NULL ? NULL : ask_server(p, &p->target);

    if (target != NULL) {
        look_at_room(p, source, target);
        look_at_pools(p, target);
    }
    PQclear(source);
    PQclear(target);
}
