/* survey.h - the stores as control sees them: reachable, who they are, and the columns of the declared
 * tables. One connection per store, looked at in turn; every look is bounded, so that the heartbeat between
 * two of them is never late. Control's thread. */
#ifndef PGSHUNT_MIGRATE_SURVEY_H
#define PGSHUNT_MIGRATE_SURVEY_H

#include "base/config.h"
#include "base/log.h"
#include "migrate/pg.h"
#include "migrate/publisher.h"

struct survey;

struct survey_setup { /* borrowed until survey_free() */
    const struct config *config;
    const struct stores *stores;
    struct publisher *publisher; /* is told what has changed */
    struct log *log;
    struct pg_wake wake;
    uint64_t look_ms_max;
};

struct survey *survey_new(const struct survey_setup *setup); /* NULL: no memory */
void survey_free(struct survey *survey);
void survey_follow(struct survey *survey,
                   const struct config *config); /* another one from now on; borrowed */

/* When a store is due next (clock_ms). */
uint64_t survey_next_ms(const struct survey *survey);
void survey_hurry(struct survey *survey); /* every store is due now: somebody saw a change */
void survey_look(struct survey *survey);  /* at the one that is most overdue */
bool survey_looked_at_all(const struct survey *survey);

/* The store's declared tables as last published; NULL: not known. Borrowed until the next look. */
const struct schema *survey_schema(const struct survey *survey, unsigned store_index);

struct survey_view {
    bool reachable;
    const char *system_identifier, *database_oid, *server_version; /* "" as long as not known */
    const char *error;                                             /* "" while reachable */
};
void survey_view(const struct survey *survey, unsigned store_index, struct survey_view *view);

#endif
