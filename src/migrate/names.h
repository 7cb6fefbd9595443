/* names.h - the tables of [events] whose rows move, split: what the event table and each companion table are
 * called, by what their rows are known, and how a row's tenant is found. Pure; any thread. */
#ifndef PGSHUNT_MIGRATE_NAMES_H
#define PGSHUNT_MIGRATE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"

enum {
    EVENT_COLUMNS_MAX = 8, /* of one list of columns */
    MOVED_TABLES_MAX = 17, /* the event table and its companions */
};

/* The tenant of a companion's row that has no column for it: see relation_append_from(). */
#define NAMES_TENANT_OF_PARENT "pgshunt_tenant"

/* The event table, or one companion. Immutable; owned by control. */
struct event_names {
    char *schema, *table;                         /* "public", "events" */
    char *tenant, *position, *event_id, *version; /* column names; event_id and position may be "" */
    size_t stream_count;
    char *stream[EVENT_COLUMNS_MAX];
    size_t regenerate_count;
    char *regenerate[EVENT_COLUMNS_MAX]; /* columns that the target fills by itself, if it has them */

    /* Of a companion; without streams, version and event id. */
    bool companion;
    size_t key_count; /* 0: the primary key is the key */
    char *key[EVENT_COLUMNS_MAX];
    const struct event_names *parent; /* NULL: it has a tenant column; else a row is the tenant's to whom the
                                         parent's rows with the same values belong */
    size_t parent_count;
    char *parent_own[EVENT_COLUMNS_MAX], *parent_its[EVENT_COLUMNS_MAX];

    /* Of the event table. */
    size_t companion_count;
    struct event_names *companions; /* in the order of companion_tables */
};

bool event_names_new(const struct config *config, struct event_names **names, struct error *err);
void event_names_free(struct event_names *names); /* NULL is fine */

#endif
