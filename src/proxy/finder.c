/* finder.c - see finder.h. */
#include "proxy/finder.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "proxy/asker.h"
#include "proxy/loop.h"
#include "route/directory.h"

/* One key, on its way or answered. A client that goes leaves it behind until its stores have answered. */
struct sought {
    struct sought *next;
    struct finder *finder;
    struct client *client;     /* NULL: nobody wants to know any more */
    uint64_t epoch;            /* of the finder when it was asked */
    unsigned pending;          /* stores that have not answered; while it is handled, one more */
    bool beyond;               /* the default store has answered */
    bool failed;               /* some store could not say; `why` */
    enum stream_answer answer; /* ASKED: not yet */
    struct error why;
    char tenant[TENANT_BYTES_MAX];
    size_t key_bytes;
    char key[];
};

struct finder {
    struct loop *loop;
    struct directory *directory;
    struct asker *askers[STORES_MAX]; /* by store.index; made when first needed */
    struct seeker *waiting;
    uint64_t epoch; /* rises when what is being asked may be outdated */
    bool stopped;
};

static void on_answered(void *who, enum stream_answer answer, const char *tenant, const struct error *why);

static struct slice key_of(const struct sought *sought)
{
    return (struct slice){ sought->key, sought->key_bytes };
}

/* ---- who waits ---- */

static void unlist(struct finder *finder, struct seeker *seeker)
{
    if (seeker->listed)
        DL_DELETE(finder->waiting, seeker);
    seeker->listed = false;
}

static void let_go(struct sought *sought)
{
    if (sought->client == NULL && sought->pending == 0)
        free(sought);
}

void finder_forget(struct client *client)
{
    struct seeker *seeker = &client->seeker;

    unlist(client->loop->finder, seeker);
    while (seeker->sought != NULL) {
        struct sought *sought = seeker->sought;

        seeker->sought = sought->next;
        sought->client = NULL;
        let_go(sought);
    }
    seeker->open = 0;
}

/* One of its answers is there; with the last one the client goes on. */
static void settle(struct sought *sought, enum stream_answer answer)
{
    struct client *client = sought->client;

    sought->answer = answer;
    if (client == NULL)
        return;
    if (answer == STREAM_FAILED)
        client->seeker.why = sought->why;
    if (--client->seeker.open > 0)
        return;
    unlist(sought->finder, &client->seeker);
    if (client->state == CLIENT_LOOKING)
        client_retry(client);
}

/* ---- asking ---- */

static bool can_ask(const struct finder *finder, const struct store *store)
{
    const struct schema *schema = finder->loop->catalogue->schemas[store->index];

    for (unsigned kind = 0; schema->known && kind < KEY_KINDS; kind++)
        if (schema->keys[kind].question != NULL && schema->keys[kind].why_not == NULL)
            return true;
    return false;
}

static bool ask(struct sought *sought, const struct store *store)
{
    struct finder *finder = sought->finder;
    struct asker **asker = &finder->askers[store->index];
    const struct schema *schema = finder->loop->catalogue->schemas[store->index];
    const struct schema_key *key = &schema->keys[(unsigned char)sought->key[0]];

    if (!schema->known || key->question == NULL || key->why_not != NULL) {
        error_set(&sought->why, "08001", "store_unavailable: store \"%s\" cannot be asked whose stream it is",
                  store->name);
        error_detail(&sought->why, "%s.",
                     !schema->known         ? "Its columns are not known yet"
                     : key->why_not != NULL ? key->why_not
                                            : "Its table lacks the columns");
        return false;
    }
    if (*asker == NULL)
        *asker = asker_new(finder->loop, store, on_answered);
    if (*asker == NULL || !asker_ask(*asker, key_of(sought), sought)) {
        error_no_memory(&sought->why);
        return false;
    }
    sought->pending++;
    return true;
}

/* Every store that tenants live in, but the default one. */
static void ask_others(struct sought *sought)
{
    const struct loop *loop = sought->finder->loop;
    const struct store *home = stores_default(loop->shared->stores);
    bool asked[STORES_MAX] = { false };

    for (size_t i = 0; i < route_table_count(loop->table); i++) {
        const struct store *store = route_table_at(loop->table, i)->store;

        if (store == home || asked[store->index])
            continue;
        asked[store->index] = true;
        sought->failed = !ask(sought, store) || sought->failed;
    }
}

