/* loop.h - one thread: its clients, servers, gates, mailbox, planner; the routes as it knows them. */
#ifndef PGSHUNT_PROXY_LOOP_H
#define PGSHUNT_PROXY_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <utlist.h>
#include <uv.h>

#include "base/log.h"
#include "base/mailbox.h"
#include "base/stats.h"
#include "proxy/bind_read.h"
#include "proxy/cancel.h"
#include "proxy/client.h"
#include "proxy/derive.h"
#include "proxy/glance.h"
#include "proxy/guess.h"
#include "proxy/pool.h"
#include "proxy/remember.h"
#include "proxy/settings.h"
#include "proxy/tally.h"
#include "route/catalogue.h"
#include "route/gate.h"
#include "route/lease.h"
#include "route/letters.h"
#include "sql/plan.h"

/* What all loops share and never change. What RELOAD may change stands in struct proxy_settings. */
struct proxy_shared {
    const struct stores *stores;
    const struct switchboard *switchboard;
    const struct lease *lease;
    struct log *log;
    unsigned tag;               /* of this process, in cancel keys */
    unsigned char mock_key[32]; /* scram_verifier_mock() */
    const char *tenant_setting;
    bool shares; /* pool_mode = transaction */
    struct quotas *quotas;
    atomic_uint *client_count; /* of all loops: the one number they share */
};

struct loop {
    const struct proxy_shared *shared;
    unsigned index;
    pthread_t thread;
    uv_loop_t uv;
    struct mailbox *mailbox; /* the switchboard's */
    uv_poll_t letters;
    uv_timer_t tick;
    struct stats *stats;
    struct proxy_settings *settings; /* a reference; replaced by RELOAD */
    struct client *clients;          /* list */
    struct server *servers;          /* list: every one that is open, whoever it works for */
    struct tally tallies[STORES_MAX];
    uint64_t period_ends_ms; /* of the tallies */
    struct client *by_pid;   /* hash by cancel_pid */
    uint32_t next_pid;
    uint64_t last_serial;   /* of a prepared statement of any client */
    uint64_t client_number; /* of the last one */
    struct gates *gates;
    struct stream *lingering; /* streams that close by themselves, or at a time */
    struct ears *ears;
    struct finder *finder;
    struct planner *planner;
    struct glance *glance;
    struct route_table *table;
    struct catalogue *catalogue;
    struct bind_scratch scratch;
    struct remember *remember;
    struct pools *pools; /* pool_mode = transaction */
    struct pool *due;    /* those to be looked at when what has come is handled … */
    uv_check_t check;    /* … which is now */
    struct derive *derive;
    struct guess *guess;
    struct auth_query *auth_query;
    struct admit *refused; /* list: clients whose refusal waits */
    unsigned refused_count;
    bool ready; /* the routing table has been read */
    bool stopping;
    bool draining; /* clients go when their transaction ends (drain.h) */
    unsigned ticks;
};

/* Private letters of the loops (LETTER_LOOP). */
enum loop_what { LOOP_SOCKET, LOOP_CANCEL, LOOP_CANCELLED, LOOP_SETTINGS, LOOP_DRAIN, LOOP_UNSETTLED };
struct loop_letter {
    struct letter letter;
    enum loop_what what;
    int fd;       /* LOOP_SOCKET; closed by its drop */
    uint32_t pid; /* LOOP_CANCEL: whom; LOOP_CANCELLED: who has asked */
    struct cancel_asker asker;
    size_t key_bytes;
    unsigned char key[CANCEL_KEY_BYTES_LONG];
    struct proxy_settings *settings; /* LOOP_SETTINGS: a reference; answered when it is in force */
};
struct loop_letter *loop_letter_new(enum loop_what what);

/* Takes a reference of `settings`. */
bool loop_start(struct loop *loop, const struct proxy_shared *shared, struct proxy_settings *settings,
                unsigned index, struct stats *stats, struct error *err);
void loop_join(struct loop *loop); /* after a LETTER_STOP has been posted */
bool loop_lease_is_valid(const struct loop *loop);

/* A number and a secret for CancelRequests. */
void loop_give_cancel_key(struct loop *loop, struct client *client);
struct client *loop_find_client(const struct loop *loop, uint32_t cancel_pid);
/* Which loop a cancel key belongs to. */
unsigned loop_of_pid(uint32_t pid);
unsigned loop_tag_of_pid(uint32_t pid); /* and which process */

#endif
