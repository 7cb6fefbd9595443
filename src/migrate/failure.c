/* failure.c - see failure.h.   Start at: classes[]. */
#include "migrate/failure.h"

#include <string.h>

static const char resume[] = "Correct it, then RESUME MIGRATION; ABORT MIGRATION gives it up.";
static const char rejected[] =
    "The source has this row, and the target's constraint rejects it: make the constraint as "
    "the source's, or correct the row in the source, then RESUME MIGRATION.";
static const char in_the_way[] =
    "A row in the target that is not the migration's is in the way: move it, then RESUME "
    "MIGRATION.";
static const char alike[] = "The target's table must be as the source's: correct it, then RESUME MIGRATION.";
static const char itself[] = "It is tried again by itself.";

static const struct failure_class classes[] = {
    /* The server is not there, or has no room: it comes back, or somebody makes room. */
    { "08", "warning", FAILURE_TRANSIENT, itself },
    { "53", "error", FAILURE_TRANSIENT, itself },
    { "53100", "error", FAILURE_TRANSIENT,
      "The disk is full: make room there. It is tried again by itself." },
    { "53200", "error", FAILURE_TRANSIENT, itself },
    { "53300", "warning", FAILURE_TRANSIENT, "No connection is free there: it is tried again by itself." },
    { "57P0", "warning", FAILURE_TRANSIENT, itself },
    { "57P04", "error", FAILURE_RECOVERABLE, resume }, /* the database was dropped */
    { "58030", "error", FAILURE_TRANSIENT, "The server cannot read or write its files: look at its log." },
    { "25006", "error", FAILURE_TRANSIENT,
      "The server is read-only: a standby, or default_transaction_read_only. It is tried again by itself." },
    /* Somebody was in the way. */
    { "40001", "info", FAILURE_TRANSIENT, NULL },
    { "40P01", "info", FAILURE_TRANSIENT, NULL },
    { "55P03", "warning", FAILURE_TRANSIENT, NULL },
    { "57014", "info", FAILURE_TRANSIENT, NULL },
    { "XX000", "warning", FAILURE_TRANSIENT, NULL },
    /* Something must be corrected. */
    { "22", "error", FAILURE_RECOVERABLE, alike },
    { "23", "error", FAILURE_RECOVERABLE, rejected },
    { "23505", "error", FAILURE_RECOVERABLE, in_the_way },
    { "23P01", "error", FAILURE_RECOVERABLE, in_the_way },
    { "28", "error", FAILURE_RECOVERABLE,
      "Correct the login of [stores] or the server's rules, then RESUME MIGRATION." },
    { "3D000", "error", FAILURE_RECOVERABLE, resume },
    { "42501", "error", FAILURE_RECOVERABLE,
      "sql/roles.sql grants what pgshunt's role needs; then RESUME MIGRATION." },
    { "42703", "error", FAILURE_RECOVERABLE, alike },
    { "42804", "error", FAILURE_RECOVERABLE, alike },
    { "42P01", "error", FAILURE_RECOVERABLE, alike },
    { "428C9", "error", FAILURE_RECOVERABLE, alike },
    { "44000", "error", FAILURE_RECOVERABLE, rejected },
    { "55000", "error", FAILURE_RECOVERABLE, NULL },
    { "P0001", "error", FAILURE_RECOVERABLE, resume }, /* a trigger of the target that is ENABLE ALWAYS */
    /* Nothing to be done with this migration. */
    { "XX001", "critical", FAILURE_FATAL, NULL },
    { "XX002", "critical", FAILURE_FATAL, NULL },
    { "", "critical", FAILURE_FATAL, NULL },
};

const struct failure_class *failure_classify(const struct error *err)
{
    const struct failure_class *found = NULL;
    size_t found_bytes = 0;

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t bytes = strlen(classes[i].sqlstate);

        if (strncmp(err->sqlstate, classes[i].sqlstate, bytes) == 0 &&
            (found == NULL || bytes > found_bytes)) {
            found = &classes[i];
            found_bytes = bytes;
        }
    }
    return found;
}

const char *failure_kind_name(enum failure_kind kind)
{
    static const char *const names[] = {
        [FAILURE_TRANSIENT] = "transient", [FAILURE_RECOVERABLE] = "recoverable", [FAILURE_FATAL] = "fatal"
    };

    return names[kind];
}

bool failure_is_transient(const struct error *err)
{
    return failure_classify(err)->kind == FAILURE_TRANSIENT;
}

void failure_explain(struct error *err)
{
    const char *hint = failure_classify(err)->hint;

    if (err->hint[0] == '\0' && hint != NULL)
        error_hint(err, "%s", hint);
}
