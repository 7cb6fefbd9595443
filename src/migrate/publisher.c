/* publisher.c - see publisher.h. Start at: publisher_post(). */
#include "migrate/publisher.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct known_route {
    struct route route;
    UT_hash_handle hh;
};

struct publisher {
    const struct switchboard *switchboard;
    const struct stores *stores;
    struct mailbox *answers;
    struct known_route *routes;
    struct catalogue *catalogue; /* the next one to be posted; replaced, never changed, once it was posted */
    struct route_table *table;   /* as last posted */
    bool routes_known, behind;
    uint64_t generation;                           /* of the last publication */
    uint64_t posted;                               /* how many times */
    uint64_t sent[LOOPS_MAX], answered[LOOPS_MAX]; /* a loop that is gone is no longer waited for */
};

struct publisher *publisher_new(const struct switchboard *switchboard, const struct stores *stores,
                                struct mailbox *answers)
{
    struct publisher *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->switchboard = switchboard;
    p->stores = stores;
    p->answers = answers;
    p->catalogue = catalogue_new(1, stores->count);
    for (size_t i = 0; p->catalogue != NULL && i < stores->count; i++) {
        p->catalogue->schemas[i] = schema_new(0);
        if (p->catalogue->schemas[i] == NULL) {
            publisher_free(p);
            return NULL;
        }
    }
    if (p->catalogue == NULL) {
        free(p);
        return NULL;
    }
    p->behind = true;
    return p;
}

void publisher_free(struct publisher *p)
{
    struct known_route *known, *next;

    if (p == NULL)
        return;
    HASH_ITER(hh, p->routes, known, next) {
        HASH_DEL(p->routes, known);
        free(known);
    }
    catalogue_give(p->catalogue);
    route_table_give(p->table);
    free(p);
}

/* --- what is known --- */

bool publisher_route(struct publisher *p, const struct route *route, struct error *err)
{
    struct known_route *known = NULL;

    if (p->routes != NULL)
        HASH_FIND_STR(p->routes, route->tenant, known);
    if (known != NULL && known->route.generation >= route->generation)
        return true;
    if (known == NULL) {
        known = calloc(1, sizeof *known);
        if (known == NULL)
            return error_no_memory(err);
        known->route = *route;
        HASH_ADD_STR(p->routes, route.tenant, known);
    }
    known->route = *route;
    p->behind = true;
    return true;
}

bool publisher_knows(const struct publisher *p, const struct route *route)
{
    struct known_route *known = NULL;

    if (p->routes != NULL)
        HASH_FIND_STR(p->routes, route->tenant, known);
    return known != NULL && known->route.generation >= route->generation;
}

/* The same but for one store; the posted one stays as it is. */
static struct catalogue *copy_catalogue(const struct publisher *p)
{
    struct catalogue *copy = catalogue_new(p->catalogue->generation + 1, p->catalogue->store_count);

    for (size_t i = 0; copy != NULL && i < copy->store_count; i++) {
        copy->schemas[i] = schema_take(p->catalogue->schemas[i]);
        copy->server_major[i] = p->catalogue->server_major[i];
    }
    return copy;
}

bool publisher_schema(struct publisher *p, unsigned store_index, struct schema *schema, int server_major,
                      struct error *err)
{
    struct catalogue *copy = copy_catalogue(p);

    if (schema == NULL)
        schema = schema_new(0);
    if (copy == NULL || schema == NULL) {
        catalogue_give(copy);
        schema_give(schema);
        return error_no_memory(err);
    }
    schema_give(copy->schemas[store_index]);
    copy->schemas[store_index] = schema;
    copy->server_major[store_index] = server_major;
    catalogue_give(p->catalogue);
    p->catalogue = copy;
    p->behind = true;
    return true;
}

bool publisher_is_behind(const struct publisher *p)
{
    return p->behind;
}

void publisher_routes_known(struct publisher *p)
{
    p->behind = p->behind || !p->routes_known;
    p->routes_known = true;
}

/* --- posting --- */

static struct route_table *build_table(const struct publisher *p)
{
    struct route_table *table = route_table_new(p->generation + 1);

    if (table == NULL)
        return NULL;
    for (const struct known_route *known = p->routes; known != NULL; known = known->hh.next) {
        if (!route_table_add(table, &known->route)) {
            route_table_give(table);
            return NULL;
        }
    }
    route_table_seal(table, stores_default(p->stores));
    return table;
}

/* false: no memory. A subscriber that is gone has nothing to apply. */
static bool post_to(struct publisher *p, struct mailbox *box, uint64_t *sent)
{
    struct publish_letter *letter = publish_letter_new(p->answers, p->table, p->catalogue, p->routes_known);

    if (letter == NULL)
        return false;
    if (mailbox_post(box, &letter->letter)) {
        if (sent != NULL)
            ++*sent;
    } else {
        letter_drop(&letter->letter);
    }
    return true;
}

bool publisher_post(struct publisher *p, uint64_t *sequence, struct error *err)
{
    struct route_table *table = build_table(p);
    bool fine = true;

    if (table == NULL)
        return error_no_memory(err);
    route_table_give(p->table);
    p->table = table;
    p->generation++;
    for (unsigned loop = 0; loop < p->switchboard->loop_count; loop++)
        fine = post_to(p, p->switchboard->loops[loop], &p->sent[loop]) && fine;
    if (p->switchboard->console != NULL)
        fine = post_to(p, p->switchboard->console, NULL) && fine;
    p->behind = !fine;
    *sequence = ++p->posted;
    /* From here on `sent` of a loop that was reached is compared with what it has answered: see is_applied().
     */
    return fine || error_no_memory(err);
}

void publisher_answered(struct publisher *p, struct publish_letter *letter)
{
    if (letter->loop < p->switchboard->loop_count)
        p->answered[letter->loop]++;
    letter_drop(&letter->letter);
}

/* A loop answers one by one and in order, so that "has answered everything it was sent up to then" is a
 * comparison with how many have been posted since. */
bool publisher_is_applied(const struct publisher *p, uint64_t sequence)
{
    uint64_t since = p->posted - sequence;

    for (unsigned loop = 0; loop < p->switchboard->loop_count; loop++) {
        if (p->answered[loop] + since < p->sent[loop])
            return false;
    }
    return true;
}

uint64_t publisher_generation(const struct publisher *p)
{
    return p->generation;
}

/* --- for SHOW --- */

size_t publisher_away_count(const struct publisher *p, const struct store *store)
{
    size_t count = 0;

    for (const struct known_route *known = p->routes; known != NULL; known = known->hh.next)
        count += known->route.store == store && store != stores_default(p->stores);
    return count;
}

const struct route_table *publisher_table(const struct publisher *p)
{
    return p->table;
}
