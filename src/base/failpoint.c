/* failpoint.c - the table of failpoints and what the environment has armed.
 * Owns:   the armed points, written once by failpoint_init() before any thread starts, then only read. They
 * are the one piece of file-level state in the program: a failpoint must reach any depth without an argument,
 * and none of it exists in a build without failpoints. Thread: failpoint() any.   Start at: failpoint_init().
 */
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

#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/slice.h"

enum action { ACTION_NONE, ACTION_CRASH, ACTION_ERROR, ACTION_SLEEP };

enum { NAMES = sizeof names / sizeof names[0] };

static struct armed {
    enum action action;
    uint64_t sleep_ms;
} armed[NAMES]; /* by the name's index */

static bool find(struct slice name, size_t *index)
{
    for (*index = 0; names[*index] != NULL; ++*index) {
        if (slice_is(name, names[*index]))
            return true;
    }
    return false;
}

static bool parse_action(struct slice text, struct armed *point)
{
    static const char sleep_prefix[] = "sleep:";
    const size_t prefix = sizeof sleep_prefix - 1;

    *point = (struct armed){ ACTION_NONE, 0 };
    if (slice_is(text, "crash"))
        point->action = ACTION_CRASH;
    else if (slice_is(text, "error"))
        point->action = ACTION_ERROR;
    if (point->action != ACTION_NONE)
        return true;
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

static bool arm(struct slice item, struct error *err)
{
    const char *equals = item.bytes == 0 ? NULL : memchr(item.at, '=', item.bytes);
    struct slice name = { item.at, equals == NULL ? item.bytes : (size_t)(equals - item.at) };
    struct armed point;
    size_t index;

    if (!find(name, &index)) {
        error_set(err, "22023", "PGSHUNT_FAILPOINT names an unknown failpoint \"%.*s\"", (int)name.bytes,
                  name.at);
        return error_hint(err, "pgshunt --list-failpoints prints them.");
    }
    if (equals == NULL || !parse_action((struct slice){ equals + 1, item.bytes - name.bytes - 1 }, &point)) {
        error_set(err, "22023", "PGSHUNT_FAILPOINT: \"%.*s\" is not understood", (int)item.bytes, item.at);
        return error_hint(err, "Write name=crash, name=error or name=sleep:ms, comma-separated.");
    }
    armed[index] = point;
    return true;
}

bool failpoint_init(struct error *err)
{
    const char *at = getenv("PGSHUNT_FAILPOINT");

    memset(armed, 0, sizeof armed);
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

bool failpoint(const char *name, struct error *err)
{
    size_t index;

    if (!find(slice_of(name), &index))
        abort(); /* our own mistake: the name is missing in failpoint_names.h */
    switch (armed[index].action) {
    case ACTION_NONE:
        return true;
    case ACTION_CRASH:
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    case ACTION_SLEEP:
        clock_sleep_ms(armed[index].sleep_ms);
        return true;
    case ACTION_ERROR:
        break;
    }
    return error_set(err, "XX000", "failpoint \"%s\" says error", name);
}

#endif
