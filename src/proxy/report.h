/* report.h - parameters as a server reports them (ParameterStatus): what a client has been told, what a
 * server said last. In the order they first came. Pure. */
#ifndef PGSHUNT_PROXY_REPORT_H
#define PGSHUNT_PROXY_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct parameter_pair {
    char *name, *value;
};

/* Those that SET can make alike on another server: role and database settings may differ there. */
enum report_slot {
    REPORT_CLIENT_ENCODING,
    REPORT_DATE_STYLE,
    REPORT_INTERVAL_STYLE,
    REPORT_TIME_ZONE,
    REPORT_APPLICATION_NAME,
    REPORT_STANDARD_CONFORMING_STRINGS,
    REPORT_SLOTS
};

struct report {
    struct parameter_pair *pairs;
    size_t count;
    int slots[REPORT_SLOTS]; /* index in pairs plus one; 0: not reported */
    uint64_t version;        /* rises with every change */
};

void report_done(struct report *report); /* all zero is an empty one, and so is this one afterwards */
/* True if it is news (also if there was no memory to keep it). */
bool report_note(struct report *report, struct slice name, struct slice value);
const char *report_get(const struct report *report, const char *name); /* NULL: never reported */
const char *report_slot(const struct report *report, enum report_slot slot);
const char *report_slot_name(enum report_slot slot);
/* What can be made alike is alike. A parameter that `told` lacks is nobody's concern. */
bool report_is_alike(const struct report *told, const struct report *server);

#endif
