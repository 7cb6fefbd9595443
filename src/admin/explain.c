/* explain.c - EXPLAIN ROUTE: the planner and the attribution of the event loops, run without a client.
 * It follows DESIGN §3.2 and §3.3 for one statement outside a transaction; what a loop does with a whole
 * session (branches, pools, held clients) is proxy's. Owns:   nothing between calls. Leaves: reading to sql/,
 * routes to the published table. Thread: the console's.   Start at: explain_route(), then judge(). */
#include "admin/explain.h"

#include <stdio.h>
#include <string.h>

#include "admin/explain_values.h"
#include "admin/show.h"
#include "sql/print.h"

enum { PARAMETERS_BYTES = 120 };

/* What would happen, in words. */
struct verdict {
    const struct store *store; /* NULL: none, or whichever the client used last */
    const struct route *route; /* of a migrating tenant; NULL: nothing moves */
    const char *action;
    char why[512];    /* an error's message fits */
    const char *hint; /* what to do about it; NULL: nothing need be */
};

struct explanation {
    const struct view *view;
    const struct plan *plan;
    const struct plan_statement *statement;
    const struct attribution *found;
    const struct error *err;           /* NULL: attribution had no objection */
    const struct route *moved;         /* as if this one's cutover had been; NULL: as it is */
    char parameters[PARAMETERS_BYTES]; /* "" or those that will say the tenant */
};

static const char *kind_name(enum statement_kind kind)
{
    switch (kind) {
    case STATEMENT_PLAIN:
        return "statement";
    case STATEMENT_EMPTY:
        return "empty";
    case STATEMENT_BEGIN:
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
    case STATEMENT_SAVEPOINT:
    case STATEMENT_RELEASE:
    case STATEMENT_ROLLBACK_TO:
    case STATEMENT_PREPARE_TRANSACTION:
    case STATEMENT_COMMIT_PREPARED:
    case STATEMENT_ROLLBACK_PREPARED:
    case STATEMENT_SET_TRANSACTION:
        return "transaction control";
    case STATEMENT_SET:
    case STATEMENT_SET_LOCAL:
    case STATEMENT_RESET:
    case STATEMENT_RESET_ALL:
    case STATEMENT_DISCARD_ALL:
        return "setting";
    case STATEMENT_PREPARE:
    case STATEMENT_EXECUTE:
    case STATEMENT_DEALLOCATE:
        return "prepared statement";
    case STATEMENT_DECLARE:
    case STATEMENT_FETCH:
        return "cursor";
    case STATEMENT_COPY_IN:
    case STATEMENT_COPY_OUT:
        return "copy";
    case STATEMENT_LISTEN:
    case STATEMENT_UNLISTEN:
        return "listen";
    }
    return "statement";
}

/* --- the verdict --- */

static const char hint_name_it[] =
    "Say the tenant in the statement, in a comment of sqlcommenter's form, or by the tenant setting before "
    "it "
    "(SHOW CONFIG, routing.tenant_setting). A write that is refused can be split by tenant.";
static const char hint_feed[] = "If its reader can do without the rows of tenants that have moved: SHOW "
                                "SHAPES, then ACCEPT SHAPE n. Else "
                                "restrict it to a tenant.";
static const char hint_split[] =
    "Send one statement per store, each in a transaction of its own if it writes.";

static void refuse(struct verdict *verdict, const char *name, const char *why, const char *hint)
{
    verdict->store = NULL;
    verdict->action = "refused: 0A000";
    snprintf(verdict->why, sizeof verdict->why, "%s%s%s", name, name[0] == '\0' ? "" : ": ", why);
    verdict->hint = hint;
}

static size_t away_count(const struct explanation *e)
{
    const struct store *home = stores_default(e->view->stores);
    size_t away = route_table_away_count(e->view->table);

    return e->moved == NULL ? away : away - (e->moved->store != home) + (e->moved->target != home);
}

static void judge_tenantless(const struct explanation *e, struct verdict *verdict)
{
    unsigned tables = e->statement->tables;

    if (e->statement->class == CLASS_NEUTRAL || tables == TABLES_EVERYWHERE) {
        verdict->action = "sent to the store of the client's last statement";
        return;
    }
    verdict->store = stores_default(e->view->stores);
    verdict->action = "sent";
}

/* Its parameters will say. */
static void judge_parameters(const struct explanation *e, struct verdict *verdict)
{
    verdict->action = "sent to the store of the tenant that its parameters say";
    snprintf(verdict->why, sizeof verdict->why, "%s says the tenant, and has no value here", e->parameters);
    verdict->hint = "EXPLAIN ROUTE … WITH VALUES ('…', …) shows where they lead.";
}

