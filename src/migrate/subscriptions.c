/* subscriptions.c - see subscriptions.h. A checkpoint is written in three steps: what it will be, into the
 * control database; the checkpoint, if it still is what it was; that it is done, with the audit's entry. A
 * crash between any two is seen by the first at the next time. Leaves: the rule itself to
 * position_checkpoint() (sql/control_004.sql). Thread: the runner's. Start at: run(), then decide(). */
#include "migrate/subscriptions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/declare.h"
#include "migrate/answers.h"
#include "migrate/positions.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "sql/attribute.h"
#include "sql_embedded.h"

enum { CONNECT_MS = 5000, POSITION_DIGITS_MAX = 19, OID_UUID = 2950 };

enum { READ_NAME, READ_POSITION, READ_TENANT, READ_TRANSACTION, READ_TYPE };

/* What has been found about one checkpoint. */
struct verdict {
    const char *action; /* translate, moved, kept, left */
    char new_position[32];
    char why[200];
};

struct work {
    struct runner *r;
    struct pg *pg;     /* of the store where the checkpoints are */
    struct rows *rows; /* NULL: nobody wants to see them */
    bool migrate, assigned, has_transaction;
    int64_t lowest; /* target position of a pair */
    const char *operator_name;
    /* the declaration as SQL */
    struct buf table, name, position, tenant, transaction, position_column;
    int64_t moved, left;
};

/* --- what is declared --------------------------------------------------------------------------------- */

static bool declared(const struct runner *r, struct declared *item)
{
    const char *list = config_text(r->setup->config, CONFIG_CHECKPOINT_TABLE);
    struct error ignored;
    size_t at = 0;

    return list[0] != '\0' && declare_next(list, &at, item, &ignored) == DECLARE_ITEM;
}

static void append_quoted(struct buf *out, struct slice name)
{
    char text[128];

    snprintf(text, sizeof text, "%.*s", (int)name.bytes, name.at);
    relation_append_identifier(out, text);
}

static void append_column(struct buf *out, const struct declared *item, const char *option,
                          const char *otherwise)
{
    struct slice name = declare_option(item, option);

    buf_append_text(out, "c.");
    append_quoted(out, name.at == NULL ? slice_of(otherwise) : name);
}

static void append_tenant(struct work *w, const struct declared *item)
{
    const char *pattern = config_text(w->r->setup->config, CONFIG_CHECKPOINT_PATTERN);

    if (declare_option(item, "tenant").at != NULL) {
        append_column(&w->tenant, item, "tenant", "");
        buf_append_text(&w->tenant, "::text");
    } else if (pattern[0] != '\0') {
        buf_append_format(&w->tenant, "substring(%s::text FROM ", buf_text(&w->name));
        sqltext_literal(&w->tenant, pattern);
        buf_append_text(&w->tenant, ")");
    } else {
        buf_append_text(&w->tenant, "NULL::text");
    }
}

static bool make_texts(struct work *w, const struct declared *item, struct error *err)
{
    struct slice position = declare_option(item, "position");

    append_quoted(&w->table, item->schema.at == NULL ? slice_of("public") : item->schema);
    buf_append_text(&w->table, ".");
    append_quoted(&w->table, item->name);
    append_column(&w->name, item, "name", "projection_name");
    append_column(&w->position, item, "position", "global_position");
    append_quoted(&w->position_column, position.at == NULL ? slice_of("global_position") : position);
    append_tenant(w, item);
    w->has_transaction = declare_option(item, "transaction").at != NULL;
    if (w->has_transaction) {
        append_column(&w->transaction, item, "transaction", "");
        buf_append_text(&w->transaction, "::text");
    } else {
        buf_append_text(&w->transaction, "NULL::text");
    }
    return (!buf_failed(&w->table) && !buf_failed(&w->name) && !buf_failed(&w->position) &&
            !buf_failed(&w->tenant) && !buf_failed(&w->transaction) && !buf_failed(&w->position_column)) ||
           error_no_memory(err);
}

static void work_done(struct work *w)
{
    buf_done(&w->table);
    buf_done(&w->name);
    buf_done(&w->position);
    buf_done(&w->tenant);
    buf_done(&w->transaction);
    buf_done(&w->position_column);
    pg_close(w->pg);
}

static PGresult *ask(struct work *w, const char *text, const char *type, int count, const char *const *values,
                     struct error *err)
{
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    sqltext_expand(&sql, text, w->r->m.control_schema,
                   (const struct sqltext_value[]){ { "table", buf_text(&w->table) },
                                                   { "name", buf_text(&w->name) },
                                                   { "position", buf_text(&w->position) },
                                                   { "tenant", buf_text(&w->tenant) },
                                                   { "transaction", buf_text(&w->transaction) },
                                                   { "position_column", buf_text(&w->position_column) },
                                                   { "type", type } },
                   7);
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(w->pg, buf_text(&sql), count, values, err);
    buf_done(&sql);
    return result;
}

