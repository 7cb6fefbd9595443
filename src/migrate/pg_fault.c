/* pg_fault.c - failpoints before and after every statement of a pg; empty in a build without them.
 * Owns: what struct pg_faults holds. Thread: the connection's.   Start at: pg_fault_before(). */
#include "migrate/pg_fault.h"

#ifdef PGSHUNT_FAILPOINTS

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/failpoint.h"

static bool is_word(char byte)
{
    return isalnum((unsigned char)byte) != 0;
}

/* The file that the text comes from, as sql/ writes it in the first line. */
static bool name_by_file(const char *sql, char name[PG_FAULT_NAME_BYTES])
{
    size_t bytes;

    if (strncmp(sql, "-- ", 3) != 0)
        return false;
    bytes = strcspn(sql + 3, " .\n");
    if (bytes == 0 || bytes >= PG_FAULT_NAME_BYTES || strncmp(sql + 3 + bytes, ".sql ", 5) != 0)
        return false;
    snprintf(name, PG_FAULT_NAME_BYTES, "%.*s", (int)bytes, sql + 3);
    return true;
}

/* The next word of a text, not of a literal in it. false: there is none. */
static bool next_word(const char **sql, const char **word, size_t *bytes)
{
    bool literal = false;

    for (; **sql != '\0'; ++*sql) {
        if (**sql == '\'')
            literal = !literal;
        else if (!literal && is_word(**sql))
            break;
    }
    *word = *sql;
    while (is_word(**sql))
        ++*sql;
    *bytes = (size_t)(*sql - *word);
    return *bytes > 0;
}

/* Its words, joined by '_' as far as they fit. Literals and numbers differ from run to run: they are left
 * out. */
static void name_by_words(const char *sql, char name[PG_FAULT_NAME_BYTES])
{
    const char *word;
    size_t bytes, used = 0;

    while (next_word(&sql, &word, &bytes) && used + bytes + 1 < PG_FAULT_NAME_BYTES) {
        if (isdigit((unsigned char)*word))
            continue;
        if (used > 0)
            name[used++] = '_';
        for (size_t i = 0; i < bytes; i++)
            name[used++] = (char)tolower((unsigned char)word[i]);
    }
    name[used] = '\0';
}

static void name_statement(struct pg_faults *faults, const char *sql, char name[PG_FAULT_NAME_BYTES])
{
    if (strcmp(sql, "COMMIT") == 0) {
        snprintf(name, PG_FAULT_NAME_BYTES, "commit_after_%.*s", PG_FAULT_NAME_BYTES - 14, faults->last);
        return;
    }
    if (!name_by_file(sql, name))
        name_by_words(sql, name);
    if (strncmp(name, "begin", 5) != 0)
        snprintf(faults->last, sizeof faults->last, "%s", name);
}

/* The server still has the connection and what it has been told; we hear no more of it. */
static void cut(struct pg *pg)
{
    shutdown(PQsocket(pg->conn), SHUT_RDWR);
}

static bool before(struct pg *pg, const char *name, struct error *err)
{
    switch (failpoint_statement(FAILPOINT_BEFORE, name)) {
    case FAILPOINT_ERROR:
        return error_set(err, "XX000", "failpoint \"sql.before.%s\" says error", name);
    case FAILPOINT_CUT:
        cut(pg);
        return true;
    case FAILPOINT_GO:
        break;
    }
    return true;
}

static bool after(struct pg *pg, const char *name, struct error *err)
{
    if (failpoint_statement(FAILPOINT_AFTER, name) == FAILPOINT_GO)
        return true;
    cut(pg);
    pg->broken = true;
    return error_set(err, "08006", "failpoint \"sql.after.%s\" has cut the connection to %s", name, pg->what);
}

bool pg_fault_before(struct pg *pg, const char *sql, struct error *err)
{
    name_statement(&pg->faults, sql, pg->faults.current);
    return before(pg, pg->faults.current, err);
}

bool pg_fault_after(struct pg *pg, struct error *err)
{
    return after(pg, pg->faults.current, err);
}

bool pg_fault_queued(struct pg *pg, const char *sql, struct error *err)
{
    struct pg_faults *faults = &pg->faults;
    char *name = faults->queue[(faults->first + faults->count) % PG_FAULT_QUEUE];

    name_statement(faults, sql, name);
    if (faults->count < PG_FAULT_QUEUE)
        faults->count++;
    return before(pg, name, err);
}

bool pg_fault_answered(struct pg *pg, struct error *err)
{
    struct pg_faults *faults = &pg->faults;
    const char *name = faults->queue[faults->first];

    if (faults->count == 0)
        return true;
    faults->first = (faults->first + 1) % PG_FAULT_QUEUE;
    faults->count--;
    return after(pg, name, err);
}

void pg_fault_forget(struct pg *pg)
{
    pg->faults.count = 0;
}

#endif
