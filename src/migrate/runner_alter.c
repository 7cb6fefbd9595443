/* runner_alter.c - see runner_alter.h. Start at: alter_run(). */
#include "migrate/runner_alter.h"

#include <inttypes.h>
#include <stdio.h>
#include <utlist.h>

#include "migrate/settings.h"

struct change {
    struct buf changes, details; /* {key: value}; {key: {old, new}} */
    struct buf old, new;
    struct rows *rows;
};

static bool take_options(const struct control_request *request, struct migration_settings *settings,
                         struct error *err)
{
    for (size_t i = 0; i < request->option_count; i++) {
        if (!settings_alter(settings, request->options[i].name, request->options[i].value, err))
            return false;
    }
    settings_settle(settings);
    return true;
}

/* A key that settles by another one is among them. */
static bool describe(struct change *change, const struct migration_settings *before,
                     const struct migration_settings *after, struct error *err)
{
    const char *name, *comma = "";
    size_t from = 0;

    change->rows = rows_new();
    if (change->rows == NULL)
        return error_no_memory(err);
    rows_column(change->rows, "setting", ROWS_TEXT);
    rows_column(change->rows, "old", ROWS_TEXT);
    rows_column(change->rows, "new", ROWS_TEXT);
    buf_append_text(&change->changes, "{");
    buf_append_text(&change->details, "{");
    while (settings_next_difference(before, after, &from, &name, &change->old, &change->new)) {
        rows_text(change->rows, name);
        rows_text(change->rows, buf_text(&change->old));
        rows_text(change->rows, buf_text(&change->new));
        buf_append_text(&change->changes, comma);
        json_text(&change->changes, name);
        buf_append_text(&change->changes, ": ");
        json_text(&change->changes, buf_text(&change->new));
        buf_append_text(&change->details, comma);
        json_text(&change->details, name);
        buf_append_text(&change->details, ": {\"old\": ");
        json_text(&change->details, buf_text(&change->old));
        buf_append_text(&change->details, ", \"new\": ");
        json_text(&change->details, buf_text(&change->new));
        buf_append_text(&change->details, "}");
        comma = ", ";
    }
    buf_append_text(&change->changes, "}");
    buf_append_text(&change->details, "}");
    return !(buf_failed(&change->changes) || buf_failed(&change->details) || buf_failed(&change->old) ||
             buf_failed(&change->new)) ||
           error_no_memory(err);
}

static bool write_down(struct runner *r, const char *operator_name, struct change *change,
                       struct error *err)
{
    char epoch[24];
    const char *const values[] = { r->id, epoch, operator_name, buf_text(&change->changes),
                                   buf_text(&change->details) };

    snprintf(epoch, sizeof epoch, "%" PRIu64, r->m.epoch);
    return pg_run(ledger_pg(r->ledger), "SELECT migration_alter($1, $2, $3, $4, $5)", 5, values, err);
}

void alter_run(struct runner *r, struct control_request *request)
{
    struct migration_settings after = r->m.settings;
    struct change change = { 0 };
    struct error err;
    bool fine;

    buf_init(&change.changes);
    buf_init(&change.details);
    buf_init(&change.old);
    buf_init(&change.new);
    fine = take_options(request, &after, &err) && describe(&change, &r->m.settings, &after, &err) &&
           (rows_count(change.rows) == 0 || write_down(r, request->operator_name, &change, &err));
    if (fine)
        r->m.settings = after;
    runner_answer(request, change.rows, fine ? NULL : &err);
    buf_done(&change.changes);
    buf_done(&change.details);
    buf_done(&change.old);
    buf_done(&change.new);
}

void alter_run_waiting(struct runner *r)
{
    struct letter *letter, *next;

    LL_FOREACH_SAFE(r->requests, letter, next) {
        if (((struct control_request *)letter)->verb != CONTROL_ALTER)
            continue;
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        alter_run(r, (struct control_request *)letter);
    }
}
