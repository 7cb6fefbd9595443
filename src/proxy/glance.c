/* glance.c - see glance.h. Start at: glance_note(), then glance_rehearse(). */
#include "proxy/glance.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/loop.h"

static const char joined_why[] =
    "it joins a stream, which may be the tenant's, with a table of the default store";
static const char unread_why[] = "the statement is longer than what is read, or the grammar does not know it";

struct glance *glance_new(void)
{
    struct glance *glance = calloc(1, sizeof *glance);

    if (glance == NULL)
        return NULL;
    glance->seen = seen_new();
    if (glance->seen != NULL)
        return glance;
    free(glance);
    return NULL;
}

void glance_free(struct glance *glance)
{
    if (glance == NULL)
        return;
    seen_free(glance->seen);
    free(glance);
}

/* ---- who is rehearsed ---- */

static struct rehearsal *place_of(struct glance *glance, const char *migration)
{
    struct rehearsal *empty = NULL;

    for (size_t i = 0; i < PAPER_MAX; i++) {
        struct rehearsal *one = &glance->rehearsals[i];

        if (one->route != NULL && strcmp(one->migration, migration) == 0)
            return one;
        if (one->route == NULL && empty == NULL)
            empty = one;
    }
    return empty;
}

static const struct route *find_route(const struct route_table *table, const char *migration)
{
    for (size_t i = 0; i < route_table_count(table); i++) {
        const struct route *route = route_table_at(table, i);

        if (route->migration_state == ROUTING_DUAL_WRITE && strcmp(route->migration, migration) == 0)
            return route;
    }
    return NULL;
}

void glance_follow(struct glance *glance, const struct route_table *table)
{
    struct rehearsal *one;

    glance->rehearsal_count = 0;
    glance->at_home = route_table_away_count(table) == 0;
    for (size_t i = 0; i < PAPER_MAX; i++) {
        one = &glance->rehearsals[i];
        if (one->route != NULL)
            one->route = find_route(table, one->migration);
    }
    if (route_table_migrating_count(table) == 0)
        return;
    for (size_t i = 0; i < route_table_count(table); i++) {
        const struct route *route = route_table_at(table, i);

        if (route->migration_state != ROUTING_DUAL_WRITE || route->target == NULL ||
            (one = place_of(glance, route->migration)) == NULL)
            continue;
        if (one->route == NULL) {
            one->serial = ++glance->serials;
            memcpy(one->migration, route->migration, sizeof one->migration);
        }
        one->route = route;
        glance->rehearsal_count++;
    }
}

/* ---- one message ---- */

void glance_begin(struct glance *glance)
{
    glance->sighting_count = glance->news_count = 0;
    if (glance->rehearsal_count == 0)
        return;
    for (size_t i = 0; i < PAPER_MAX; i++) {
        place_init(&glance->rehearsals[i].place);
        glance->rehearsals[i].writer = NULL;
    }
}

/* A prepared statement has no text of its shape any more: it is read once more, until the plan has its mark.
 */
static struct seen_shape *look(struct glance *glance, const struct running *running)
{
    struct plan_statement *statement = (struct plan_statement *)running->statement; /* for its mark */
    struct seen_shape *seen;
    struct shape again;

    if (statement->mark > 0 || running->shape == NULL || buf_bytes(&running->shape->text) > 0)
        return seen_look(glance->seen, statement,
                         running->shape == NULL ? (struct slice){ "", 0 } : buf_slice(&running->shape->text),
                         running->shape == NULL || running->shape->standard_conforming_strings);
    shape_init(&again);
    shape_read(&again, running->text, running->shape->standard_conforming_strings);
    seen = seen_look(glance->seen, statement, buf_slice(&again.text), again.standard_conforming_strings);
    shape_done(&again);
    return seen;
}

static void add_news(struct glance *glance, struct seen_shape *shape, enum finding finding,
                     const char *migration, const char *why)
{
    if (shape == NULL)
        seen_doubt(glance->seen);
    else if (glance->news_count == NEWS_MAX)
        seen_find(glance->seen, shape, finding, migration, why, (int64_t)time(NULL));
    else
        glance->news[glance->news_count++] = (struct news){ shape, finding, migration, why };
}

