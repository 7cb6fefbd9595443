/* snapshot.c - see snapshot.h.   Start at: snapshot_ask(). */
#include "status/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migrate/control.h"

static void part_done(struct snapshot_part *part)
{
    while (part->count > 0)
        rows_free(part->of_loops[--part->count]);
}

void snapshot_done(struct snapshot *snapshot)
{
    part_done(&snapshot->pools);
    part_done(&snapshot->by_store);
    part_done(&snapshot->spreads);
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
        ask_loop(snapshot, switchboard->loops[i], SHOW_SPREADS, reply_to);
        for (int stat = 0; stat < STAT_COUNT; stat++)
            snapshot->totals[stat] += stats_read(loop_stats[i], (enum stats_counter)stat);
    }
    ask_control(snapshot, switchboard, reply_to);
}

bool snapshot_is_complete(const struct snapshot *snapshot)
{
    return snapshot->told == snapshot->loops && (!snapshot->asked_control || snapshot->control_told);
}

static struct snapshot_part *part_of(struct snapshot *snapshot, enum show_what what)
{
    return what == SHOW_POOLS   ? &snapshot->pools
           : what == SHOW_STATS ? &snapshot->by_store
                                : &snapshot->spreads;
}

void snapshot_take_show(struct snapshot *snapshot, struct show_letter *letter)
{
    struct snapshot_part *part = part_of(snapshot, letter->what);

    if (letter->tag == snapshot->tag && snapshot->told < snapshot->loops) {
        snapshot->told++;
        if (letter->rows != NULL && part->count < LOOPS_MAX) {
            part->of_loops[part->count++] = letter->rows;
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
