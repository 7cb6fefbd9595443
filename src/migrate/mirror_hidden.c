/* mirror_hidden.c - who writes past the proxies: backends with captured entries that never rang a doorbell. A
 * ring may come after the entry was read: it clears the suspicion. Owns: its tables. Thread: the runner's.
 * Start at: mirror_writers_saw(). */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "migrate/mirror_impl.h"

#define HASH_NONFATAL_OOM           1
#define uthash_nonfatal_oom(writer) ((writer)->lost = true)
#include <uthash.h>

enum {
    WRITERS_MAX = 65536
}; /* more backends than a server can have at a time: then all is forgotten, and seen anew */

struct writer {
    int32_t pid;
    bool known; /* it has rung */
    bool lost;  /* no memory to keep it */
    char application[64];
    int64_t entries;
    uint64_t last_ms;
    UT_hash_handle hh;
};

struct mirror_writers {
    struct writer *table;
};

struct mirror_writers *mirror_writers_new(void)
{
    return calloc(1, sizeof(struct mirror_writers));
}

static void forget_all(struct mirror_writers *writers)
{
    struct writer *writer, *next;

    HASH_ITER(hh, writers->table, writer, next) {
        HASH_DEL(writers->table, writer);
        free(writer);
    }
}

void mirror_writers_free(struct mirror_writers *writers)
{
    if (writers == NULL)
        return;
    forget_all(writers);
    free(writers);
}

/* NULL: no memory. A writer that is not kept is one warning less, nothing else. */
static struct writer *find_or_add(struct mirror_writers *writers, int32_t pid)
{
    struct writer *writer;

    HASH_FIND_INT(writers->table, &pid, writer);
    if (writer != NULL)
        return writer;
    if (HASH_COUNT(writers->table) >= WRITERS_MAX)
        forget_all(writers);
    writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return NULL;
    writer->pid = pid;
    HASH_ADD_INT(writers->table, pid, writer);
    if (!writer->lost)
        return writer;
    free(writer);
    return NULL;
}

void mirror_writers_know(struct mirror_writers *writers, int32_t pid)
{
    struct writer *writer = find_or_add(writers, pid);

    if (writer != NULL)
        writer->known = true;
}

void mirror_writers_saw(struct mirror_writers *writers, int32_t pid, const char *application)
{
    struct writer *writer = pid == 0 ? NULL : find_or_add(writers, pid); /* 0: captured by a repair */

    if (writer == NULL)
        return;
    writer->entries++;
    writer->last_ms = clock_ms();
    snprintf(writer->application, sizeof writer->application, "%s", application);
}

size_t mirror_writers_hidden(const struct mirror_writers *writers, struct mirror_hidden *out, size_t max)
{
    struct writer *writer, *next;
    uint64_t now_ms = clock_ms();
    size_t count = 0;

    HASH_ITER(hh, writers->table, writer, next) {
        if (writer->known || writer->entries == 0 || count == max)
            continue;
        out[count].pid = writer->pid;
        out[count].entries = writer->entries;
        out[count].last_ms_ago = now_ms - writer->last_ms;
        snprintf(out[count].application, sizeof out[count].application, "%s", writer->application);
        count++;
    }
    return count;
}