/* It names its stream, and no tenant. */
static bool is_for_directory(const struct explanation *e)
{
    return e->plan->parsed && e->found->tenancy == TENANCY_UNKNOWN && e->statement->stream_count > 0 &&
           e->parameters[0] == '\0';
}

static void judge_stream(const struct explanation *e, struct verdict *verdict)
{
    if (away_count(e) == 0) { /* nobody asks then: there is one store only */
        verdict->store = stores_default(e->view->stores);
        return;
    }
    verdict->action = "looked up in the stream directory, then sent to its tenant's store";
    snprintf(verdict->why, sizeof verdict->why, "it names a stream, and not its tenant");
}

/* A COPY whose rows are read. */
static void judge_rows(const struct explanation *e, struct verdict *verdict)
{
    verdict->store = away_count(e) == 0 ? stores_default(e->view->stores) : NULL;
    verdict->action = "sent to the store of its first row's tenant, and stopped at a row of another store";
    snprintf(verdict->why, sizeof verdict->why,
             "each of its rows says its tenant, unless something around it does");
}

static void judge_unknown(const struct explanation *e, struct verdict *verdict)
{
    size_t away = away_count(e);
    const char *why = e->found->why == NULL ? "nothing in the statement names a tenant" : e->found->why;

    verdict->store = stores_default(e->view->stores);
    snprintf(verdict->why, sizeof verdict->why, "%s", why);
    if (e->statement->class != CLASS_WRITE && !e->statement->locks) {
        verdict->action = away == 0 ? "sent" : "sent, without the rows of tenants that live elsewhere";
        verdict->hint = hint_feed;
        return;
    }
    verdict->hint = hint_name_it;
    if (e->moved == NULL && route_table_paused_count(e->view->table) > 0)
        verdict->action = "held while a tenant is in its cutover";
    else if (away > 0 && config_is(e->view->config, CONFIG_UNATTRIBUTED_WRITES, "reject"))
        refuse(verdict, "unattributed_write", why, hint_name_it);
    else
        verdict->action = "sent, counted for every migration under way";
}

/* Where one tenant lives, and whether that agrees with the tenants before it. */
static bool add_home(struct verdict *verdict, const struct store *home)
{
    if (verdict->store != NULL && verdict->store != home)
        return false;
    verdict->store = home;
    return true;
}

static bool find_homes(const struct explanation *e, struct verdict *verdict)
{
    const struct store *home = stores_default(e->view->stores);

    if (e->found->null_tenant && !add_home(verdict, home))
        return false;
    for (size_t i = 0; i < e->found->tenant_count; i++) {
        const struct route *route = route_table_get(e->view->table, e->found->tenants[i]);
        bool moved = route != NULL && route == e->moved;

        if (route != NULL && !moved && route->migration_state != ROUTING_NORMAL &&
            (verdict->route == NULL || verdict->route->migration_state < route->migration_state))
            verdict->route = route;
        if (!add_home(verdict, route == NULL ? home : moved ? route->target : route->store))
            return false;
    }
    if (verdict->store == NULL)
        verdict->store = home;
    return !(e->statement->tables & TABLES_DEFAULT) || verdict->store == home;
}

static void judge_known(const struct explanation *e, struct verdict *verdict)
{
    bool writes = e->statement->class == CLASS_WRITE || e->statement->locks;
    enum routing_state state;

    if (!find_homes(e, verdict)) {
        refuse(verdict, "cross_store_statement",
               e->statement->tables & TABLES_DEFAULT
                   ? "its rows live elsewhere than a table of the default store that it names"
                   : "its rows live in several stores",
               hint_split);
        return;
    }
    state = verdict->route == NULL ? ROUTING_NORMAL : verdict->route->migration_state;
    if (!writes || state == ROUTING_NORMAL)
        verdict->action = "sent";
    else if (state == ROUTING_CUTOVER_PAUSED)
        verdict->action = "held until the cutover has ended";
    else
        verdict->action = "sent, counted in flight, mirrored after its commit";
}

