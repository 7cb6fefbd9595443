/* control_requests.c - what the console asks of control: to a runner, to answers.c, or refused.
 * Thread: control's (control_request_new(): any).   Start at: control_answer_one(). */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "migrate/answers.h"
#include "migrate/control_impl.h"
#include "migrate/translate.h"

/* --- requests --- */

static void request_drop(struct letter *letter)
{
    struct control_request *request = (struct control_request *)letter;

    free(request->tenant);
    free(request->from);
    free(request->to);
    free(request->id);
    free(request->reason);
    free(request->filter);
    for (size_t i = 0; i < request->option_count; i++) {
        free(request->options[i].name);
        free(request->options[i].value);
    }
    rows_free(request->rows);
    free(request);
}

struct control_request *control_request_new(enum control_verb verb, struct mailbox *reply_to)
{
    struct control_request *request = calloc(1, sizeof *request);

    if (request == NULL)
        return NULL;
    request->letter.kind = LETTER_CONTROL;
    request->letter.drop = request_drop;
    request->letter.reply_to = reply_to == NULL ? NULL : mailbox_take(reply_to);
    request->verb = verb;
    return request;
}
/* To the migration's runner, or what is to be said without one. Takes the request. */
static void pass_to_runner(struct control *c, struct control_request *request,
                           const struct found_migration *found)
{
    struct running *running;
    struct error err;

    control_join_ended(c); /* one that has just ended is not in the way of the next */
    running = control_find_running(c, found->id);
    if (running != NULL && !running->ended && (!running->switched || request->verb == CONTROL_VERIFY) &&
        mailbox_post(runner_mailbox(running->runner), &request->letter))
        return;
    if (request->verb == CONTROL_ABORT && found->state == MIGRATION_FAILED && running == NULL) {
        control_start_runner(c, found->id, request);
        return;
    }
    if (request->verb == CONTROL_VERIFY && found->state == MIGRATION_MIGRATED) {
        if (running == NULL)
            control_start_runner(c, found->id, request);
        else
            LL_APPEND(c->requests, &request->letter); /* it has just ended: when it is joined */
        return;
    }
    if (request->verb == CONTROL_CANCEL) {
        letter_drop(&request->letter);
        return;
    }
    error_set(&err, "55000", "migration %s is in state %s", found->id, migration_state_name(found->state));
    if (migration_is_active(found->state)) {
        error_detail(&err, "Its runner has not started yet, or another instance carries it.");
        error_hint(&err, "SHOW MIGRATION '%s' names its owner; try again there.", found->id);
    } else {
        error_detail(&err, "invalid_state_transition: %s",
                     request->verb == CONTROL_ABORT ? "only an active or failed migration can be aborted"
                                                    : "this is for a migration that is under way");
        error_hint(&err, "SHOW MIGRATION '%s' tells how it ended.", found->id);
    }
    runner_answer(request, NULL, &err);
}

static bool show(struct control *c, struct control_request *request, const struct found_migration *found,
                 struct rows **rows, struct error *err)
{
    switch (request->verb) {
    case CONTROL_SHOW_STORES:
        return answers_stores(c->setup.stores, c->survey, c->publisher, rows, err);
    case CONTROL_SHOW_TENANTS:
        return answers_tenants(c->publisher, rows, err);
    case CONTROL_SHOW_MIGRATIONS:
        return answers_migrations(c->ledger, request, rows, err);
    case CONTROL_SHOW_MIGRATION:
        return answers_migration(c->ledger, found->id, rows, err);
    case CONTROL_SHOW_FAILURES:
        return answers_failures(c->ledger, found->id, rows, err);
    case CONTROL_EMERGENCY_STOP:
        return control_stop_all(c, request, rows, err);
    case CONTROL_SHOW_AUDIT:
        return answers_audit(c->ledger, found->id, rows, err);
    case CONTROL_TRANSLATE:
        return translate_position(c->ledger, found->id, request, rows, err);
    case CONTROL_SHOW_REPORT:
        return answers_report(c->ledger, found->id, false, rows, err);
    case CONTROL_SHOW_REPORT_JSON:
        return answers_report(c->ledger, found->id, true, rows, err);
    case CONTROL_CHECK_COVERAGE:
        return control_coverage(c, request, rows, err);
    case CONTROL_SHOW_SHAPES:
        return answers_shapes(c->ledger, rows, err);
    case CONTROL_ACCEPT_SHAPE:
    case CONTROL_WITHDRAW_SHAPE:
        return answers_decide(c->ledger, request, rows, err);
    case CONTROL_SHOW_INSTANCES:
        return answers_instances(c->ledger, rows, err);
    case CONTROL_METRICS:
        return answers_metrics(c->ledger, rows, err);
    default:
        return error_set(err, "0A000", "control does not know this request");
    }
}

