/* tap.h - the triggers on a migrating tenant's rows in the store that owns them (DESIGN §4.2): they take the
 * tenant's advisory lock (shared), read the tap's state from a sequence, and record every change in
 * pgshunt.captured. SQL: sql/tap_*.sql. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_TAP_H
#define PGSHUNT_MIGRATE_TAP_H

#include "migrate/migration.h"

enum tap_state { TAP_OPEN = 0, TAP_SHUT = 1 };

/* Schema, table captured, state sequence, functions, triggers (one table per transaction, lock_timeout 100
 * ms, back-off, logs who blocks; an ordinary autovacuum worker in the way is cancelled); a tap that stands
 * already is compared and replaced. Then tries INSERT, UPDATE and DELETE through it in a rolled-back
 * transaction. On return every change of the tenant's rows is captured. */
bool tap_install(struct migration *m, struct error *err);
/* Disables, then drops triggers and function, deletes what was captured and the state. Fine if there is none.
 */
bool tap_remove(struct migration *m, struct error *err);
/* The same, but only while it is that migration's: 55000 otherwise, and nothing has changed. */
bool tap_remove_of(struct migration *m, const char *migration, struct error *err);
/* Whose tap stands on the tenant's rows in the source; "": nobody's. */
bool tap_find(struct migration *m, char migration[UUID_TEXT_BYTES], struct error *err);
/* Is it there, complete and enabled (tgenabled 'A')? */
bool tap_is_sound(struct migration *m, bool *sound, struct error *err);

/* The cutover's own session at the source (DESIGN §4.6 step 3, 5). */
struct tap_lock;
bool tap_lock_open(struct migration *m, struct tap_lock **lock, struct error *err); /* connects only */
void tap_lock_close(struct tap_lock *lock); /* lets the lock go by closing; NULL is fine */
int32_t tap_lock_pid(const struct tap_lock *lock);
/* Who holds the tenant's lock (shared) now: pid, age of transaction, query start; for blockers and
 * preconditions. */
struct tap_holder {
    int32_t pid;
    uint64_t age_ms;
    bool prepared; /* a prepared transaction: pid 0 */
    char query[128], user[64], application[64];
};
bool tap_holders(struct pg *pg, const struct migration *m, struct tap_holder *holders, size_t max,
                 size_t *count, struct error *err);
/* One try of the exclusive lock, waiting at most wait_ms, outside any transaction. `got` false: somebody
 * holds it. */
bool tap_lock_try(struct tap_lock *lock, uint64_t wait_ms, bool *got, struct error *err);
/* Reads captured once more (must be empty: 55000 if not) and commits tap_set(epoch, SHUT) with
 * synchronous_commit on. */
bool tap_shut(struct tap_lock *lock, struct error *err);
/* What a rehearsal does in its place: a commit of the same kind that changes nothing but the tap's epoch. */
bool tap_lock_probe(struct tap_lock *lock, struct error *err);
/* Reopens after a cutover that was not switched, by a new epoch (takes the lock if this session lacks it). */
bool tap_open(struct tap_lock *lock, uint64_t epoch, struct error *err);
bool tap_unlock(struct tap_lock *lock, struct error *err);
/* The state as stored. `present` false: no tap. */
bool tap_read(struct pg *pg, const struct migration *m, bool *present, enum tap_state *state, uint64_t *epoch,
              struct error *err);
/* Ends backends of ours that still hold or wait for the exclusive lock (a predecessor's session), by recorded
 * pid. */
bool tap_evict(struct pg *pg, const struct migration *m, struct error *err);

/* What is captured and not yet mirrored: number and age of the oldest. */
bool tap_lag(struct pg *pg, const struct migration *m, int64_t *entries, int64_t *oldest_ms,
             struct error *err);

#endif
