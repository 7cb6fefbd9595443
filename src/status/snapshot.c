/* snapshot.c - see snapshot.h.   Start at: snapshot_ask(). */
#include "status/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migrate/control.h"

void snapshot_done(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->pool_count; i++)
        rows_free(snapshot->pools[i]);
    for (size_t i = 0; i < snapshot->by_store_count; i++)
        rows_free(snapshot->by_store[i]);
    rows_free(snapshot->migrations);
    *snapshot = (struct snapshot){ .tag = snapshot->tag };
}

static void ask_loop(struct snapshot *snapshot, struct mailbox *loop, enum show_what what,
                     struct mailbox *reply_to)
{
    struct show_letter *letter = show_letter_new(what, snapshot->tag, reply_to);

    if (letter == NULL)
        return;
    if (mailbox_post(loop, &letter->letter))
        snapshot->loops++;
    else
        letter_drop(&letter->letter);
}

static void ask_control(struct snapshot *snapshot, const struct switchboard *switchboard,
                        struct mailbox *reply_to)
{
    struct control_request *request = control_request_new(CONTROL_METRICS, reply_to);

    error_set(&snapshot->control_error, "57P01", "control is not there");
    if (request == NULL)
        return;
    request->tag = snapshot->tag;
    snapshot->asked_control = mailbox_post(switchboard->control, &request->letter);
    if (!snapshot->asked_control)
        letter_drop(&request->letter);
    else
        error_set(&snapshot->control_error, "57014", "control does not answer");
}

void snapshot_ask(struct snapshot *snapshot, const struct switchboard *switchboard, struct stats **loop_stats,
                  struct mailbox *reply_to)
{
    snapshot_done(snapshot);
    snapshot->tag++;
    snapshot->begun_ms = clock_ms();
    for (unsigned i = 0; i < switchboard->loop_count; i++) {
        ask_loop(snapshot, switchboard->loops[i], SHOW_POOLS, reply_to);
        ask_loop(snapshot, switchboard->loops[i], SHOW_STATS, reply_to);
        for (int stat = 0; stat < STAT_COUNT; stat++)
            snapshot->totals[stat] += stats_read(loop_stats[i], (enum stats_counter)stat);
    }
    ask_control(snapshot, switchboard, reply_to);
}

bool snapshot_is_complete(const struct snapshot *snapshot)
{
    return snapshot->told == snapshot->loops && (!snapshot->asked_control || snapshot->control_told);
}

void snapshot_take_show(struct snapshot *snapshot, struct show_letter *letter)
{
    if (letter->tag == snapshot->tag && snapshot->told < snapshot->loops) {
        snapshot->told++;
        if (letter->rows != NULL && letter->what == SHOW_POOLS && snapshot->pool_count < LOOPS_MAX) {
            snapshot->pools[snapshot->pool_count++] = letter->rows;
            letter->rows = NULL;
        } else if (letter->rows != NULL && letter->what == SHOW_STATS &&
                   snapshot->by_store_count < LOOPS_MAX) {
            snapshot->by_store[snapshot->by_store_count++] = letter->rows;
            letter->rows = NULL;
        }
    }
    letter_drop(&letter->letter);
}

void snapshot_take_control(struct snapshot *snapshot, struct control_request *request)
{
    if (request->tag == snapshot->tag && !snapshot->control_told) {
        snapshot->control_told = true;
        if (request->ok) {
            snapshot->migrations = request->rows;
            request->rows = NULL;
            error_clear(&snapshot->control_error);
        } else {
            snapshot->control_error = request->err;
        }
    }
    letter_drop(&request->letter);
}

const char *snapshot_value(const struct rows *rows, size_t row, const char *column)
{
    for (size_t i = 0; i < rows_column_count(rows); i++) {
        const char *value = strcmp(rows_column_name(rows, i), column) == 0 ? rows_value(rows, row, i) : NULL;

        if (value != NULL)
            return value;
    }
    return "";
}

double snapshot_number(const struct rows *rows, size_t row, const char *column)
{
    return strtod(snapshot_value(rows, row, column), NULL);
}
