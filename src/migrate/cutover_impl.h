/* cutover_impl.h - one cutover under way, for its chapters: cutover.c (the runbook), cutover_steps.c (steps 1
 * to 6), cutover_back.c (step 7, and the way back), cutover_report.c (who is in the way, and what it cost).
 * Nobody else includes this. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_CUTOVER_IMPL_H
#define PGSHUNT_MIGRATE_CUTOVER_IMPL_H

#include "base/clock.h"
#include "migrate/cutover.h"
#include "migrate/tap.h"

enum {
    CUTOVER_PUBLISH_MS = 5000,
    CUTOVER_OPEN_MS = 5000, /* loops open a gate as soon as they read the letter */
};

enum cutover_step {
    STEP_CLOSE,
    STEP_OTHERS,
    STEP_LOCK,
    STEP_MIRROR,
    STEP_VERIFY,
    STEP_TARGET,
    STEP_SHUT,
    STEP_SWITCH,
    STEP_RELEASE,
    CUTOVER_STEPS
};

extern const char *const cutover_step_names[CUTOVER_STEPS]; /* "close_gates", … */

struct cutover {
    struct runner *r;
    const struct control_request *request;
    struct tap_lock *lock;
    uint64_t deadline_ms; /* of everything before the tap is shut; 0: no gate was closed yet */
    uint64_t closed_us,
        opened_us; /* the pause: from the first CLOSE of the last try to the last gate's opening */
    uint64_t step_us[CUTOVER_STEPS];
    uint32_t held_count;
    uint64_t held_ms_longest;
    unsigned tries;
    bool others, others_drained; /* other instances are alive; their gates have drained */
    bool rehearsal;              /* nothing is switched: cutover_rehearse.c */
    bool tap_touched;            /* from now on only the routing row decides whose the tenant is */
    char blockers[900];
};

/* cutover_steps.c: each of them false, and the cutover is taken back. */
bool cutover_check(struct cutover *cut, struct error *err);       /* 1 */
bool cutover_pause(struct cutover *cut, struct error *err);       /* 2 */
bool cutover_close_gates(struct cutover *cut, struct error *err); /* 2 */
bool cutover_drain(struct cutover *cut, struct error *err);       /* 3 */
bool cutover_catch_up(struct cutover *cut, struct error *err);    /* 4 */
bool cutover_shut_tap(struct cutover *cut, struct error *err);    /* 5 */
bool cutover_switch(struct cutover *cut, struct error *err);      /* 6 */

/* cutover.c: no other process of this instance has clients, and none will until cutover_end_move(). */
bool cutover_begin_move(struct runner *r, struct error *err);

/* cutover_back.c */
bool cutover_release(struct cutover *cut);                       /* 7; false: pgshunt is being stopped */
bool cutover_open_gates(struct cutover *cut, struct error *err); /* to the source; counts who was held */
void cutover_revert(struct cutover *cut, struct error *why);     /* back in dual_write, or on its way */

/* Back in dual_write; `why` NULL: it came to its end. */
void cutover_end_rehearsal(struct cutover *cut, struct error *why);

/* cutover.c: who has called it off, as its error. */
void cutover_called_off(struct runner *r, struct error *err);

/* cutover_report.c */
double cutover_pause_ms(const struct cutover *cut);
/* cutover_timeout, with pid, age and query of everyone in the way. Always false. */
bool cutover_blocked(struct cutover *cut, const char *what, struct error *err);
void cutover_report(struct cutover *cut, const struct error *why); /* written down; NULL: it went well */
struct rows *cutover_rows(const struct cutover *cut);

static inline bool cutover_is_late(const struct cutover *cut)
{
    return clock_ms() >= cut->deadline_ms;
}

#endif
