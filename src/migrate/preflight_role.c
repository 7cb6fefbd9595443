/* preflight_role.c - before a migration: the roles of the application, which meet a moved tenant in another
 * server: do they exist there, may they do the same, are they given the same settings, can they log in?
 * Part of preflight.h; runner's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/preflight.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum {
    LOGINS_MAX = 16, /* tried; with more users the first of them stand for all */
    LOGIN_MS = 5000,
};

/* Columns of check_roles.sql. */
enum { ROLE, CAN_LOGIN, LIMIT, EXPIRED, CONNECT, RIGHTS, SEQUENCE, SETTINGS, ATTRIBUTES };

static void names_as_array(const PGresult *roles, struct buf *array)
{
    for (int row = 0; row < PQntuples(roles); row++)
        sqltext_array_add(array, PQgetvalue(roles, row, ROLE));
    sqltext_array_end(array);
}

static bool add_user(void *who, const char *user, const char *secret)
{
    (void)secret;
    sqltext_array_add(who, user);
    return true;
}

/* The roles that use the table in the source; NULL: not known. */
static PGresult *ask_source(struct preflight *p)
{
    struct buf users;
    PGresult *roles = NULL;

    buf_init(&users);
    if (p->r->setup->each_login != NULL)
        p->r->setup->each_login(p->r->setup->config, add_user, &users);
    sqltext_array_end(&users);
    if (!buf_failed(&users))
        roles = preflight_ask(p, "roles", FINDING_WARNING, *p->source.pg, sql_check_roles, 3,
                              (const char *[]){ p->source.rel->qualified, buf_text(&users), NULL });
    buf_done(&users);
    return roles;
}

static PGresult *ask_target(struct preflight *p, const PGresult *roles)
{
    struct buf names;
    PGresult *result = NULL;

    buf_init(&names);
    names_as_array(roles, &names);
    if (!buf_failed(&names))
        result = preflight_ask(p, "roles", FINDING_WARNING, *p->target.pg, sql_check_roles, 3,
                               (const char *[]){ p->target.rel->qualified, "{}", buf_text(&names) });
    buf_done(&names);
    return result;
}

static int find_role(const PGresult *roles, const char *name)
{
    for (int row = 0; row < PQntuples(roles); row++) {
        if (strcmp(PQgetvalue(roles, row, ROLE), name) == 0)
            return row;
    }
    return -1;
}

static bool compare_role(struct preflight *p, const PGresult *from, int at, const PGresult *to, int there)
{
    static const struct {
        int column;
        const char *check, *what, *hint;
    } same[] = {
        { RIGHTS, "roles", "its rights on the event table and its schema",
          "GRANT in the target what the source grants." },
        { SEQUENCE, "roles", "its rights on the table's sequences",
          "GRANT in the target what the source grants." },
        { ATTRIBUTES, "roles", "its attributes", "ALTER ROLE in the target as in the source." },
        { SETTINGS, "role_settings", "its settings (ALTER ROLE … SET)",
          "ALTER ROLE … [IN DATABASE …] SET in the target as in the source." },
    };
    const char *role = PQgetvalue(from, at, ROLE);
    long limit_from = strtol(PQgetvalue(from, at, LIMIT), NULL, 10);
    long limit_to = strtol(PQgetvalue(to, there, LIMIT), NULL, 10);
    size_t before = p->list->count;

    if (PQgetvalue(to, there, CAN_LOGIN)[0] != 't' || PQgetvalue(to, there, CONNECT)[0] != 't' ||
        PQgetvalue(to, there, EXPIRED)[0] == 't')
        finding_warning(p->list, "roles",
                        "ALTER ROLE … LOGIN VALID UNTIL 'infinity', GRANT CONNECT ON DATABASE.",
                        "role \"%s\" may not log in to store \"%s\"%s", role, p->target.store->name,
                        PQgetvalue(to, there, EXPIRED)[0] == 't' ? ": its password has expired" : "");
    if (limit_to >= 0 && (limit_from < 0 || limit_to < limit_from))
        finding_warning(p->list, "connections", "ALTER ROLE … CONNECTION LIMIT in the target.",
                        "role \"%s\" may have %ld connections in the target%s", role, limit_to,
                        limit_from < 0 ? ", and any number in the source" : ", and more in the source");
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const char *a = PQgetvalue(from, at, same[i].column), *b = PQgetvalue(to, there, same[i].column);

        if (strcmp(a, b) != 0)
            finding_warning(p->list, same[i].check, same[i].hint,
                            "role \"%s\": %s are \"%s\" in the source and \"%s\" in the target", role,
                            same[i].what, a, b);
    }
    return p->list->count == before;
}