static void add_sighting(struct glance *glance, struct seen_shape *shape, const struct seen_sight *sight)
{
    if (shape == NULL)
        return;
    if (glance->sighting_count == GLANCES_MAX)
        seen_count(shape, sight, (int64_t)time(NULL));
    else
        glance->sightings[glance->sighting_count++] = (struct sighting){ shape, *sight };
}

static bool writes(const struct plan_statement *statement)
{
    return statement->class == CLASS_WRITE || statement->locks;
}

/* The stream directory is not asked before a tenant has moved, and will tell then. */
static bool is_for_directory(const struct glance *glance, const struct plan_statement *statement,
                             const struct attribution *found)
{
    return glance->at_home && found->tenancy == TENANCY_UNKNOWN && statement->stream_count > 0;
}

void glance_note(struct glance *glance, const struct running *running, const struct attribution *found)
{
    const struct plan_statement *statement = running->statement;
    bool by_stream = is_for_directory(glance, statement, found);
    struct seen_sight sight = { .class = writes(statement) ? CLASS_WRITE : statement->class,
                                .tables = statement->tables,
                                .tenancy = by_stream ? TENANCY_KNOWN : found->tenancy,
                                .evidence = by_stream ? EVIDENCE_STREAM : found->evidence,
                                .contradicted = found->contradicted,
                                .why = found->why };
    struct seen_shape *shape;

    if (found->tenancy != TENANCY_KNOWN && found->tenancy != TENANCY_UNKNOWN)
        return;
    shape = look(glance, running);
    add_sighting(glance, shape, &sight);
    if (sight.tenancy == TENANCY_UNKNOWN)
        add_news(glance, shape, writes(statement) ? FINDING_UNATTRIBUTED_WRITE : FINDING_FEED, "",
                 found->why);
}

void glance_unread(struct glance *glance, const struct place_rules *rules, const struct message *message,
                   bool touches)
{
    struct seen_sight sight = {
        .class = CLASS_WRITE, .tables = TABLES_EVENT, .tenancy = TENANCY_UNKNOWN, .why = unread_why
    };
    struct plan_statement nothing = { .mark = 0 };
    bool there = message->plan != NULL && message->plan->statement_count > 0;
    struct running running = { .statement = there ? &message->plan->statements[0] : &nothing,
                               .text = message->text,
                               .shape = there ? message->shape : NULL };
    struct seen_shape *shape;
    struct error err;

    if (!touches)
        return;
    shape = look(glance, &running);
    add_sighting(glance, shape, &sight);
    add_news(glance, shape, FINDING_UNATTRIBUTED_WRITE, "", unread_why);
    for (size_t i = 0; glance->rehearsal_count > 0 && i < PAPER_MAX; i++) {
        struct rehearsal *one = &glance->rehearsals[i];
        struct place_rules paper = *rules;

        paper.moved = one->route;
        if (one->route != NULL && !place_add_unparsed(&one->place, &paper, touches, &err))
            add_news(glance, shape, FINDING_UNATTRIBUTED_WRITE, one->route->migration, unread_why);
    }
}

/* ---- on paper ---- */

static enum finding finding_of(const struct error *err)
{
    return strncmp(err->message, "unattributed_write", strlen("unattributed_write")) == 0
               ? FINDING_UNATTRIBUTED_WRITE
               : FINDING_CROSS_STORE_STATEMENT;
}

/* In a transaction of the tenant, and it names neither tenant nor stream: today it reads everybody's rows,
 * then only those where it is sent. */
static bool would_miss(const struct plan_statement *statement, const struct attribution *found)
{
    return !writes(statement) && statement->stream_count == 0 && statement->stream_why_not == NULL &&
           (found->tenancy == TENANCY_UNKNOWN ||
            (found->tenancy == TENANCY_KNOWN && found->evidence == EVIDENCE_TRANSACTION));
}

static bool is_about(const struct client *client, const struct route *route)
{
    return (client->txn.open || client->txn.branch >= 0) && strcmp(client->txn.tenant, route->tenant) == 0;
}

