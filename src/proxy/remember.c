/* remember.c - see remember.h. */
#include "proxy/remember.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/limits.h"

struct login {
    char who[2 * IDENTIFIER_BYTES_MAX + 2]; /* user, a line feed, database */
    struct session told;                    /* only its reported parameters are used */
    UT_hash_handle hh;
};

struct remember {
    struct login *logins;
};

struct remember *remember_new(void)
{
    return calloc(1, sizeof(struct remember));
}

void remember_free(struct remember *remember)
{
    struct login *login, *next;

    if (remember == NULL)
        return;
    HASH_ITER(hh, remember->logins, login, next) {
        HASH_DEL(remember->logins, login);
        session_done(&login->told);
        free(login);
    }
    free(remember);
}

static struct login *find(const struct remember *remember, const char *user, const char *database)
{
    char who[sizeof((struct login *)0)->who];
    struct login *login = NULL;

    if (snprintf(who, sizeof who, "%s\n%s", user, database) >= (int)sizeof who || remember->logins == NULL)
        return NULL;
    HASH_FIND_STR(remember->logins, who, login);
    return login;
}

static void copy_reported(struct session *to, const struct report *from)
{
    for (size_t i = 0; i < from->count; i++)
        session_report(to, slice_of(from->pairs[i].name), slice_of(from->pairs[i].value));
}

void remember_report(struct remember *remember, const char *user, const char *database,
                     const struct report *told)
{
    struct login *login = find(remember, user, database);

    if (login == NULL) {
        if (strlen(user) >= IDENTIFIER_BYTES_MAX || strlen(database) >= IDENTIFIER_BYTES_MAX ||
            HASH_COUNT(remember->logins) >= REMEMBERED_LOGINS_MAX)
            return;
        login = calloc(1, sizeof *login);
        if (login == NULL)
            return;
        snprintf(login->who, sizeof login->who, "%s\n%s", user, database);
        session_init(&login->told);
        HASH_ADD_STR(remember->logins, who, login);
    }
    copy_reported(&login->told, told);
}

void remember_login(struct remember *remember, const char *user, const char *database,
                    const struct session *session)
{
    remember_report(remember, user, database, &session->reported);
}

bool remember_recall(const struct remember *remember, const char *user, const char *database,
                     struct session *session)
{
    const struct login *login = find(remember, user, database);

    if (login == NULL)
        return false;
    copy_reported(session, &login->told.reported);
    return true;
}