static void compare_databases(struct preflight *p)
{
    PGresult *from =
        preflight_ask(p, "role_settings", FINDING_WARNING, *p->source.pg, sql_check_database, 0, NULL);
    PGresult *to = from == NULL ? NULL
                                : preflight_ask(p, "role_settings", FINDING_WARNING, *p->target.pg,
                                                sql_check_database, 0, NULL);

    if (to != NULL && strcmp(PQgetvalue(from, 0, 0), PQgetvalue(to, 0, 0)) != 0)
        finding_warning(p->list, "role_settings", "ALTER DATABASE … SET in the target as in the source.",
                        "ALTER DATABASE … SET gives \"%s\" in the source and \"%s\" in the target",
                        PQgetvalue(from, 0, 0), PQgetvalue(to, 0, 0));
    else if (to != NULL)
        finding_ok(p->list, "role_settings", "sessions of both databases are given the same settings");
    PQclear(from);
    PQclear(to);
}

void preflight_roles(struct preflight *p)
{
    PGresult *from = ask_source(p), *to = from == NULL ? NULL : ask_target(p, from);
    int fine = 0;

    for (int row = 0; to != NULL && row < PQntuples(from); row++) {
        const char *role = PQgetvalue(from, row, ROLE);
        int there = find_role(to, role);

        if (there >= 0)
            fine += compare_role(p, from, row, to, there);
        else
            finding_warning(p->list, "roles", "CREATE ROLE in the target, with the same password, and GRANT.",
                            "role \"%s\" does not exist in store \"%s\"", role, p->target.store->name);
    }
    if (to != NULL && fine == PQntuples(from))
        finding_ok(p->list, "roles", "%d roles that use the event table are the same on both sides", fine);
    PQclear(from);
    PQclear(to);
    compare_databases(p);
}

/* --- logging in as they do --- */

/* The store's connection string with another user and password; NULL: cannot be made. */
static char *conninfo_of(const struct store *store, const char *user, const char *password)
{
    PQconninfoOption *options = PQconninfoParse(store->conninfo, NULL);
    struct buf out;
    char *text;

    if (options == NULL)
        return NULL;
    buf_init(&out);
    for (PQconninfoOption *at = options; at->keyword != NULL; at++) {
        const char *value = strcmp(at->keyword, "user") == 0       ? user
                            : strcmp(at->keyword, "password") == 0 ? password
                            : strcmp(at->keyword, "passfile") == 0 ? NULL
                                                                   : at->val;

        if (value == NULL)
            continue;
        buf_append_format(&out, "%s='", at->keyword);
        for (; *value != '\0'; value++)
            buf_append_format(&out, "%s%c", *value == '\'' || *value == '\\' ? "\\" : "", *value);
        buf_append_text(&out, "' ");
    }
    PQconninfoFree(options);
    text = buf_failed(&out) ? NULL : strdup(buf_text(&out));
    buf_done(&out);
    return text;
}

static bool log_in(struct preflight *p, const struct store *store, const char *user, const char *password,
                   struct error *err)
{
    char *conninfo = conninfo_of(store, user, password), what[STORE_NAME_BYTES_MAX + 16];
    struct pg *pg = NULL;
    bool fine;

    snprintf(what, sizeof what, "store \"%s\"", store->name);
    fine = conninfo == NULL ? error_no_memory(err)
                            : pg_open(conninfo, what, "pgshunt check", &p->r->m.wake, LOGIN_MS, &pg, err);
    pg_close(pg);
    free(conninfo);
    return fine;
}

/* 't' tried and fine, 'f' refused, '-' not tried. */
static char try_login(struct preflight *p, const char *user, const char *secret)
{
    const struct store *stores[] = { p->source.store, p->target.store };

    if (strncmp(secret, "SCRAM-SHA-256$", 14) == 0 ||
        (strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35))
        return '-';
    for (size_t i = 0; i < 2; i++) {
        struct error err, why;

        if (log_in(p, stores[i], user, secret, &err))
            continue;
        why = err;
        if (!p->r->interrupted)
            finding_warning(p->list, "logins",
                            "Give the role the same password there, and let pg_hba.conf "
                            "accept it from this machine.",
                            "role \"%s\" cannot log in to store \"%s\": %s", user, stores[i]->name,
                            why.message);
        return 'f';
    }
    return 't';
}

struct logins {
    struct preflight *p;
    size_t tried, refused, secret_only;
};

static bool try_user(void *who, const char *user, const char *secret)
{
    struct logins *logins = who;
    char result = try_login(logins->p, user, secret);

    logins->tried += result != '-';
    logins->refused += result == 'f';
    logins->secret_only += result == '-';
    return logins->tried < LOGINS_MAX && !logins->p->r->interrupted;
}

void preflight_logins(struct preflight *p)
{
    struct logins logins = { .p = p };

    if (p->r->setup->each_login != NULL)
        p->r->setup->each_login(p->r->setup->config, try_user, &logins);
    if (logins.tried == 0)
        finding_ok(
            p->list, "logins",
            "not tried: pgshunt knows no plain password of the application; CHECK CUTOVER tells by then "
            "whether those who write can log in");
    else if (logins.refused == 0)
        finding_ok(p->list, "logins", "%zu users of auth_file log in to both stores%s", logins.tried,
                   logins.secret_only > 0 ? "; others have no plain password there and were not tried" : "");
}
