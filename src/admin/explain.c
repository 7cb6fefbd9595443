/* explain.c - EXPLAIN ROUTE: the planner and the attribution of the event loops, run without a client.
 * It follows DESIGN §3.2 and §3.3 for one statement outside a transaction; what a loop does with a whole
 * session (branches, pools, held clients) is proxy's. Owns:   nothing between calls. Leaves: reading to sql/,
 * routes to the published table. Thread: the console's.   Start at: explain_route(), then judge(). */
#include "admin/explain.h"

#include <stdio.h>
#include <string.h>

#include "admin/show.h"

/* What would happen now, in words. */
struct verdict {
    const struct store *store; /* NULL: none, or whichever the client used last */
    const struct route *route; /* of a migrating tenant; NULL: nothing moves */
    const char *action;
    char why[512]; /* an error's message fits */
};

struct explanation {
    const struct view *view;
    const struct plan *plan;
    const struct plan_statement *statement;
    const struct attribution *found;
    const struct error *err; /* NULL: attribution had no objection */
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

static const char *class_name(enum statement_class class)
{
    switch (class) {
    case CLASS_NEUTRAL:
        return "neutral";
    case CLASS_READ:
        return "read";
    case CLASS_WRITE:
        return "write";
    }
    return "unknown";
}

static void table_names(unsigned tables, char *text, size_t bytes)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        { TABLES_EVENT, "event" },
        { TABLES_COMPANION, "companion" },
        { TABLES_EVERYWHERE, "everywhere" },
        { TABLES_DEFAULT, "default" },
    };
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (tables & names[i].bit)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used == 0 ? "" : ", ", names[i].name);
}

/* --- the verdict --- */

static void refuse(struct verdict *verdict, const char *why)
{
    verdict->store = NULL;
    verdict->action = "refused: 0A000";
    snprintf(verdict->why, sizeof verdict->why, "%s", why);
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

static void judge_unknown(const struct explanation *e, struct verdict *verdict)
{
    size_t away = route_table_away_count(e->view->table);
    const char *why = e->found->why == NULL ? "nothing in the statement names a tenant" : e->found->why;

    verdict->store = stores_default(e->view->stores);
    snprintf(verdict->why, sizeof verdict->why, "%s", why);
    if (e->statement->class != CLASS_WRITE) {
        verdict->action = away == 0 ? "sent" : "sent, without the rows of tenants that live elsewhere";
        return;
    }
    if (route_table_paused_count(e->view->table) > 0) {
        verdict->action = "held while a tenant is in its cutover";
        return;
    }
    if (away > 0 && config_is(e->view->config, CONFIG_UNATTRIBUTED_WRITES, "reject")) {
        refuse(verdict, why);
        return;
    }
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

        if (!add_home(verdict, route == NULL ? home : route->store))
            return false;
        if (route != NULL && route->migration_state != ROUTING_NORMAL &&
            (verdict->route == NULL || verdict->route->migration_state < route->migration_state))
            verdict->route = route;
    }
    if (verdict->store == NULL)
        verdict->store = home;
    return !(e->statement->tables & TABLES_DEFAULT) || verdict->store == home;
}

static void judge_known(const struct explanation *e, struct verdict *verdict)
{
    enum routing_state state;

    if (!find_homes(e, verdict)) {
        refuse(verdict, "its rows live in several stores");
        return;
    }
    state = verdict->route == NULL ? ROUTING_NORMAL : verdict->route->migration_state;
    if (e->statement->class != CLASS_WRITE || state == ROUTING_NORMAL)
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
        refuse(verdict, e->err->message);
    } else if (!e->plan->parsed && !e->plan->touches) {
        verdict->store = stores_default(e->view->stores);
        snprintf(verdict->why, sizeof verdict->why,
                 "the grammar does not accept it; the server will say why");
    } else if (e->found->tenancy == TENANCY_KNOWN) {
        judge_known(e, verdict);
    } else if (e->found->tenancy == TENANCY_UNKNOWN) {
        judge_unknown(e, verdict);
    } else {
        judge_tenantless(e, verdict);
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

static void explanation_row(struct rows *rows, size_t number, const struct explanation *e)
{
    struct verdict verdict;
    char tables[64];

    judge(e, &verdict);
    table_names(e->statement->tables, tables, sizeof tables);
    rows_number(rows, (int64_t)number);
    rows_text(rows, e->plan->parsed ? kind_name(e->statement->kind) : "not understood");
    rows_text(rows, class_name(e->statement->class));
    rows_text(rows, tables[0] == '\0' ? NULL : tables);
    tenants_value(rows, e->found);
    rows_text(rows, e->found->evidence == EVIDENCE_NONE ? NULL : evidence_name(e->found->evidence));
    rows_text(rows, verdict.store == NULL ? NULL : verdict.store->name);
    rows_text(rows, verdict.route == NULL ? routing_state_name(ROUTING_NORMAL)
                                          : routing_state_name(verdict.route->migration_state));
    rows_text(rows, verdict.action);
    rows_text(rows, verdict.why[0] == '\0' ? NULL : verdict.why);
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
        explanation_row(rows, i + 1, &e);
        attribution_done(&found);
    }
}

bool explain_route(const struct view *view, const struct command *command, const struct parameters *params,
                   struct rows **rows, struct error *err)
{
    struct slice text = slice_of(command->slots[SLOT_REST]);
    struct plan_context context = { .standard_conforming_strings = true, .encoding_safe = true };
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
    shape_init(&shape);
    planned = planner_plan(view->planner, text, &context, &shape, &plan);
    *rows = planned ? show_rows_new(command->info) : NULL;
    if (*rows != NULL)
        explain_plan(view, text, plan, &shape, params, *rows);
    plan_give(plan);
    shape_done(&shape);
    if (*rows != NULL && !rows_failed(*rows))
        return true;
    rows_free(*rows);
    *rows = NULL;
    return error_no_memory(err);
}