/* --- one checkpoint ----------------------------------------------------------------------------------- */

static bool is_ours(const struct work *w, const char *tenant)
{
    char canonical[TENANT_BYTES_MAX];

    return strcmp(tenant, w->r->m.tenant) == 0 || (tenant_canonical(OID_UUID, slice_of(tenant), canonical) &&
                                                   strcmp(canonical, w->r->m.tenant) == 0);
}

static bool read_position(const char *text, int64_t *position)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > POSITION_DIGITS_MAX || text[digits] != '\0')
        return false;
    errno = 0;
    *position = strtoll(text, NULL, 10);
    return errno == 0;
}

static void leave(struct verdict *verdict, const char *why)
{
    verdict->action = "left";
    snprintf(verdict->why, sizeof verdict->why, "%s", why);
}

/* Asks the control database: has it been done, and what does it become? */
static bool look_up(struct work *w, const char *name, const char *text, int64_t position,
                    struct verdict *verdict, struct error *err)
{
    char number[24];
    PGresult *known;

    snprintf(number, sizeof number, "%" PRId64, position);
    known = pg_query(ledger_pg(w->r->ledger), sql_subscriptions_known, 3,
                     (const char *[]){ w->r->m.id, name, number }, err);
    if (known == NULL)
        return false;
    if (!PQgetisnull(known, 0, 0) &&
        (strcmp(PQgetvalue(known, 0, 0), "moved") == 0 || strcmp(PQgetvalue(known, 0, 1), text) == 0)) {
        /* Written, and perhaps nothing more: a crash has come between. */
        verdict->action = strcmp(PQgetvalue(known, 0, 0), "moved") == 0 ? "moved" : "written";
        snprintf(verdict->new_position, sizeof verdict->new_position, "%.31s", PQgetvalue(known, 0, 1));
        snprintf(verdict->why, sizeof verdict->why, "it has been translated");
    } else if (position >= w->lowest) {
        leave(verdict, "it is a position of the target already");
    } else if (PQgetisnull(known, 0, 2)) {
        leave(verdict, "no event was copied");
    } else {
        verdict->action = "translate";
        snprintf(verdict->new_position, sizeof verdict->new_position, "%0*lld",
                 text[0] == '0' ? (int)strlen(text) : 1, strtoll(PQgetvalue(known, 0, 2), NULL, 10));
        snprintf(verdict->why, sizeof verdict->why, "the events behind it begin there");
    }
    PQclear(known);
    return true;
}

/* false: could not be asked. */
static bool decide(struct work *w, const PGresult *read, int row, struct verdict *verdict, struct error *err)
{
    const char *text = PQgetvalue(read, row, READ_POSITION);
    int64_t position;

    memset(verdict, 0, sizeof *verdict);
    if (PQgetisnull(read, row, READ_NAME))
        leave(verdict, "it has no name");
    else if (PQgetisnull(read, row, READ_TENANT))
        leave(verdict,
              "its tenant is not known, or it is of several: see checkpoint_table and checkpoint_pattern");
    else if (PQgetisnull(read, row, READ_POSITION))
        leave(verdict, "it has no position yet");
    else if (!read_position(text, &position))
        leave(verdict, "its position is not a number");
    else if (w->has_transaction && !PQgetisnull(read, row, READ_TRANSACTION))
        leave(
            verdict,
            "it holds a transaction's id of the source's cluster, which means nothing in the target: set it "
            "back by hand");
    else if (!w->assigned) {
        verdict->action = "kept";
        snprintf(verdict->new_position, sizeof verdict->new_position, "%.31s", text);
        snprintf(verdict->why, sizeof verdict->why, "positions are kept (position_mode = preserve)");
    } else
        return look_up(w, PQgetvalue(read, row, READ_NAME), text, position, verdict, err);
    return true;
}

static bool write_checkpoint(struct work *w, const PGresult *read, int row, struct verdict *verdict,
                             struct error *err)
{
    const char *name = PQgetvalue(read, row, READ_NAME), *old = PQgetvalue(read, row, READ_POSITION);
    struct pg *ledger = ledger_pg(w->r->ledger);
    PGresult *result;
    bool changed;

