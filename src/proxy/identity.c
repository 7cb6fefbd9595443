/* identity.c - see identity.h. */
#include "proxy/identity.h"

#include <stdlib.h>
#include <string.h>

static bool copy_credentials(const struct credentials *from, struct credentials *to)
{
    memset(to, 0, sizeof *to);
    to->keys = from->keys;
    to->password = from->password == NULL ? NULL : strdup(from->password);
    to->md5 = from->md5 == NULL ? NULL : strdup(from->md5);
    if ((from->password == NULL || to->password != NULL) && (from->md5 == NULL || to->md5 != NULL))
        return true;
    credentials_done(to);
    return false;
}

static bool copy_startup(struct identity *identity, const struct parameter_pair *startup, size_t count,
                         const char *without)
{
    identity->startup = calloc(count + 1, sizeof *identity->startup);
    if (identity->startup == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct parameter_pair *pair = &identity->startup[identity->startup_count];

        if (without != NULL && strcmp(startup[i].name, without) == 0)
            continue;
        pair->name = strdup(startup[i].name);
        pair->value = strdup(startup[i].value);
        identity->startup_count++;
        if (pair->name == NULL || pair->value == NULL)
            return false;
    }
    return true;
}

struct identity *identity_new(const char *user, const char *database, const struct parameter_pair *startup,
                              size_t startup_count, const char *without,
                              const struct credentials *credentials)
{
    struct identity *identity = calloc(1, sizeof *identity);

    if (identity == NULL)
        return NULL;
    identity->refs = 1;
    identity->user = strdup(user);
    identity->database = strdup(database);
    if (identity->user != NULL && identity->database != NULL &&
        copy_startup(identity, startup, startup_count, without) &&
        copy_credentials(credentials, &identity->credentials))
        return identity;
    identity_give(identity);
    return NULL;
}

struct identity *identity_take(struct identity *identity)
{
    identity->refs++;
    return identity;
}

void identity_give(struct identity *identity)
{
    if (identity == NULL || --identity->refs > 0)
        return;
    for (size_t i = 0; i < identity->startup_count; i++) {
        free(identity->startup[i].name);
        free(identity->startup[i].value);
    }
    free(identity->startup);
    free(identity->user);
    free(identity->database);
    credentials_done(&identity->credentials);
    free(identity);
}

void identity_renew(struct identity *identity, const struct credentials *credentials)
{
    struct credentials fresh;

    if (!copy_credentials(credentials, &fresh))
        return;
    credentials_done(&identity->credentials);
    identity->credentials = fresh;
}
