/* auth_file.c - see auth_file.h. */
#include "proxy/auth_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct user {
    char *name, *secret;
    UT_hash_handle hh;
};

struct auth_file {
    struct user *users;
};

static void user_free(struct user *user)
{
    if (user->secret != NULL)
        explicit_bzero(user->secret, strlen(user->secret));
    free(user->secret);
    free(user->name);
    free(user);
}

void auth_file_free(struct auth_file *file)
{
    struct user *user, *next;

    if (file == NULL)
        return;
    HASH_ITER(hh, file->users, user, next) {
        HASH_DEL(file->users, user);
        user_free(user);
    }
    free(file);
}

/* "text" with "" for a quote inside; advances *at behind it. NULL: not a quoted string, or no memory. */
static char *read_quoted(const char **at)
{
    const char *from = *at;
    char *text, *to;

    if (*from != '"')
        return NULL;
    text = to = malloc(strlen(from));
    if (text == NULL)
        return NULL;
    for (from++; *from != '\0'; from++) {
        if (*from == '"' && from[1] != '"') {
            *to = '\0';
            *at = from + 1;
            return text;
        }
        if (*from == '"')
            from++;
        *to++ = *from;
    }
    free(text);
    return NULL;
}

static bool add_user(struct auth_file *file, char *name, char *secret)
{
    struct user *user = calloc(1, sizeof *user), *old;

    if (user == NULL)
        return false;
    user->name = name;
    user->secret = secret;
    HASH_FIND_STR(file->users, name, old);
    if (old != NULL) { /* the last one counts, as in PgBouncer */
        HASH_DEL(file->users, old);
        user_free(old);
    }
    HASH_ADD_KEYPTR(hh, file->users, user->name, strlen(user->name), user);
    return true;
}

static bool read_line(struct auth_file *file, const char *line)
{
    char *name, *secret = NULL;

    line += strspn(line, " \t\r\n");
    if (*line == '\0' || *line == ';' || *line == '#')
        return true;
    name = read_quoted(&line);
    if (name != NULL && *name != '\0') {
        line += strspn(line, " \t");
        secret = read_quoted(&line);
    }
    if (secret != NULL && add_user(file, name, secret))
        return true;
    free(name);
    free(secret);
    return false;
}

static bool cannot_read(const char *path, struct error *err)
{
    error_set(err, "F0000", "cannot read auth_file \"%s\": %s", path, strerror(errno));
    return error_hint(err,
                      "auth_type = scram-sha-256 and md5 need it or auth_query; see proxy.conf.example.");
}

static bool read_all(struct auth_file *file, FILE *stream, const char *path, struct error *err)
{
    char *line = NULL;
    size_t capacity = 0;
    bool ok = true;

    for (unsigned number = 1; ok && getline(&line, &capacity, stream) >= 0; number++) {
        ok = read_line(file, line);
        if (!ok) {
            error_set(err, "F0000", "%s:%u: expected \"user\" \"password\"", path, number);
            error_hint(err, "Both in double quotes; the second is a plain password, \"md5…\" or a "
                            "SCRAM-SHA-256 verifier.");
        }
    }
    if (ok && ferror(stream)) /* a folder, a disk that fails: not an empty file */
        ok = cannot_read(path, err);
    if (line != NULL)
        explicit_bzero(line, capacity);
    free(line);
    return ok;
}

bool auth_file_read(const char *path, struct auth_file **file, struct error *err)
{
    FILE *stream;
    bool ok = false;

    *file = calloc(1, sizeof **file);
    if (*file == NULL)
        return error_no_memory(err);
    if (path[0] == '\0')
        return true;
    stream = fopen(path, "re");
    if (stream == NULL) {
        cannot_read(path, err);
    } else {
        ok = read_all(*file, stream, path, err);
        fclose(stream);
    }
    if (!ok) {
        auth_file_free(*file);
        *file = NULL;
    }
    return ok;
}

const char *auth_file_secret(const struct auth_file *file, const char *user)
{
    struct user *found = NULL;

    if (file->users != NULL)
        HASH_FIND_STR(file->users, user, found);
    return found == NULL ? NULL : found->secret;
}

bool auth_file_is_mostly_scram(const struct auth_file *file)
{
    size_t verifiers = 0;

    for (const struct user *user = file->users; user != NULL; user = user->hh.next)
        verifiers += strncmp(user->secret, "SCRAM-SHA-256$", 14) == 0;
    return 2 * verifiers > HASH_COUNT(file->users);
}

void auth_file_each(const struct auth_file *file,
                    bool (*take)(void *who, const char *user, const char *secret), void *who)
{
    for (const struct user *user = file->users; user != NULL; user = user->hh.next) {
        if (!take(who, user->name, user->secret))
            return;
    }
}
