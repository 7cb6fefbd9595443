/* gatekeeper.c - see gatekeeper.h. Start at: gatekeeper_order(), gatekeeper_answer(). */
#include "migrate/gatekeeper.h"

#include <stdlib.h>
#include <string.h>

bool gatekeeper_init(struct gatekeeper *keeper, const struct switchboard *switchboard,
                     struct mailbox *mailbox)
{
    memset(keeper, 0, sizeof *keeper);
    keeper->switchboard = switchboard;
    keeper->mailbox = mailbox;
    keeper->answers =
        calloc(switchboard->loop_count == 0 ? 1 : switchboard->loop_count, sizeof *keeper->answers);
    return keeper->answers != NULL;
}

void gatekeeper_done(struct gatekeeper *keeper)
{
    free(keeper->answers);
    keeper->answers = NULL;
}

bool gatekeeper_order(struct gatekeeper *keeper, enum gate_op op, const char *tenant, const char *migration,
                      uint64_t owner_epoch, uint64_t hold_ms_max)
{
    bool fine = true;

    for (unsigned loop = 0; loop < keeper->switchboard->loop_count; loop++) {
        struct gate_letter *letter = gate_letter_new(op, tenant, migration, owner_epoch, keeper->mailbox,
                                                     op == GATE_MAKE ? keeper->mailbox : NULL);

        if (letter == NULL) {
            fine = false;
            continue;
        }
        letter->hold_ms_max = hold_ms_max;
        if (mailbox_post(keeper->switchboard->loops[loop], &letter->letter))
            keeper->sent[op][loop]++;
        else
            letter_drop(&letter->letter);
    }
    return fine;
}

void gatekeeper_answer(struct gatekeeper *keeper, struct gate_letter *letter)
{
    if (letter->loop < keeper->switchboard->loop_count) {
        keeper->answered[letter->op][letter->loop]++;
        keeper->refused[letter->op][letter->loop] = !letter->ok;
        keeper->answers[letter->loop] = *letter;
        keeper->answers[letter->loop].doorbell = NULL; /* not ours to keep; the letter gives it back */
    }
    letter_drop(&letter->letter);
}

bool gatekeeper_has_answers(const struct gatekeeper *keeper, enum gate_op op)
{
    for (unsigned loop = 0; loop < keeper->switchboard->loop_count; loop++) {
        if (keeper->answered[op][loop] != keeper->sent[op][loop])
            return false;
    }
    return true;
}

bool gatekeeper_all_obeyed(const struct gatekeeper *keeper, enum gate_op op)
{
    for (unsigned loop = 0; loop < keeper->switchboard->loop_count; loop++) {
        if (keeper->answered[op][loop] != keeper->sent[op][loop] || keeper->refused[op][loop])
            return false;
    }
    return true;
}

static void add_blockers(const struct gate_letter *answer, struct gate_summary *sum)
{
    for (uint32_t i = 0; i < answer->blocker_count && sum->blocker_count < GATE_SUMMARY_BLOCKERS; i++) {
        sum->blocker_pids[sum->blocker_count] = answer->blocker_pids[i];
        sum->blocker_ages_ms[sum->blocker_count++] = answer->blocker_ages_ms[i];
    }
}

void gatekeeper_sum(const struct gatekeeper *keeper, struct gate_summary *sum)
{
    memset(sum, 0, sizeof *sum);
    sum->drained = true;
    sum->warm_error = "";
    for (unsigned loop = 0; loop < keeper->switchboard->loop_count; loop++) {
        const struct gate_letter *answer = &keeper->answers[loop];

        sum->drained = sum->drained && answer->drained;
        sum->in_flight += answer->in_flight;
        sum->held_now += answer->held_now;
        sum->held_count += answer->held_count;
        if (answer->held_ms_longest > sum->held_ms_longest)
            sum->held_ms_longest = answer->held_ms_longest;
        sum->warm_ready += answer->warm_ready;
        sum->warm_failed += answer->warm_failed;
        if (answer->warm_error[0] != '\0')
            sum->warm_error = answer->warm_error;
        add_blockers(answer, sum);
    }
}
