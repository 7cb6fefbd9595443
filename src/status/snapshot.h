/* snapshot.h - what the loops and control say at one moment: asked by letter, answered within SNAPSHOT_MS or
 * left out. The thread of the status pages. */
#ifndef PGSHUNT_STATUS_SNAPSHOT_H
#define PGSHUNT_STATUS_SNAPSHOT_H

#include "base/error.h"
#include "base/rows.h"
#include "base/stats.h"
#include "route/letters.h"

enum { SNAPSHOT_MS = 2000 };

struct control_request;

struct snapshot {
    uint64_t tag;         /* of this one's letters */
    uint64_t begun_ms;    /* clock_ms() */
    unsigned loops, told; /* letters to loops: asked, answered */
    bool asked_control, control_told;
    /* As one loop each tells them; owned. */
    struct snapshot_part {
        size_t count;
        struct rows *of_loops[LOOPS_MAX];
    } pools, by_store, spreads;
    struct rows *migrations; /* sql/metrics_migrations.sql; owned. NULL: control_error says why */
    struct error control_error;
    uint64_t totals[STAT_COUNT];
};

/* Posts the questions; whatever was there before is dropped. */
void snapshot_ask(struct snapshot *snapshot, const struct switchboard *switchboard, struct stats **loop_stats,
                  struct mailbox *reply_to);
bool snapshot_is_complete(const struct snapshot *snapshot);
/* Take the letter, whosever question it answers. */
void snapshot_take_show(struct snapshot *snapshot, struct show_letter *letter);
void snapshot_take_control(struct snapshot *snapshot, struct control_request *request);
void snapshot_done(struct snapshot *snapshot);

/* A value by the name of its column; "" for NULL and where there is none. */
const char *snapshot_value(const struct rows *rows, size_t row, const char *column);
double snapshot_number(const struct rows *rows, size_t row, const char *column);

#endif
