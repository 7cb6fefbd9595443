/* copy_team.h - one copy by several workers: each a thread with its own two connections, its own row of
 * pgshunt.copy_cursor and its own part of the positions. The runner's thread is the first of them and speaks
 * for all. Threads, because libpq is used blocking here, as everywhere in migrate: a worker is the same plain
 * code as a copy alone. They share nothing but what stands behind one lock: how much has been copied, the
 * rate, and whether to stop. The migration's tables are borrowed and only read. */
#ifndef PGSHUNT_MIGRATE_COPY_TEAM_H
#define PGSHUNT_MIGRATE_COPY_TEAM_H

#include <pthread.h>

#include "migrate/copier.h"

struct copy_pace { /* the rate of all workers together */
    pthread_mutex_t lock;
    uint64_t until_ms; /* what has been copied was allowed by then */
};

/* `events` more have been copied at `rate` a second (0: no limit): until when to wait. Any thread. */
uint64_t copy_pace_take(struct copy_pace *pace, int64_t events, int64_t rate);
void copy_pace_forget(struct copy_pace *pace); /* the rate is another from now on */

/* Divides parts[0], from `low` to its high, into at most `wanted` parts of equal width; how many. Pure. */
size_t copy_team_divide(int64_t low, size_t wanted, struct cursor *parts);
/* Runs all parts until each is complete, or one of them fails, or the hook says stop. parts[0] is run on the
 * caller's thread and connections. */
bool copy_team_run(struct migration *m, struct cursor *parts, size_t count, const struct copier_hook *hook,
                   bool *complete, struct error *err);

/* copier.c's: one part, from its cursor to its high. `complete` false: the hook said stop. */
bool copier_run_part(struct migration *m, struct cursor *cursor, struct copy_pace *pace,
                     const struct copier_hook *hook, bool *complete, struct error *err);

#endif
