/* loop.c - see loop.h: letters in, a clock that ticks, and the end. */
#include "proxy/loop.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/hear.h"
#include "proxy/drain.h"
#include "proxy/tell.h"
#include "proxy/lend.h"
#include "proxy/warm.h"

enum {
    TICK_MS = 20,
    SCAN_EVERY_TICKS = 50,
    PID_BITS = 22,
    TAG_SHIFT = PID_BITS + 6 /* LOOPS_MAX is 64; three bits are left below the sign */
};

/* ---- keys ---- */

/* pid: the process's tag, the loop, a number; always positive as a signed int. */
unsigned loop_of_pid(uint32_t pid)
{
    return pid >> PID_BITS & (LOOPS_MAX - 1);
}

unsigned loop_tag_of_pid(uint32_t pid)
{
    return pid >> TAG_SHIFT;
}

struct client *loop_find_client(const struct loop *loop, uint32_t cancel_pid)
{
    struct client *client = NULL;

    if (loop->by_pid != NULL)
        HASH_FIND(hh, loop->by_pid, &cancel_pid, sizeof cancel_pid, client);
    return client;
}

void loop_give_cancel_key(struct loop *loop, struct client *client)
{
    uint32_t pid;

    do {
        loop->next_pid = (loop->next_pid + 1) & ((1u << PID_BITS) - 1);
        pid = loop->shared->tag << TAG_SHIFT | loop->index << PID_BITS | loop->next_pid;
    } while (pid == 0 || loop_find_client(loop, pid) != NULL);
    client->cancel_pid = pid;
    client->cancel_key_bytes = CANCEL_KEY_BYTES;
    if (RAND_bytes(client->cancel_key, sizeof client->cancel_key) != 1)
        abort(); /* no randomness: anybody could cancel anything */
    HASH_ADD(hh, loop->by_pid, cancel_pid, sizeof client->cancel_pid, client);
}

/* ---- letters ---- */

static void loop_letter_drop(struct letter *letter)
{
    struct loop_letter *own = (struct loop_letter *)letter;

    if (own->what == LOOP_SOCKET && own->fd >= 0)
        close(own->fd);
    proxy_settings_give(own->settings);
    free(own);
}

struct loop_letter *loop_letter_new(enum loop_what what)
{
    struct loop_letter *letter = calloc(1, sizeof *letter);

    if (letter == NULL)
        return NULL;
    letter->letter.kind = LETTER_LOOP;
    letter->letter.drop = loop_letter_drop;
    letter->what = what;
    letter->fd = -1;
    return letter;
}

static void on_publish(struct loop *loop, struct publish_letter *letter)
{
    struct route_table *table = loop->table;
    struct catalogue *catalogue = loop->catalogue;
    bool catalogue_changed = letter->catalogue->generation != catalogue->generation;

    loop->table = letter->table;
    loop->catalogue = letter->catalogue;
    letter->table = NULL;
    letter->catalogue = NULL;
    route_table_give(table);
    catalogue_give(catalogue);
    loop->ready = loop->ready || letter->ready;
    finder_follow(loop->finder, catalogue_changed);
    gates_follow(loop->gates, loop->table, clock_ms());
    glance_follow(loop->glance, loop->table);
    ears_follow(loop->ears);
    letter->loop = loop->index;
    letter_reply(&letter->letter);
}

static void on_gate(struct loop *loop, struct gate_letter *letter)
{
    warm_count(loop, letter);
    gates_order(loop->gates, letter, clock_ms());
}

static void on_cancel(struct loop *loop, const struct loop_letter *letter)
{
    struct client *client = loop_find_client(loop, letter->pid);

    if (client != NULL && client->cancel_key_bytes == letter->key_bytes &&
        CRYPTO_memcmp(client->cancel_key, letter->key, letter->key_bytes) == 0)
        client_cancel(client, letter->asker);
    else
        cancel_answer(loop, letter->asker);
}

static void on_cancelled(struct loop *loop, const struct loop_letter *letter)
{
    struct client *asker = loop_find_client(loop, letter->pid);

    if (asker != NULL && asker->cancelling)
        client_close(asker);
}

static void on_settings(struct loop *loop, struct loop_letter *letter)
{
    struct proxy_settings *before = loop->settings;

    loop->settings = letter->settings;
    letter->settings = before; /* given back by the letter's drop */
    auth_query_reset(loop->auth_query);
    lend_reload(loop);
    finder_reset(loop->finder);
}

static void on_own_letter(struct loop *loop, struct loop_letter *letter)
{
    int fd = letter->fd;

    switch (letter->what) {
    case LOOP_SOCKET:
        letter->fd = -1;
        client_open(loop, fd);
        break;
    case LOOP_CANCEL:
        on_cancel(loop, letter);
        break;
    case LOOP_CANCELLED:
        on_cancelled(loop, letter);
        break;
    case LOOP_SETTINGS:
        on_settings(loop, letter);
        break;
    case LOOP_DRAIN:
        drain_begin(loop);
        break;
    case LOOP_UNSETTLED:
        finder_clear(loop->finder);
        break;
    }
    letter_reply(&letter->letter);
}

/* Every client hears 57P01; the loop ends when the last handle is closed: the clock is, by itself, when all
 * last words have been said. */
static void on_stop(struct loop *loop)
{
    struct client *client, *next;
    struct error err;

    if (loop->stopping)
        return;
    loop->stopping = true;
    error_set(&err, "57P01", "terminating connection due to administrator command");
    DL_FOREACH_SAFE(loop->clients, client, next)
        client_fail(client, &err);
    ears_stop(loop->ears);
    auth_query_stop(loop->auth_query);
    finder_stop(loop->finder);
    lend_stop(loop);
    uv_poll_stop(&loop->letters);
    uv_close((uv_handle_t *)&loop->letters, NULL);
}