static bool is_found(enum stream_answer answer)
{
    return answer == STREAM_TENANT || answer == STREAM_NULL || answer == STREAM_MIXED;
}

/* A store's answer. Whoever has the stream ends the search, whatever the others would say. */
static void on_answered(void *who, enum stream_answer answer, const char *tenant, const struct error *why)
{
    struct sought *sought = who;
    struct finder *finder = sought->finder;
    bool wanted = sought->answer == STREAM_ASKED && sought->client != NULL;

    if ((answer == STREAM_TENANT || answer == STREAM_NULL) && sought->epoch == finder->epoch)
        directory_keep(finder->directory, key_of(sought), tenant);
    if (answer == STREAM_FAILED && wanted) {
        sought->failed = true;
        sought->why = *why;
    }
    if (wanted && is_found(answer)) {
        memcpy(sought->tenant, tenant, strlen(tenant) + 1);
        settle(sought, answer);
    } else if (wanted) {
        if (!sought->beyond)
            ask_others(sought);
        sought->beyond = true;
        if (sought->pending == 1) /* this one */
            settle(sought, sought->failed ? STREAM_FAILED : STREAM_NOBODY);
    }
    if (--sought->pending == 0)
        let_go(sought);
    else
        finder_flush(finder); /* may free it */
}

static struct sought *sought_new(struct client *client, struct slice key)
{
    struct sought *sought = malloc(sizeof *sought + key.bytes);

    if (sought == NULL)
        return NULL;
    memset(sought, 0, sizeof *sought);
    sought->finder = client->loop->finder;
    sought->client = client;
    sought->epoch = sought->finder->epoch;
    sought->answer = STREAM_ASKED;
    sought->key_bytes = key.bytes;
    memcpy(sought->key, key.at, key.bytes);
    return sought;
}

static enum stream_answer begin(struct client *client, struct slice key)
{
    struct finder *finder = client->loop->finder;
    struct seeker *seeker = &client->seeker;
    struct sought *sought = finder->stopped ? NULL : sought_new(client, key);

    if (sought == NULL) {
        error_no_memory(&seeker->why);
        return STREAM_FAILED;
    }
    if (seeker->sought == NULL) {
        seeker->since_ms = clock_ms();
        seeker->generation = route_table_generation(client->loop->table);
    }
    sought->next = seeker->sought;
    seeker->sought = sought;
    stats_add(client->loop->stats, STAT_DIRECTORY_MISSES, 1);
    if (!ask(sought, stores_default(client->loop->shared->stores))) {
        sought->failed = sought->beyond = true;
        ask_others(sought);
    }
    if (sought->pending == 0) {
        seeker->why = sought->why;
        sought->answer = STREAM_FAILED;
        return STREAM_FAILED;
    }
    seeker->open++;
    if (!seeker->listed)
        DL_APPEND(finder->waiting, seeker);
    seeker->listed = true;
    return STREAM_ASKED;
}

enum stream_answer finder_find(void *who, struct slice key, char tenant[TENANT_BYTES_MAX])
{
    struct client *client = who;
    struct seeker *seeker = &client->seeker;

    if (seeker->sought != NULL && seeker->generation != route_table_generation(client->loop->table))
        finder_forget(client);               /* who lives where has changed since */
    if (sow_find(&client->sow, key, tenant)) /* written by its own transaction */
        return STREAM_TENANT;
    for (struct sought *sought = seeker->sought; sought != NULL; sought = sought->next)
        if (slice_equal(key_of(sought), key)) {
            memcpy(tenant, sought->tenant, sizeof sought->tenant);
            return sought->answer;
        }
    if (!directory_find(client->loop->finder->directory, key, tenant))
        return begin(client, key);
    stats_add(client->loop->stats, STAT_DIRECTORY_HITS, 1);
    return tenant[0] == '\0' ? STREAM_NULL : STREAM_TENANT;
}

void finder_flush(struct finder *finder)
{
    for (size_t i = 0; i < finder->loop->shared->stores->count; i++)
        if (finder->askers[i] != NULL)
            asker_flush(finder->askers[i]);
}

/* ---- what is known otherwise ---- */

void finder_keep(struct finder *finder, struct slice key, const char *tenant)
{
    directory_keep(finder->directory, key, tenant);
}

void finder_clear(struct finder *finder)
{
    finder->epoch++;
    directory_clear(finder->directory);
}