    if (strcmp(verdict->action, "translate") == 0) {
        if (!pg_run(ledger, "SELECT subscription_plan($1::uuid, $2, $3, $4)", 4,
                    (const char *[]){ w->r->m.id, name, old, verdict->new_position }, err))
            return false;
        result = ask(w, sql_subscriptions_write, PQgetvalue(read, row, READ_TYPE), 4,
                     (const char *[]){ verdict->new_position, name, old, PQgetvalue(read, row, READ_TENANT) },
                     err);
        if (result == NULL)
            return false;
        changed = strcmp(PQcmdTuples(result), "0") != 0;
        PQclear(result);
        if (!changed) {
            leave(verdict, "it has changed meanwhile: MIGRATE SUBSCRIPTIONS looks again");
            return true;
        }
    }
    verdict->action = "moved";
    return pg_run(ledger, "SELECT subscription_moved($1::uuid, $2, $3)", 3,
                  (const char *[]){ w->r->m.id, name, w->operator_name }, err);
}

static void tell(struct work *w, const PGresult *read, int row, const struct verdict *verdict)
{
    if (strcmp(verdict->action, "left") == 0)
        w->left++;
    if (w->rows == NULL)
        return;
    for (int column = READ_NAME; column <= READ_TENANT; column++) {
        int from = column == READ_NAME ? READ_NAME : column == READ_POSITION ? READ_TENANT : READ_POSITION;

        rows_text(w->rows, PQgetisnull(read, row, from) ? NULL : PQgetvalue(read, row, from));
    }
    rows_text(w->rows, verdict->new_position[0] == '\0' ? NULL : verdict->new_position);
    rows_text(w->rows, strcmp(verdict->action, "written") == 0 ? "translate" : verdict->action);
    rows_text(w->rows, verdict->why);
}

static bool each(struct work *w, const PGresult *read, struct error *err)
{
    for (int row = 0; row < PQntuples(read); row++) {
        struct verdict verdict;
        bool write;

        if (!PQgetisnull(read, row, READ_TENANT) && !is_ours(w, PQgetvalue(read, row, READ_TENANT)))
            continue;
        if (!decide(w, read, row, &verdict, err))
            return false;
        write = w->migrate &&
                (strcmp(verdict.action, "translate") == 0 || strcmp(verdict.action, "written") == 0);
        if (write && !write_checkpoint(w, read, row, &verdict, err))
            return false;
        w->moved += write && strcmp(verdict.action, "moved") == 0;
        tell(w, read, row, &verdict);
    }
    return true;
}

/* --- all of them -------------------------------------------------------------------------------------- */

/* With positions that are not all known, an unread event could be among those that are not: nothing is
 * written. */
static bool check_state(struct work *w, struct error *err)
{
    PGresult *state =
        pg_query(ledger_pg(w->r->ledger), sql_subscriptions_state, 1, (const char *[]){ w->r->m.id }, err);
    bool migrated, complete, mapped;

    if (state == NULL)
        return false;
    migrated = strcmp(PQgetvalue(state, 0, 0), "migrated") == 0;
    w->assigned = strcmp(PQgetvalue(state, 0, 1), "assign") == 0;
    mapped = !w->assigned || strcmp(PQgetvalue(state, 0, 2), "off") != 0;
    complete = !w->assigned || PQgetvalue(state, 0, 3)[0] == 't';
    w->lowest = PQgetisnull(state, 0, 4) ? INT64_MAX : strtoll(PQgetvalue(state, 0, 4), NULL, 10);
    if (!mapped)
        error_set(err, "42704",
                  "migration %s keeps no mapping of positions: checkpoints cannot be translated", w->r->m.id);
    else if (w->migrate && !migrated)
        error_set(err, "55000", "migration %s is %s: checkpoints are translated when it is migrated",
                  w->r->m.id, PQgetvalue(state, 0, 0));
    else if (w->migrate && !complete)
        error_set(err, "55000", "not all positions of migration %s are in the control database yet",
                  w->r->m.id);
    PQclear(state);
    if (!mapped)
        return error_hint(err, "They stay as they are, and read again what they have read.");
    if (w->migrate && !(migrated && complete))
        return error_hint(
            err, "It is done by itself then (migrate_subscriptions); PLAN SUBSCRIPTIONS shows what.");
    return true;
}

/* The default store, or with its tenant, if it is a companion. */
static const struct store *home_of(const struct work *w, const struct declared *item)
{
    const char *list = config_text(w->r->setup->config, CONFIG_COMPANION_TABLES);
    struct declared companion;
    struct error ignored;
    size_t at = 0;

    while (declare_next(list, &at, &companion, &ignored) == DECLARE_ITEM) {
        if (companion.name.bytes == item->name.bytes &&
            memcmp(companion.name.at, item->name.at, item->name.bytes) == 0)
            return w->r->state == MIGRATION_MIGRATED ? w->r->m.target : w->r->m.source;
    }
    return w->r->m.default_store;
}