static void rehearse_one(struct glance *glance, struct rehearsal *one, const struct client *client,
                         const struct place_rules *rules, const struct running *running,
                         const struct plan_statement *statement, const struct attribution *found)
{
    const char *migration = one->route->migration;
    struct place_rules paper = *rules;
    struct error err;

    paper.moved = one->route;
    paper.snapshots = NULL;
    if (!place_add(&one->place, &paper, statement, found, &err)) {
        add_news(glance, look(glance, running), finding_of(&err), migration, found->why);
        return;
    }
    if (found->contradicted && route_table_away_count(rules->table) == 0)
        add_news(glance, look(glance, running), FINDING_CONFLICTING_EVIDENCE, migration, NULL);
    if (would_miss(statement, found) && is_about(client, one->route))
        add_news(glance, look(glance, running), FINDING_MISSED_ROWS, migration, found->why);
    if (writes(statement) && one->place.store != NULL)
        one->writer = look(glance, running);
}

/* It names streams only, and whose they are nobody is asked before somebody has moved. Then the directory
 * will say, and the statement goes there: with a table that stays behind, it cannot. */
static void rehearse_stream(struct glance *glance, const struct running *running, bool temporary)
{
    if (temporary || !(running->statement->tables & TABLES_DEFAULT))
        return;
    for (size_t i = 0; i < PAPER_MAX; i++)
        if (glance->rehearsals[i].route != NULL)
            add_news(glance, look(glance, running), FINDING_CROSS_STORE_STATEMENT,
                     glance->rehearsals[i].route->migration, joined_why);
}

void glance_rehearse(struct glance *glance, const struct client *client, const struct place_rules *rules,
                     const struct running *running, const struct attribution *found, bool temporary)
{
    struct plan_statement statement;

    if (glance->rehearsal_count == 0)
        return;
    if (is_for_directory(glance, running->statement, found)) {
        rehearse_stream(glance, running, temporary);
        return;
    }
    statement = *running->statement;
    if (temporary) /* they may be made of the tenant's rows: then they would be where it is */
        statement.tables &= ~(unsigned)TABLES_DEFAULT;
    for (size_t i = 0; i < PAPER_MAX; i++)
        if (glance->rehearsals[i].route != NULL)
            rehearse_one(glance, &glance->rehearsals[i], client, rules, running, &statement, found);
}

/* The transaction's writes so far, on paper, and this message's: all in one store? */
static void settle(struct glance *glance, struct rehearsal *one, struct paper *paper, unsigned savepoints)
{
    int store;

    if (one->writer == NULL || one->place.store == NULL)
        return;
    store = (int)one->place.store->index;
    if (paper->serial != one->serial)
        *paper = (struct paper){ .serial = one->serial, .writer = store, .depth = savepoints };
    else if (paper->writer != store)
        add_news(glance, one->writer, FINDING_CROSS_STORE_TRANSACTION, one->route->migration, NULL);
}

void glance_end(struct glance *glance, struct client *client, bool goes)
{
    int64_t now_s;

    for (size_t i = 0; goes && glance->rehearsal_count > 0 && i < PAPER_MAX; i++)
        if (glance->rehearsals[i].route != NULL)
            settle(glance, &glance->rehearsals[i], &client->txn.paper[i],
                   (unsigned)client->txn.savepoint_count);
    if (glance->sighting_count == 0 && glance->news_count == 0)
        return;
    now_s = (int64_t)time(NULL);
    for (size_t i = 0; i < glance->sighting_count; i++) {
        const struct sighting *one = &glance->sightings[i];

        seen_count(one->shape, &one->sight, now_s);
        if (one->sight.tenancy == TENANCY_UNKNOWN)
            stats_add(client->loop->stats, STAT_UNATTRIBUTED, 1);
    }
    for (size_t i = 0; i < glance->news_count; i++) {
        const struct news *one = &glance->news[i];

        seen_find(glance->seen, one->shape, one->finding, one->migration, one->why, now_s);
    }
    glance->sighting_count = glance->news_count = 0;
}