void finder_unsettle(struct finder *finder)
{
    const struct switchboard *switchboard = finder->loop->shared->switchboard;

    finder_clear(finder);
    for (unsigned i = 0; i < switchboard->loop_count; i++) {
        struct loop_letter *letter = i == finder->loop->index ? NULL : loop_letter_new(LOOP_UNSETTLED);

        if (letter != NULL)
            letter_send(switchboard->loops[i], &letter->letter);
    }
}

static void renew(struct finder *finder)
{
    for (size_t i = 0; i < finder->loop->shared->stores->count; i++)
        if (finder->askers[i] != NULL)
            asker_renew(finder->askers[i]);
}

static void open_asker(struct finder *finder, const struct store *store)
{
    struct asker **asker = &finder->askers[store->index];

    if (finder->stopped || !can_ask(finder, store))
        return;
    if (*asker == NULL)
        *asker = asker_new(finder->loop, store, on_answered);
    if (*asker != NULL)
        asker_open(*asker);
}

/* A tenant that is about to live elsewhere: its first statement behind the switch finds the connections
 * there. Whether there is one. */
static bool prepare_for_moves(struct finder *finder)
{
    const struct loop *loop = finder->loop;
    const struct store *home = stores_default(loop->shared->stores);
    bool moving = false;

    for (size_t i = 0; i < route_table_count(loop->table); i++) {
        const struct route *route = route_table_at(loop->table, i);

        if (route->target == NULL || route->target == home ||
            (route->migration_state != ROUTING_DUAL_WRITE &&
             route->migration_state != ROUTING_CUTOVER_PAUSED))
            continue;
        moving = true;
        open_asker(finder, route->target);
    }
    if (moving)
        open_asker(finder, home);
    return moving;
}

void finder_follow(struct finder *finder, bool columns_changed)
{
    bool idle = route_table_away_count(finder->loop->table) == 0;

    if (columns_changed || (idle && directory_count(finder->directory) > 0))
        finder_clear(finder);
    if (columns_changed)
        renew(finder);
    if (!prepare_for_moves(finder) && idle)
        renew(finder);
}

void finder_reset(struct finder *finder)
{
    finder_clear(finder);
    renew(finder);
}

/* ---- time ---- */

static void expire(struct finder *finder, struct seeker *seeker)
{
    struct client *client = seeker->sought->client;

    error_set(&seeker->why, "08001", "store_unavailable: nobody could say in time whose stream it is");
    error_detail(&seeker->why, "A store that was asked has not answered within %u ms (directory_timeout_ms).",
                 finder->loop->settings->directory_timeout_ms);
    error_hint(&seeker->why,
               "SHOW STORES on the admin socket tells which stores can be reached. A statement that names "
               "its tenant need not be looked up.");
    for (struct sought *sought = seeker->sought; sought != NULL; sought = sought->next)
        if (sought->answer == STREAM_ASKED)
            sought->answer = STREAM_FAILED;
    seeker->open = 0;
    unlist(finder, seeker);
    if (client->state == CLIENT_LOOKING)
        client_retry(client);
}

void finder_tick(struct finder *finder, uint64_t now_ms)
{
    uint64_t timeout_ms = finder->loop->settings->directory_timeout_ms;

    struct seeker *seeker = finder->waiting;

    while (seeker != NULL) {
        bool late = now_ms - seeker->since_ms > timeout_ms;

        if (late)
            expire(finder, seeker);
        seeker = late ? finder->waiting
                      : seeker->next; /* whoever goes on may have left the list, and others too */
    }
    for (size_t i = 0; i < finder->loop->shared->stores->count; i++)
        if (finder->askers[i] != NULL)
            asker_tick(finder->askers[i], now_ms);
}

/* ---- life ---- */

struct finder *finder_new(struct loop *loop)
{
    struct finder *finder = calloc(1, sizeof *finder);

    if (finder == NULL)
        return NULL;
    finder->loop = loop;
    finder->directory = directory_new(DIRECTORY_BYTES_MAX);
    if (finder->directory != NULL)
        return finder;
    free(finder);
    return NULL;
}

void finder_free(struct finder *finder)
{
    if (finder == NULL)
        return;
    for (size_t i = 0; i < STORES_MAX; i++)
        asker_free(finder->askers[i]);
    directory_free(finder->directory);
    free(finder);
}

void finder_stop(struct finder *finder)
{
    finder->stopped = true;
    for (size_t i = 0; i < STORES_MAX; i++)
        if (finder->askers[i] != NULL)
            asker_stop(finder->askers[i]);
}
