/* runner_post.c - the runner and everybody else: letters that come, orders to gates, routes to publish, the
 * log. Part of the runner (runner.h); its thread. */
#include "migrate/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migrate/others.h"
#include "migrate/runner_orders.h"

/* --- letters --- */

void runner_answer(struct control_request *request, struct rows *rows, const struct error *err)
{
    if (request == NULL) {
        rows_free(rows);
        return;
    }
    request->ok = err == NULL;
    if (err != NULL)
        request->err = *err;
    else if (rows != NULL && rows_failed(rows))
        request->ok = error_no_memory(&request->err);
    if (request->ok)
        request->rows = rows;
    else
        rows_free(rows);
    letter_reply(&request->letter);
}

static void note_ring(struct runner *r, int32_t pid)
{
    r->rung = true;
    for (size_t i = 0; i < r->rung_count; i++) {
        if (r->rung_pids[i] == pid)
            return;
    }
    if (r->rung_count < RUNG_MAX)
        r->rung_pids[r->rung_count++] = pid; /* a pid that finds no room rings again with its next commit */
}

static void take_news(struct runner *r, struct runner_letter *letter)
{
    switch (letter->news) {
    case RUNNER_PUBLISH:
        r->publishing = false;
        break;
    case RUNNER_SLOT:
        r->slot = true;
        break;
    case RUNNER_LOOK:
        r->look = r->recalled = r->interrupted = true;
        break;
    case RUNNER_REST:
    case RUNNER_SWITCHED:
    case RUNNER_ENDED:
        break;
    }
    letter_drop(&letter->letter);
}

bool runner_letters(void *who)
{
    struct runner *r = who;
    struct letter *letter;

    while ((letter = mailbox_next(r->mailbox)) != NULL) {
        switch (letter->kind) {
        case LETTER_GATE:
            gatekeeper_answer(&r->gates, (struct gate_letter *)letter);
            break;
        case LETTER_DOORBELL:
            note_ring(r, ((struct doorbell_letter *)letter)->backend_pid);
            letter_drop(letter);
            break;
        case LETTER_CONTROL:
            orders_take(r, (struct control_request *)letter);
            break;
        case LETTER_RUNNER:
            take_news(r, (struct runner_letter *)letter);
            break;
        case LETTER_STOP:
            r->stopping = r->interrupted = true;
            letter_drop(letter);
            break;
        default:
            letter_drop(letter);
        }
    }
    return runner_is_called_off(r);
}

bool runner_await(struct runner *r, bool (*there)(struct runner *r), uint64_t until_ms, const char *what,
                  struct error *err)
{
    runner_letters(r);
    while (!there(r)) {
        uint64_t now_ms = clock_ms(), left_ms = 1000;

        /* Not even a cutover waits for loops that are being stopped: its row tells the next owner how far it
         * came. */
        if (r->stopping || runner_is_called_off(r))
            return error_set(err, "57014", "interrupted while waiting for %s", what);
        if (until_ms != 0 && now_ms >= until_ms)
            return error_set(err, "57014", "%s took too long", what);
        if (until_ms != 0 && until_ms - now_ms < left_ms)
            left_ms = until_ms - now_ms;
        pg_nap(&r->m.wake, left_ms);
    }
    return true;
}

static void runner_letter_drop(struct letter *letter)
{
    free(letter);
}

bool runner_tell_control(struct runner *r, enum runner_news news, const struct route *route,
                         struct error *err)
{
    struct runner_letter *letter = calloc(1, sizeof *letter);

    if (letter == NULL)
        return error_no_memory(err);
    letter->letter.kind = LETTER_RUNNER;
    letter->letter.drop = runner_letter_drop;
    letter->letter.reply_to = news == RUNNER_ENDED || news == RUNNER_SWITCHED || news == RUNNER_REST
                                  ? NULL
                                  : mailbox_take(r->mailbox);
    letter->news = news;
    letter->resumes = r->state == MIGRATION_PAUSED;
    memcpy(letter->migration, r->id, sizeof letter->migration);
    if (route != NULL)
        letter->route = *route;
    letter_send(r->setup->switchboard->control, &letter->letter);
    return true;
}