static bool names_a_migration(enum control_verb verb)
{
    return verb == CONTROL_SHOW_MIGRATION || verb == CONTROL_SHOW_LAG || verb == CONTROL_SHOW_AUDIT ||
           verb == CONTROL_SHOW_FAILURES || verb == CONTROL_ALTER ||
           verb == CONTROL_CUTOVER || verb == CONTROL_REHEARSE || verb == CONTROL_CHECK_CUTOVER ||
           verb == CONTROL_ABORT || verb == CONTROL_PAUSE || verb == CONTROL_RESUME || verb == CONTROL_FIND ||
           verb == CONTROL_CHECK_MOVED || verb == CONTROL_VERIFY || verb == CONTROL_REPAIR ||
           verb == CONTROL_RESYNC || verb == CONTROL_CANCEL || verb == CONTROL_SHOW_REPORT ||
           verb == CONTROL_SHOW_REPORT_JSON || verb == CONTROL_TRANSLATE;
}

static bool is_for_runner(enum control_verb verb)
{
    return verb == CONTROL_SHOW_LAG || verb == CONTROL_CUTOVER || verb == CONTROL_REHEARSE ||
           verb == CONTROL_CHECK_CUTOVER || verb == CONTROL_ABORT || verb == CONTROL_PAUSE ||
           verb == CONTROL_RESUME || verb == CONTROL_ALTER || verb == CONTROL_VERIFY || verb == CONTROL_REPAIR ||
           verb == CONTROL_RESYNC || verb == CONTROL_CANCEL;
}

static bool needs_ledger(enum control_verb verb)
{
    return verb != CONTROL_SHOW_STORES && verb != CONTROL_SHOW_TENANTS;
}

/* A thread of its own; an errand about a migration gets its whole id. Takes the request. */
static void run_errand(struct control *c, struct control_request *request,
                       const struct found_migration *found)
{
    char id[UUID_TEXT_BYTES];
    struct error err;

    if (found->id[0] != '\0') {
        free(request->id);
        request->id = strdup(found->id);
        if (request->id == NULL) {
            error_no_memory(&err);
            runner_answer(request, NULL, &err);
            return;
        }
    }
    uuid_make_text(id);
    control_start_runner(c, id, request);
}

/* With the rows that it has already. */
static void control_answer_rows(struct control_request *request, const struct error *err)
{
    struct rows *rows = request->rows;

    request->rows = NULL;
    runner_answer(request, rows, err);
}

static void answer(struct control *c, struct control_request *request)
{
    struct found_migration found = { "", MIGRATION_PENDING };
    struct rows *rows = NULL;
    struct error err;
    bool fine = true;

    if (c->setup.follows) {
        error_set(&err, "55006", "another process is taking over from this one");
        error_hint(&err, "Connect again: it answers as soon as it serves.");
        runner_answer(request, NULL, &err);
        return;
    }
    if (c->ledger != NULL)
        pg_set_deadline(ledger_pg(c->ledger), clock_ms() + control_statement_ms_max(c));
    if (needs_ledger(request->verb) && c->ledger == NULL) {
        error_set(&err, "08001", "the control database cannot be reached");
        error_hint(&err, "pgshunt keeps trying; its log says why.");
        runner_answer(request, NULL, &err);
        return;
    }
    if (control_ask_loops(c, request))
        return;
    if (request->asked && !control_write_shapes(c, &err) && request->verb != CONTROL_START) {
        runner_answer(request, NULL, &err);
        return;
    }
    if (request->verb == CONTROL_RESUME_WRITES) {
        bool there;

        fine = control_find_active(c, request, &found, &there, &err);
        if (fine && there)
            pass_to_runner(c, request, &found);
        else
            control_answer_rows(request, fine ? NULL : &err);
        return;
    }
    if (names_a_migration(request->verb))
        fine =
            answers_find(c->ledger, request->id, &found, request->verb == CONTROL_FIND ? &rows : NULL, &err);
    if (fine && (request->verb == CONTROL_START || errand_is(request->verb))) {
        if (request->verb == CONTROL_START)
            control_coverage(c, request, NULL, &err); /* a warning, and no more than that */
        run_errand(c, request, &found);
        return;
    }
    if (fine && is_for_runner(request->verb)) {
        pass_to_runner(c, request, &found);
        return;
    }
    if (fine && request->verb != CONTROL_FIND)
        fine = show(c, request, &found, &rows, &err);
    runner_answer(request, rows, fine ? NULL : &err);
}

void control_answer_one(struct control *c)
{
    struct letter *letter = c->requests;

    if (letter == NULL)
        return;
    LL_DELETE(c->requests, letter);
    letter->next = NULL;
    answer(c, (struct control_request *)letter);
}