static void judge(const struct explanation *e, struct verdict *verdict)
{
    *verdict = (struct verdict){ .action = "sent" };
    if (e->err != NULL) {
        refuse(verdict, "", e->err->message, hint_name_it);
    } else if (!e->plan->parsed && !e->plan->touches) {
        verdict->store = stores_default(e->view->stores);
        snprintf(verdict->why, sizeof verdict->why,
                 "the grammar does not accept it; the server will say why");
    } else if (!e->plan->parsed) {
        judge_unknown(e, verdict);
        snprintf(
            verdict->why, sizeof verdict->why,
            "%sthe grammar of PostgreSQL %d does not accept it, or it is too long, and it names a declared "
            "table",
            verdict->store == NULL ? "unattributed_write: " : "", PLAN_GRAMMAR_MAJOR);
    } else if (e->found->tenancy == TENANCY_KNOWN) {
        judge_known(e, verdict);
    } else if (e->found->tenancy == TENANCY_UNKNOWN && e->parameters[0] != '\0') {
        judge_parameters(e, verdict);
    } else if (e->found->tenancy == TENANCY_UNKNOWN && e->statement->copy != NULL) {
        judge_rows(e, verdict);
    } else if (is_for_directory(e)) {
        judge_stream(e, verdict);
    } else if (e->found->tenancy == TENANCY_UNKNOWN) {
        judge_unknown(e, verdict);
    } else {
        judge_tenantless(e, verdict);
    }
}

/* Whether a cutover of that tenant could change what happens to the statement. */
static bool concerns(const struct explanation *e, const struct route *route)
{
    if (route->target == NULL || route->migration_state == ROUTING_NORMAL || route->target == route->store)
        return false;
    if (e->found->tenancy == TENANCY_UNKNOWN || !e->plan->parsed)
        return e->plan->parsed || e->plan->touches;
    for (size_t i = 0; e->found->tenancy == TENANCY_KNOWN && i < e->found->tenant_count; i++)
        if (strcmp(e->found->tenants[i], route->tenant) == 0)
            return true;
    return false;
}

/* "dedicated-a: sent", "refused: 0A000 (…)": for the first migration under way that matters to it. */
static void judge_after(const struct explanation *now, char *text, size_t bytes)
{
    struct explanation e = *now;
    struct verdict after;

    text[0] = '\0';
    for (size_t i = 0; i < route_table_count(e.view->table) && text[0] == '\0'; i++) {
        e.moved = route_table_at(e.view->table, i);
        if (!concerns(&e, e.moved))
            continue;
        judge(&e, &after);
        if (e.parameters[0] != '\0' || is_for_directory(&e))
            snprintf(text, bytes, "%s", after.action);
        else if (after.store != NULL)
            snprintf(text, bytes, "%s to \"%s\"", after.action, after.store->name);
        else
            snprintf(text, bytes, "%s (%s)", after.action, after.why);
    }
}

/* --- rows --- */

static void tenants_value(struct rows *rows, const struct attribution *found)
{
    struct buf text;

    buf_init(&text);
    for (size_t i = 0; i < found->tenant_count; i++) {
        if (i > 0)
            buf_append_text(&text, ", ");
        buf_append_text(&text, found->tenants[i]);
    }
    if (found->null_tenant)
        buf_append_text(&text, found->tenant_count > 0 ? ", (none)" : "(none)");
    rows_text(rows, buf_bytes(&text) == 0 ? NULL : buf_text(&text));
    buf_done(&text);
}

static void text_or_null(struct rows *rows, const char *text)
{
    rows_text(rows, text == NULL || text[0] == '\0' ? NULL : text);
}

static void explanation_row(struct rows *rows, size_t number, const struct explanation *e)
{
    bool by_parameter = e->found->tenancy == TENANCY_UNKNOWN && e->parameters[0] != '\0';
    struct verdict verdict;
    char tables[64], after[700];

    judge(e, &verdict);
    judge_after(e, after, sizeof after);
    print_tables(e->statement->tables, tables, sizeof tables);
    rows_number(rows, (int64_t)number);
    rows_text(rows, e->plan->parsed ? kind_name(e->statement->kind) : "not understood");
    rows_text(rows, print_class(e->statement->class));
    text_or_null(rows, tables);
    if (by_parameter)
        rows_text(rows, e->parameters);
    else
        tenants_value(rows, e->found);
    text_or_null(rows, by_parameter                          ? "parameter"
                       : is_for_directory(e)                 ? evidence_name(EVIDENCE_STREAM)
                       : e->found->evidence == EVIDENCE_NONE ? NULL
                                                             : evidence_name(e->found->evidence));
    rows_text(rows, verdict.store == NULL || by_parameter ? NULL : verdict.store->name);
    rows_text(rows, verdict.route == NULL ? routing_state_name(ROUTING_NORMAL)
                                          : routing_state_name(verdict.route->migration_state));
    rows_text(rows, verdict.action);
    text_or_null(rows, verdict.why);
    rows_text(rows,
              verdict.route == NULL || verdict.route->target == NULL ? NULL : verdict.route->target->name);
    text_or_null(rows, after);
    text_or_null(rows, verdict.hint);
}