static void on_letter(struct loop *loop, struct letter *letter)
{
    switch (letter->kind) {
    case LETTER_PUBLISH:
        on_publish(loop, (struct publish_letter *)letter);
        break;
    case LETTER_GATE:
        on_gate(loop, (struct gate_letter *)letter);
        break;
    case LETTER_LOOP:
        on_own_letter(loop, (struct loop_letter *)letter);
        break;
    case LETTER_SHOW:
        tell(loop, (struct show_letter *)letter);
        letter_reply(letter);
        break;
    case LETTER_STOP:
        letter_drop(letter);
        on_stop(loop);
        break;
    default:
        letter_drop(letter);
    }
}

static void on_letters(uv_poll_t *poll, int status, int events)
{
    struct loop *loop = poll->data;
    struct letter *letter;

    (void)status;
    (void)events;
    while (!loop->stopping && (letter = mailbox_next(loop->mailbox)) != NULL)
        on_letter(loop, letter);
}

/* ---- time ---- */

bool loop_lease_is_valid(const struct loop *loop)
{
    return lease_is_valid(loop->shared->lease, clock_boot_ms());
}

static void count_period(struct loop *loop)
{
    if (clock_ms() < loop->period_ends_ms)
        return;
    loop->period_ends_ms = clock_ms() + TALLY_PERIOD_MS;
    for (size_t i = 0; i < loop->shared->stores->count; i++)
        tally_end_period(&loop->tallies[i]);
}

static void on_tick(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    struct client *client, *next;

    streams_expire(&loop->lingering, clock_ms());
    if (loop->stopping && loop->lingering == NULL) {
        uv_timer_stop(timer);
        uv_close((uv_handle_t *)timer, NULL);
        return;
    }
    admit_tick(loop, clock_ms());
    gates_tick(loop->gates, loop_lease_is_valid(loop), clock_ms());
    count_period(loop);
    finder_tick(loop->finder, clock_ms());
    if (!loop->stopping)
        lend_tick(loop);
    if (loop->draining)
        drain_tick(loop);
    if (++loop->ticks % SCAN_EVERY_TICKS != 0)
        return;
    ears_tick(loop->ears);
    if (!loop->stopping)
        lend_sweep(loop);
    auth_query_tick(loop->auth_query, clock_ms());
    DL_FOREACH_SAFE(loop->clients, client, next) {
        client_expired(client);
        warm_again(client);
    }
}

/* ---- life ---- */

static void *loop_main(void *arg)
{
    struct loop *loop = arg;

    pthread_setname_np(pthread_self(), "pgshunt-loop");
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return NULL;
}

static bool make_handles(struct loop *loop)
{
    if (uv_loop_init(&loop->uv) != 0)
        return false;
    loop->letters.data = loop;
    loop->tick.data = loop;
    return uv_poll_init(&loop->uv, &loop->letters, mailbox_fd(loop->mailbox)) == 0 &&
           uv_poll_start(&loop->letters, UV_READABLE, on_letters) == 0 &&
           uv_timer_init(&loop->uv, &loop->tick) == 0 &&
           uv_timer_start(&loop->tick, on_tick, TICK_MS, TICK_MS) == 0;
}

/* Until the first publication: no routes, columns unknown. */
static bool make_blank(struct loop *loop)
{
    const struct stores *stores = loop->shared->stores;

    loop->table = route_table_new(0);
    loop->catalogue = catalogue_new(0, stores->count);
    if (loop->table == NULL || loop->catalogue == NULL)
        return false;
    route_table_seal(loop->table, stores_default(stores));
    for (size_t i = 0; i < stores->count; i++)
        if ((loop->catalogue->schemas[i] = schema_new(0)) == NULL)
            return false;
    return true;
}

bool loop_start(struct loop *loop, const struct proxy_shared *shared, struct proxy_settings *settings,
                unsigned index, struct stats *stats, struct error *err)
{
    loop->shared = shared;
    loop->settings = proxy_settings_take(settings);
    loop->index = index;
    loop->period_ends_ms = clock_ms() + TALLY_PERIOD_MS;
    loop->stats = stats;
    loop->mailbox = shared->switchboard->loops[index];
    loop->gates = gates_new(index);
    loop->planner = planner_new(shared->tenant_setting);
    loop->glance = glance_new();
    loop->remember = remember_new();
    loop->derive = derive_new(DERIVED_KEYS_MAX);
    loop->guess = guess_new();
    loop->auth_query = auth_query_new(loop);
    loop->ears = ears_new(loop);
    loop->finder = finder_new(loop);
    if (loop->ears == NULL || loop->finder == NULL || loop->gates == NULL || loop->planner == NULL ||
        loop->glance == NULL || loop->remember == NULL || loop->derive == NULL || loop->guess == NULL ||
        loop->auth_query == NULL || !make_blank(loop) || !make_handles(loop) || !lend_start(loop))
        return error_no_memory(err);
    if (pthread_create(&loop->thread, NULL, loop_main, loop) != 0)
        return error_set(err, "53000", "cannot start an event loop's thread");
    return true;
}

void loop_join(struct loop *loop)
{
    pthread_join(loop->thread, NULL);
    uv_loop_close(&loop->uv);
    gates_free(loop->gates);
    glance_free(loop->glance);
    planner_free(loop->planner);
    remember_free(loop->remember);
    lend_done(loop);
    derive_free(loop->derive);
    guess_free(loop->guess);
    auth_query_free(loop->auth_query);
    ears_free(loop->ears);
    finder_free(loop->finder);
    bind_scratch_done(&loop->scratch);
    route_table_give(loop->table);
    catalogue_give(loop->catalogue);
    proxy_settings_give(loop->settings);
}
