/* collect.c - see collect.h. Owns: a folder in TMPDIR until it is packed.   Start at: collect_run(). */
#include "ctl/collect.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/print.h"

enum { LOG_BYTES_MAX = 8 * 1024 * 1024, MIGRATIONS_MAX = 100, PATH_BYTES = 512 };

extern char **environ;

/* Passwords stand in none of these: the console masks them. */
static const struct {
    const char *name, *command;
} once[] = {
    { "version", "SHOW VERSION" },     { "config", "SHOW CONFIG" },       { "stores", "SHOW STORES" },
    { "instances", "SHOW INSTANCES" }, { "tenants", "SHOW TENANTS" },     { "migrations", "SHOW MIGRATIONS ALL" },
    { "clients", "SHOW CLIENTS" },     { "servers", "SHOW SERVERS" },     { "pools", "SHOW POOLS" },
    { "stats", "SHOW STATS" },         { "totals", "SHOW TOTALS" },       { "plans", "SHOW PLANS" },
    { "shapes", "SHOW SHAPES" },       { "coverage", "CHECK COVERAGE" },
}, of_each[] = {
    { "migration", "SHOW MIGRATION" }, { "audit", "SHOW AUDIT" }, { "failures", "SHOW FAILURES" },
    { "report", "SHOW REPORT" },
};

struct bundle {
    struct link *link;
    char folder[PATH_BYTES], name[64]; /* folder/name/… is packed */
    struct error *err;
};

static bool system_failed(struct bundle *bundle, const char *what, const char *path)
{
    return error_set(bundle->err, "58030", "cannot %s \"%s\": %s", what, path, strerror(errno));
}

static FILE *open_file(struct bundle *bundle, const char *name)
{
    char path[PATH_BYTES + 256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s/%s", bundle->folder, bundle->name, name);
    file = fopen(path, "ae");
    if (file == NULL)
        system_failed(bundle, "write", path);
    return file;
}

static bool close_file(struct bundle *bundle, FILE *file, const char *name)
{
    bool good = !ferror(file);

    return (fclose(file) == 0 && good) || system_failed(bundle, "write", name);
}

static bool note_error(struct bundle *bundle, const char *command, const struct error *why)
{
    FILE *file = open_file(bundle, "errors.txt");

    if (file == NULL)
        return false;
    fprintf(file, "%s: %s %s\n", command, why->sqlstate, why->message);
    return close_file(bundle, file, "errors.txt");
}

static bool keep(struct bundle *bundle, const char *name, const PGresult *result)
{
    FILE *file = open_file(bundle, name);
    struct buf json;

    if (file == NULL)
        return false;
    buf_init(&json);
    print_json(result, &json);
    fputs(buf_text(&json), file);
    buf_done(&json);
    return close_file(bundle, file, name);
}

/* One command's rows as NAME.json. A command that is refused is noted; only a lost connection or a full disk
 * ends it. */
static bool add(struct bundle *bundle, const char *name, const char *command)
{
    struct error why;
    PGresult *result = link_run(bundle->link, command, &why);
    char file[160];
    bool good;

    if (result == NULL && error_is(&why, "08006")) {
        *bundle->err = why;
        return false;
    }
    if (result == NULL)
        return note_error(bundle, command, &why);
    snprintf(file, sizeof file, "%s.json", name);
    good = keep(bundle, file, result);
    PQclear(result);
    return good;
}

static bool add_migration(struct bundle *bundle, const char *id)
{
    char name[128], command[128];

    for (size_t i = 0; i < sizeof of_each / sizeof of_each[0]; i++) {
        snprintf(name, sizeof name, "%s-%s", of_each[i].name, id);
        snprintf(command, sizeof command, "%s '%s'", of_each[i].command, id);
        if (!add(bundle, name, command))
            return false;
    }
    return true;
}

static bool add_migrations(struct bundle *bundle)
{
    struct error why;
    PGresult *result = link_run(bundle->link, "SHOW MIGRATIONS ALL", &why);
    bool good = true;

    if (result == NULL)
        return note_error(bundle, "SHOW MIGRATIONS ALL", &why);
    for (int row = 0; good && row < PQntuples(result) && row < MIGRATIONS_MAX; row++)
        good = add_migration(bundle, print_value(result, row, "id"));
    PQclear(result);
    return good;
}

/* The end of the log: events and errors, no payloads. */
static bool add_log(struct bundle *bundle, const char *path)
{
    FILE *from = fopen(path, "re"), *to;
    char chunk[65536];
    size_t bytes;

    if (from == NULL)
        return system_failed(bundle, "read", path);
    to = open_file(bundle, "log");
    if (to == NULL) {
        fclose(from);
        return false;
    }
    if (fseek(from, 0, SEEK_END) == 0 && ftell(from) > LOG_BYTES_MAX)
        fseek(from, -(long)LOG_BYTES_MAX, SEEK_END);
    else
        rewind(from);
    while ((bytes = fread(chunk, 1, sizeof chunk, from)) > 0)
        fwrite(chunk, 1, bytes, to);
    fclose(from);
    return close_file(bundle, to, "log");
}

/* posix_spawnp() does not write to its words, though its type would let it. */
static bool run(const char *const *argv, struct bundle *bundle)
{
    int status = 0;
    pid_t pid;

    errno = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (errno != 0)
        return system_failed(bundle, "run", argv[0]);
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return error_set(bundle->err, "58030", "%s did not succeed", argv[0]);
}

static bool make_folder(struct bundle *bundle)
{
    const char *place = getenv("TMPDIR");
    char path[PATH_BYTES + 80], when[32];
    time_t now = time(NULL);
    struct tm parts;

    strftime(when, sizeof when, "%Y%m%d-%H%M%S", gmtime_r(&now, &parts));
    snprintf(bundle->name, sizeof bundle->name, "pgshunt-%s", when);
    snprintf(bundle->folder, sizeof bundle->folder, "%.400s/pgshuntctl-XXXXXX",
             place == NULL ? "/tmp" : place);
    if (mkdtemp(bundle->folder) == NULL)
        return system_failed(bundle, "make", bundle->folder);
    snprintf(path, sizeof path, "%s/%s", bundle->folder, bundle->name);
    return mkdir(path, 0700) == 0 || system_failed(bundle, "make", path);
}

static bool fill(struct bundle *bundle, const char *log)
{
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++) {
        if (!add(bundle, once[i].name, once[i].command))
            return false;
    }
    return add_migrations(bundle) && (log == NULL || add_log(bundle, log));
}

bool collect_run(struct link *link, const char *output, const char *log, struct error *err)
{
    struct bundle bundle = { .link = link, .err = err };
    struct error kept;
    char file[PATH_BYTES];
    bool good;

    if (!make_folder(&bundle))
        return false;
    if (output != NULL)
        snprintf(file, sizeof file, "%s", output);
    else
        snprintf(file, sizeof file, "%s.tar.gz", bundle.name);
    good = fill(&bundle, log) &&
           run((const char *const[]){ "tar", "-czf", file, "-C", bundle.folder, bundle.name, NULL }, &bundle);
    kept = *err;
    run((const char *const[]){ "rm", "-rf", "--", bundle.folder, NULL }, &bundle);
    *err = kept;
    if (good)
        printf("%s\n", file);
    return good;
}
