/* startup.h - the packets before the first typed message: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage
 * (PostgreSQL documentation, "Message Formats"; src/include/libpq/pqcomm.h for the codes). */
#ifndef PGSHUNT_WIRE_STARTUP_H
#define PGSHUNT_WIRE_STARTUP_H

#include "base/slice.h"
#include "wire/msg.h"

enum startup_kind { STARTUP_SESSION, STARTUP_SSL, STARTUP_GSSENC, STARTUP_CANCEL };

enum {
    STARTUP_CODE_CANCEL = 1234 << 16 | 5678,
    STARTUP_CODE_SSL = 1234 << 16 | 5679,
    STARTUP_CODE_GSSENC = 1234 << 16 | 5680,
};

enum { STARTUP_MINOR_MAX = 2 }; /* the newest 3.x we speak: 3.2, of PostgreSQL 18 */
enum { STARTUP_PARAMETERS_MAX = 128, STARTUP_OPTIONS_MAX = 32 };

struct startup {
    enum startup_kind kind;
    size_t total_bytes;             /* to consume */
    uint16_t major, minor;          /* as asked for */
    uint32_t cancel_pid;
    struct slice cancel_key;        /* 4 to 256 bytes */
    size_t parameter_count;         /* without the _pq_. ones */
    struct {
        struct slice name, value;
    } parameters[STARTUP_PARAMETERS_MAX]; /* views into the buf */
    size_t option_count;            /* names that begin with "_pq_." */
    struct slice options[STARTUP_OPTIONS_MAX];
};

/* BAD: a length out of bounds (08P01), a major version other than 3 (0A000, as PostgreSQL words it), a packet whose
 * strings do not add up (08P01), no user (28000). total_bytes is 0 then where PostgreSQL closes without a word. */
enum wire_result startup_next(const struct buf *in, struct startup *startup, struct error *err);
/* The last one of that name, as PostgreSQL has it; .at NULL: absent. */
struct slice startup_get(const struct startup *startup, const char *name);

/* Walks libpq `options` ("-c name=value --name=value", backslash escapes; pg_split_opts of PostgreSQL). `at` begins
 * at 0. Writes name and unescaped value to the bufs (cleared first), a '-' in a name as '_'. false: no more (`at` is
 * then options.bytes), or not understood: another switch than these, or no memory (`at` is where it stands). */
bool startup_options_next(struct slice options, size_t *at, struct buf *name, struct buf *value);

/* What a setting (its name in any case) begins with, as PostgreSQL takes it: a parameter of its own, else the last word of
 * `options`. UNKNOWN: `options` has something that is not understood, or there is no memory. */
enum startup_value { STARTUP_ABSENT, STARTUP_FOUND, STARTUP_UNKNOWN };
enum startup_value startup_setting(const struct startup *startup, const char *name, struct buf *value);

#endif
