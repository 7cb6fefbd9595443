/* preflight.c - the order in which a migration is looked at before it begins.
 * Owns: the connections while it looks. Leaves: what to look at to preflight_*.c, refusing to start.c.
 * Thread: the runner's. Start at: preflight_run(), then chapters[]. */
#include "migrate/preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migrate/catalogue_read.h"

enum {
    CONNECT_MS = 5000,
    LEDGER_MS = 5000,
    TELL_AFTER_MS = 2000, /* whoever waits longer is told what for */
    TELL_EVERY_MS = 1000,
};

/* No statement of ours outlives this, and nobody queues behind us for a lock. */
#define CAREFUL                                                                                              \
    "SET statement_timeout = '10s'; SET lock_timeout = '100ms';"                                             \
    " SET idle_in_transaction_session_timeout = '10s'"

bool preflight_note(struct preflight *p, const char *check, enum finding_status status, bool fine,
                    const struct error *err)
{
    if (!fine && !p->r->interrupted)
        finding_error(p->list, check, status, err);
    return fine;
}

PGresult *preflight_ask(struct preflight *p, const char *check, enum finding_status status, struct pg *pg,
                        const char *sql, int count, const char *const *values)
{
    struct error err;
    PGresult *result = pg_query(pg, sql, count, values, &err);

    preflight_note(p, check, status, result != NULL, &err);
    return result;
}

static void drop_notice(struct letter *letter)
{
    free(letter);
}

void preflight_tell(struct preflight *p, const char *text)
{
    struct mailbox *asker = p->request->letter.reply_to;
    struct control_request *notice = asker == NULL ? NULL : calloc(1, sizeof *notice);

    if (notice == NULL)
        return; /* nobody listens, or only the notice is lost */
    notice->letter.kind = LETTER_CONTROL;
    notice->letter.drop = drop_notice;
    notice->verb = p->request->verb;
    notice->tag = p->request->tag;
    notice->more = true;
    snprintf(notice->notice, sizeof notice->notice, "%s", text);
    letter_send(asker, &notice->letter);
}

static void tell_progress(struct preflight *p, const char *what)
{
    uint64_t now_ms = clock_ms();
    char text[160];

    if (now_ms - p->begun_ms < TELL_AFTER_MS || now_ms - p->told_ms < TELL_EVERY_MS)
        return;
    p->told_ms = now_ms;
    snprintf(text, sizeof text, "looking at %s (%zu rows so far)", what, p->list->count);
    preflight_tell(p, text);
}

/* --- both stores --- */

static bool open_side(struct preflight *p, struct preflight_side *side, struct error *err)
{
    char what[STORE_NAME_BYTES_MAX + 16];

    snprintf(what, sizeof what, "store \"%s\"", side->store->name);
    return pg_open(side->store->conninfo, what, "pgshunt check", &p->r->m.wake, CONNECT_MS, side->pg, err) &&
           pg_run(*side->pg, CAREFUL, 0, NULL, err) &&
           relation_read(*side->pg, what, p->r->m.names, side->rel, err);
}

static void connect_side(struct preflight *p, struct preflight_side *side, const struct store *store)
{
    struct error err;
    bool fine;
    int major;

    side->store = store;
    tell_progress(p, store->name);
    fine = open_side(p, side, &err);
    if (!fine && error_is(&err, "42P01") && side == &p->target)
        error_hint(&err, "CREATE TARGET SCHEMA TENANT '%s' TO '%s' makes it.", p->request->tenant,
                   store->name);
    else if (!fine && err.hint[0] == '\0')
        error_hint(
            &err,
            "Correct [stores] or [events] in the configuration, or the store; SHOW STORES tells whether "
            "it answers.");
    preflight_note(p, "connection", FINDING_BLOCKER, fine, &err);
    if (!fine)
        return;
    finding_ok(p->list, "connection", "%s \"%s\" answers as role \"%s\"; table %s has %zu columns",
               side->name, store->name, PQuser(pg_raw(*side->pg)), side->rel->qualified,
               side->rel->column_count);
    preflight_note(p, "declared", FINDING_BLOCKER,
                   catalogue_read(*side->pg, p->r->setup->config, 0, &side->schema, &major, &err), &err);
}

static bool is_there(const struct preflight_side *side)
{
    return side->rel->oid != 0 && *side->pg != NULL && !pg_is_broken(*side->pg);
}

static void look(struct preflight *p)
{
    static const struct {
        const char *what;
        void (*look)(struct preflight *p);
    } chapters[] = {
        { "who the stores are", preflight_identities },
        { "their columns", preflight_columns },
        { "what [events] declares", preflight_declared },
        { "companion tables", preflight_companions },
        { "rights", preflight_rights },
        { "rows that are there", preflight_rows },
        { "positions", preflight_positions },
        { "row-level security", preflight_row_security },
        { "the servers' settings", preflight_server },
        { "constraints, indexes and triggers", preflight_shape },
        { "the index to copy by", preflight_index },
        { "sequences", preflight_sequence },
        { "roles", preflight_roles },
        { "logins", preflight_logins },
        { "connections", preflight_connections },
        { "open transactions", preflight_writers },
        { "the tap", preflight_tap },
        { "the guard", preflight_guard },
        { "how much there is to copy", preflight_size },
    };

    for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
        if (p->r->interrupted || !is_there(&p->source) || !is_there(&p->target))
            return;
        tell_progress(p, chapters[i].what);
        chapters[i].look(p);
    }
}

bool preflight_run(struct runner *r, struct control_request *request, struct findings *list,
                   struct error *err)
{
    struct preflight p = {
        .r = r,
        .request = request,
        .list = list,
        .source = { .name = "source", .pg = &r->m.source_pg, .rel = &r->m.tables[0].source },
        .target = { .name = "target", .pg = &r->m.target_pg, .rel = &r->m.tables[0].target },
        .events = -1,
        .bytes = -1,
        .begun_ms = clock_ms()
    };
    bool fine = preflight_options(&p, err) &&
                ledger_open(r->setup->ledger, "pgshunt runner", &r->m.wake, LEDGER_MS, &r->ledger, err);

    if (fine)
        connect_side(&p, &p.target, r->m.target);
    fine = fine && preflight_tenant(&p, err);
    if (fine && preflight_route(&p, err)) {
        connect_side(&p, &p.source, r->m.source);
        look(&p);
    }
    schema_give(p.source.schema);
    schema_give(p.target.schema);
    migration_disconnect(&r->m);
    if (fine && r->interrupted)
        fine = error_set(err, "57014", "the check was interrupted");
    return fine;
}

void preflight_answer(struct runner *r, struct control_request *request)
{
    struct findings list;
    struct error err;

    findings_init(&list);
    if (preflight_run(r, request, &list, &err)) {
        struct rows *rows = findings_rows(&list);

        error_no_memory(&err);
        runner_answer(request, rows, rows == NULL ? &err : NULL);
    } else {
        runner_answer(request, NULL, &err);
    }
    findings_done(&list);
}
