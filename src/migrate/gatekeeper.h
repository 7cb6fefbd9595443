/* gatekeeper.h - one migration's orders to the gates of its tenant, one gate per loop, and their answers.
 * Orders go out as letters and come back into the runner's mailbox, which hands them to gatekeeper_answer().
 * A loop answers in the order it was asked, so that counting is enough to know which order an answer belongs
 * to. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_GATEKEEPER_H
#define PGSHUNT_MIGRATE_GATEKEEPER_H

#include "base/error.h"
#include "route/letters.h"

enum { GATE_OPS = GATE_ASK + 1, GATE_SUMMARY_BLOCKERS = 16 };

struct gatekeeper {
    const struct switchboard *switchboard; /* borrowed */
    struct mailbox *mailbox;               /* the runner's; borrowed */
    uint32_t sent[GATE_OPS][LOOPS_MAX], answered[GATE_OPS][LOOPS_MAX];
    bool refused[GATE_OPS][LOOPS_MAX]; /* the last answer said ok = false */
    struct gate_letter *answers;       /* the latest of every loop: loop_count of them */
};

bool gatekeeper_init(struct gatekeeper *keeper, const struct switchboard *switchboard,
                     struct mailbox *mailbox);
void gatekeeper_done(struct gatekeeper *keeper);

/* To every loop. A loop that is gone (its mailbox is closed) is not waited for. false: no memory; some may
 * have got the order. */
bool gatekeeper_order(struct gatekeeper *keeper, enum gate_op op, const char *tenant, const char *migration,
                      uint64_t owner_epoch, uint64_t hold_ms_max);
void gatekeeper_answer(struct gatekeeper *keeper, struct gate_letter *letter); /* takes the letter */
bool gatekeeper_has_answers(const struct gatekeeper *keeper,
                            enum gate_op op); /* of every loop, to the last order */
bool gatekeeper_all_obeyed(const struct gatekeeper *keeper, enum gate_op op); /* and none refused */

struct gate_summary {
    bool drained;
    uint32_t in_flight, held_now, held_count;
    uint64_t held_ms_longest;
    uint32_t warm_ready, warm_failed;
    const char *warm_error; /* "" if none; valid until the next answer */
    uint32_t blocker_count;
    int32_t blocker_pids[GATE_SUMMARY_BLOCKERS];
    uint64_t blocker_ages_ms[GATE_SUMMARY_BLOCKERS];
};
/* What the loops' latest answers come to together. */
void gatekeeper_sum(const struct gatekeeper *keeper, struct gate_summary *sum);

#endif
