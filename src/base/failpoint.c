/* failpoint.c - the table of failpoints and what the environment has armed.
 * Owns:   the armed points, written once by failpoint_init() before any thread starts, then only read (but
 * for `fired`, which is atomic), and the trace. They are the one piece of file-level state in the program: a
 * failpoint must reach any depth without an argument, and none of it exists in a build without failpoints.
 * Thread: failpoint(), failpoint_statement() any.   Start at: failpoint_init(). */
#include "base/failpoint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FAILPOINT_TABLE /* a test brings its own */
#define FAILPOINT_TABLE "base/failpoint_names.h"
#endif

static const char *const names[] = {
#include FAILPOINT_TABLE
    NULL, /* so that the table may be empty */
};

void failpoint_list(int fd)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (write(fd, names[i], strlen(names[i])) < 0 || write(fd, "\n", 1) < 0)
            return; /* nobody reads */
    }
}

#ifndef PGSHUNT_FAILPOINTS

bool failpoint_init(struct error *err)
{
    const char *wanted = getenv("PGSHUNT_FAILPOINT");

    if (wanted == NULL || wanted[0] == '\0')
        return true;
    error_set(err, "0A000", "PGSHUNT_FAILPOINT is set, but failpoints are not compiled in");
    return error_hint(err, "Build with -Dfailpoints=true, or unset PGSHUNT_FAILPOINT.");
}

#else

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/slice.h"

enum action { ACTION_NONE, ACTION_CRASH, ACTION_ERROR, ACTION_SLEEP, ACTION_PARTITION };

enum { ARMED_MAX = 32, NAME_BYTES_MAX = 96 };

static struct armed {
    char name[NAME_BYTES_MAX];
    enum action action;
    uint64_t sleep_ms;
    atomic_bool fired; /* a statement's: once */
} armed[ARMED_MAX];
static size_t armed_count;

static const char before_prefix[] = "sql.before.", after_prefix[] = "sql.after.";

static bool names_statement(struct slice name)
{
    static const char *const prefixes[] = { before_prefix, after_prefix };

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t bytes = strlen(prefixes[i]);

        if (name.bytes > bytes && memcmp(name.at, prefixes[i], bytes) == 0)
            return true;
    }
    return false;
}

static bool is_known(struct slice name)
{
    if (names_statement(name))
        return true;
    for (size_t i = 0; names[i] != NULL; i++) {
        if (slice_is(name, names[i]))
            return true;
    }
    return false;
}

static bool parse_sleep(struct slice text, struct armed *point)
{
    static const char sleep_prefix[] = "sleep:";
    const size_t prefix = sizeof sleep_prefix - 1;

    if (text.bytes <= prefix || text.bytes > prefix + 9 || memcmp(text.at, sleep_prefix, prefix) != 0)
        return false;
    for (size_t i = prefix; i < text.bytes; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        point->sleep_ms = point->sleep_ms * 10 + (uint64_t)(text.at[i] - '0');
    }
    point->action = ACTION_SLEEP;
    return true;
}

static bool parse_action(struct slice name, struct slice text, struct armed *point)
{
    if (slice_is(text, "crash"))
        point->action = ACTION_CRASH;
    else if (slice_is(text, "error"))
        point->action = ACTION_ERROR;
    else if (slice_is(text, "partition") && names_statement(name))
        point->action = ACTION_PARTITION;
    return point->action != ACTION_NONE || parse_sleep(text, point);
}

static bool arm(struct slice item, struct error *err)
{
    const char *equals = item.bytes == 0 ? NULL : memchr(item.at, '=', item.bytes);
    struct slice name = { item.at, equals == NULL ? item.bytes : (size_t)(equals - item.at) };
    struct armed *point = &armed[armed_count];

    if (!is_known(name) || name.bytes >= NAME_BYTES_MAX) {
        error_set(err, "22023", "PGSHUNT_FAILPOINT names an unknown failpoint \"%.*s\"", (int)name.bytes,
                  name.at);
        return error_hint(err, "pgshunt --list-failpoints prints them; before and after every statement of a "
                               "migration: sql.before.NAME, sql.after.NAME.");
    }
    if (armed_count == ARMED_MAX)
        return error_set(err, "22023", "PGSHUNT_FAILPOINT names more than %d failpoints", ARMED_MAX);
    memset(point, 0, sizeof *point);
    if (equals == NULL ||
        !parse_action(name, (struct slice){ equals + 1, item.bytes - name.bytes - 1 }, point)) {
        error_set(err, "22023", "PGSHUNT_FAILPOINT: \"%.*s\" is not understood", (int)item.bytes, item.at);
        return error_hint(err, "Write name=crash, name=error or name=sleep:ms, for a statement also "
                               "name=partition, comma-separated.");
    }
    memcpy(point->name, name.at, name.bytes);
    armed_count++;
    return true;
}

bool failpoint_init(struct error *err)
{
    const char *at = getenv("PGSHUNT_FAILPOINT");

    armed_count = 0;
    if (at == NULL || at[0] == '\0')
        return true;
    for (;;) {
        size_t bytes = strcspn(at, ",");

        if (!arm((struct slice){ at, bytes }, err))
            return false;
        if (at[bytes] == '\0')
            return true;
        at += bytes + 1;
    }
}

static struct armed *find_armed(const char *name)
{
    for (size_t i = 0; i < armed_count; i++) {
        if (strcmp(armed[i].name, name) == 0)
            return &armed[i];
    }
    return NULL;
}

/* What both kinds do alike; ACTION_NONE: go on. */
static enum action act(const struct armed *point)
{
    if (point == NULL)
        return ACTION_NONE;
    if (point->action == ACTION_CRASH) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if (point->action == ACTION_SLEEP) {
        clock_sleep_ms(point->sleep_ms);
        return ACTION_NONE;
    }
    return point->action;
}

bool failpoint(const char *name, struct error *err)
{
    if (!is_known(slice_of(name)))
        abort(); /* our own mistake: the name is missing in failpoint_names.h */
    if (act(find_armed(name)) == ACTION_NONE)
        return true;
    return error_set(err, "XX000", "failpoint \"%s\" says error", name);
}

/* One write per name: lines of several threads and processes do not mix. */
static void trace(const char *name)
{
    const char *path = getenv("PGSHUNT_FAILPOINT_TRACE");
    char line[NAME_BYTES_MAX + 1];
    int fd, bytes;

    if (path == NULL || (fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) < 0)
        return;
    bytes = snprintf(line, sizeof line, "%s\n", name);
    if (write(fd, line, (size_t)bytes) < 0)
        line[0] = '\0'; /* a trace that cannot be written is shorter, and its test says so */
    close(fd);
}

enum failpoint_verdict failpoint_statement(enum failpoint_moment moment, const char *statement)
{
    char name[NAME_BYTES_MAX];
    struct armed *point;

    snprintf(name, sizeof name, "%s%.64s", moment == FAILPOINT_BEFORE ? before_prefix : after_prefix,
             statement);
    trace(name);
    point = find_armed(name);
    if (point == NULL || atomic_exchange(&point->fired, true))
        return FAILPOINT_GO;
    switch (act(point)) {
    case ACTION_ERROR:
        return FAILPOINT_ERROR;
    case ACTION_PARTITION:
        return FAILPOINT_CUT;
    default:
        return FAILPOINT_GO;
    }
}

#endif