/* --- log --- */

void runner_log(struct runner *r, enum log_level level, const char *event, const char *operation,
                uint64_t duration_ms, int64_t events, const struct error *err)
{
    char duration[24], count[24];
    struct log_field fields[8] = {
        { "migration_id", r->id },  { "tenant_id", r->m.tenant }, { "phase", migration_state_name(r->state) },
        { "operation", operation }, { "duration_ms", duration },  { "events_count", count }
    };
    unsigned used = 6;

    snprintf(duration, sizeof duration, "%" PRIu64, duration_ms);
    snprintf(count, sizeof count, "%" PRId64, events);
    if (err != NULL) {
        fields[used++] = (struct log_field){ "error", err->message };
        if (err->detail[0] != '\0')
            fields[used++] = (struct log_field){ "detail", err->detail };
    }
    log_event(r->setup->log, level, "runner", event, fields, used);
}

/* --- gates, routes, states --- */

static bool op_answered(struct runner *r, enum gate_op op)
{
    return gatekeeper_has_answers(&r->gates, op);
}

static bool made(struct runner *r)
{
    return op_answered(r, GATE_MAKE);
}

static bool closed(struct runner *r)
{
    return op_answered(r, GATE_CLOSE);
}

static bool opened(struct runner *r)
{
    return op_answered(r, GATE_OPEN);
}

static bool dropped(struct runner *r)
{
    return op_answered(r, GATE_DROP);
}

static bool asked(struct runner *r)
{
    return op_answered(r, GATE_ASK);
}

bool runner_order_gates(struct runner *r, enum gate_op op, uint64_t until_ms, struct error *err)
{
    static const struct {
        bool (*answered)(struct runner *r);
        const char *what;
    } ops[] = { [GATE_MAKE] = { made, "making the gates" },
                [GATE_CLOSE] = { closed, "the tenant's transactions in flight" },
                [GATE_OPEN] = { opened, "opening the gates" },
                [GATE_DROP] = { dropped, "dropping the gates" },
                [GATE_ASK] = { asked, "asking the gates" } };

    if (!gatekeeper_order(&r->gates, op, r->m.tenant, r->id, r->m.epoch,
                          (uint64_t)r->m.settings.write_hold_timeout_ms))
        return error_no_memory(err);
    return runner_await(r, ops[op].answered, until_ms, ops[op].what, err);
}

static bool published(struct runner *r)
{
    return !r->publishing;
}

bool runner_publish_here(struct runner *r, uint64_t until_ms, struct error *err)
{
    struct route route;

    if (r->routed.generation == 0)
        return true; /* no routing row: nothing has ever been said about this tenant */
    memset(&route, 0, sizeof route);
    memcpy(route.tenant, r->m.tenant, sizeof route.tenant);
    route.store = r->state == MIGRATION_MIGRATED ? r->m.target : r->m.source;
    route.generation = r->routed.generation;
    route.migration_state = r->abort_written                                ? ROUTING_NORMAL
                            : r->announced && r->state == MIGRATION_PENDING ? ROUTING_BULK_COPY
                                                                            : migration_routing(r->state);
    if (route.migration_state != ROUTING_NORMAL) {
        route.target = r->m.target;
        memcpy(route.migration, r->id, sizeof route.migration);
        route.owner_epoch = r->m.epoch;
    }
    r->publishing = true;
    return runner_tell_control(r, RUNNER_PUBLISH, &route, err) &&
           runner_await(r, published, until_ms, "every loop to apply the new route", err);
}

/* Other instances say in the control database that they have applied it. */
bool runner_publish(struct runner *r, uint64_t until_ms, struct error *err)
{
    return runner_publish_here(r, until_ms, err) &&
           (!r->routed.others || r->routed.generation == 0 || others_await(r, false, until_ms, err));
}