static bool run(struct work *w, const struct declared *item, struct error *err)
{
    const struct store *store = home_of(w, item);
    char what[STORE_NAME_BYTES_MAX + 16];
    PGresult *read;
    bool good;

    snprintf(what, sizeof what, "store \"%s\"", store->name);
    if (!check_state(w, err) || !make_texts(w, item, err) ||
        !pg_open(store->conninfo, what, "pgshunt subscriptions", &w->r->m.wake, CONNECT_MS, &w->pg, err))
        return false;
    read = ask(w, sql_subscriptions_read, "", 0, NULL, err);
    if (read == NULL) {
        if (error_is(err, "42P01") || error_is(err, "42703") || error_is(err, "42501"))
            error_hint(err, "checkpoint_table under [events] names it and its columns; pgshunt's login reads "
                            "and updates it.");
        return false;
    }
    good = each(w, read, err);
    PQclear(read);
    return good;
}

bool subscriptions_after(struct runner *r, struct error *err)
{
    struct work w = { .r = r, .migrate = true, .operator_name = "pgshunt" };
    struct declared item;
    bool good;

    if (!r->m.settings.migrate_subscriptions || !declared(r, &item) || !positions_assigned(&r->m) ||
        !r->m.settings.position_mapping_enabled)
        return true;
    good = run(&w, &item, err);
    if (good && w.moved + w.left > 0)
        log_line(r->setup->log, LOG_INFO, "subscriptions",
                 "migration %s: %" PRId64 " checkpoints translated, %" PRId64 " left as they are", r->m.id,
                 w.moved, w.left);
    if (!good && (error_is(err, "42P01") || error_is(err, "42703") || error_is(err, "42501"))) {
        /* No such table here, or not ours to write: nobody's migration waits for that. */
        log_error(r->setup->log, LOG_WARN, "subscriptions", err, "migration %s: its checkpoints", r->m.id);
        error_clear(err);
        good = true;
    }
    work_done(&w);
    return good;
}

/* --- the commands ------------------------------------------------------------------------------------- */

static bool load(struct runner *r, const char *prefix, struct error *err)
{
    struct found_migration found;
    struct migration_record record;
    bool there;

    if (!ledger_open(r->setup->ledger, "pgshunt subscriptions", &r->m.wake, CONNECT_MS, &r->ledger, err) ||
        !answers_find(r->ledger, prefix, &found, NULL, err) ||
        !ledger_look(r->ledger, found.id, &record, &there, err))
        return false;
    memcpy(r->m.id, found.id, sizeof r->m.id);
    memcpy(r->m.tenant, record.tenant, sizeof r->m.tenant);
    r->m.source = stores_get(r->setup->stores, record.source);
    r->m.target = stores_get(r->setup->stores, record.target);
    if (!there || r->m.source == NULL || r->m.target == NULL)
        return error_set(err, "42704", "a store of migration %s is not configured any more", found.id);
    r->state = record.state;
    settings_init(&r->m.settings, r->setup->config);
    return settings_read(&r->m.settings, record.config, err);
}

static bool answer(struct runner *r, const struct control_request *request, struct rows *rows,
                   struct error *err)
{
    static const char *const columns[] = { "subscription", "tenant_id", "position",
                                           "new_position", "action",    "why" };
    struct work w = { .r = r,
                      .rows = rows,
                      .migrate = request->verb == CONTROL_MIGRATE_SUBSCRIPTIONS,
                      .operator_name = request->operator_name };
    struct declared item;
    bool good;

    if (rows == NULL)
        return error_no_memory(err);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(rows, columns[i], ROWS_TEXT);
    if (!load(r, request->id, err))
        return false;
    if (!declared(r, &item)) {
        error_set(err, "55000", "no checkpoint_table is configured");
        return error_hint(err,
                          "Under [events]: checkpoint_table = projection_checkpoints(name=projection_name, "
                          "position=global_position).");
    }
    good = run(&w, &item, err);
    work_done(&w);
    return good;
}

void subscriptions_answer(struct runner *r, struct control_request *request)
{
    struct rows *rows = rows_new();
    enum migration_state before = r->state;
    struct error err;

    error_clear(&err);
    if (answer(r, request, rows, &err)) {
        runner_answer(request, rows, NULL);
    } else {
        rows_free(rows);
        runner_answer(request, NULL, &err);
    }
    r->state = before; /* the thread carries no migration */
}