/* "parameter 5", "parameters 2, 7": those that say the tenant and have no value. */
static void name_parameters(const struct plan_statement *statement, struct slice text,
                            const struct shape *shape, const struct parameters *params,
                            char names[PARAMETERS_BYTES])
{
    size_t used = 0, found = 0;
    char numbers[PARAMETERS_BYTES - 16] = "";

    names[0] = '\0';
    if (statement->rows_unseen || (statement->tenants_partial && statement->named_needed == 0))
        return;
    for (size_t i = 0; i < statement->tenant_count + statement->named_needed && used < sizeof numbers - 1;
         i++) {
        uint32_t slot = i < statement->tenant_count ? statement->tenants[i].slot
                                                    : statement->named[i - statement->tenant_count].slot;
        uint32_t hole = slot < shape->slot_count ? shape->slots[slot].first : 0;

        for (; slot < shape->slot_count && used < sizeof numbers - 1; hole = shape->holes[hole].next) {
            uint32_t number = shape_param(shape, text, hole);

            if (number > 0 && (params == NULL || number > params->count)) {
                used += (size_t)snprintf(numbers + used, sizeof numbers - used, "%s%u",
                                         found == 0 ? "" : ", ", number);
                found++;
            }
            if (shape->holes[hole].next == 0)
                break;
        }
    }
    if (found > 0)
        snprintf(names, PARAMETERS_BYTES, "parameter%s %s", found > 1 ? "s" : "", numbers);
}

static void explain_plan(const struct view *view, struct slice text, const struct plan *plan,
                         const struct shape *shape, const struct parameters *params, struct rows *rows)
{
    struct surroundings nothing_around = {
        .transaction_tenant = "",
        .setting_tenant = "",
        .user_tenant = "",
        .strict = route_table_away_count(view->table) > 0 || route_table_paused_count(view->table) > 0,
    };
    const char *key = attribute_comment_key(config_text(view->config, CONFIG_TENANT_SETTING));
    char comment[TENANT_BYTES_MAX];
    struct attribution found;

    for (size_t i = 0; i < plan->statement_count; i++) {
        struct explanation e = {
            .view = view, .plan = plan, .statement = &plan->statements[i], .found = &found
        };
        struct error err;

        error_clear(&err);
        nothing_around.comment_unknown =
            attribute_read_comment(shape, text, i, key, comment) == COMMENT_UNKNOWN;
        nothing_around.comment_tenant = comment;
        attribution_init(&found);
        if (!attribute(e.statement, text, shape, params, &nothing_around, &found, &err))
            e.err = &err;
        name_parameters(e.statement, text, shape, params, e.parameters);
        explanation_row(rows, i + 1, &e);
        attribution_done(&found);
    }
}

bool explain_route(const struct view *view, const struct command *command, const struct parameters *params,
                   struct rows **rows, struct error *err)
{
    struct slice text = slice_of(command->slots[SLOT_REST]);
    struct plan_context context = { .standard_conforming_strings = true, .encoding_safe = true };
    struct explain_values values;
    struct plan *plan = NULL;
    struct shape shape;
    bool planned;

    if (!show_is_ready(view, err))
        return false;
    context.schema = view->catalogue->schemas[view->stores->default_index];
    if (context.schema == NULL || !context.schema->known) {
        error_set(err, "57P03", "the columns of store \"%s\" are not known yet",
                  stores_default(view->stores)->name);
        return error_hint(err,
                          "The log says why the store cannot be read; SHOW STORES says whether it answers.");
    }
    if (!explain_values_read(&text, &values, err)) {
        explain_values_done(&values);
        return false;
    }
    if (values.params.count > 0)
        params = &values.params;
    shape_init(&shape);
    planned = planner_plan(view->planner, text, &context, &shape, &plan);
    *rows = planned ? show_rows_new(command->info) : NULL;
    if (*rows != NULL)
        explain_plan(view, text, plan, &shape, params, *rows);
    plan_give(plan);
    shape_done(&shape);
    explain_values_done(&values);
    if (*rows != NULL && !rows_failed(*rows))
        return true;
    rows_free(*rows);
    *rows = NULL;
    return error_no_memory(err);
}
