/* quota.h - how many connections to a store there may be, counted over all loops: default_pool_size (and
 * reserve_pool_size) for each user and database, max_user_connections for each user of a store,
 * max_db_connections for each store. Asked when a connection is opened or closed, not per statement. Any
 * thread.
 *
 * Pools of one user draw from the same quota: one per loop, one per set of startup parameters. A pool that
 * has waiting clients and no connection at all is starved, and says so; whoever gives a connection back then
 * closes it instead. The same when limits have been lowered and more are open than may be: they go as they
 * are given back, none is taken away. */
#ifndef PGSHUNT_PROXY_QUOTA_H
#define PGSHUNT_PROXY_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

struct quota_limits {
    unsigned pool_size, reserve_size;
    unsigned user_max;  /* 0: no limit, here and below */
    unsigned store_max; /* 0: as many as it takes */
};

struct quotas;
struct quota;

struct quotas *quotas_new(const struct quota_limits *limits); /* NULL: no memory */
void quotas_free(struct quotas *quotas);                      /* all quotas given back; NULL is fine */
void quotas_limit(struct quotas *quotas, const struct quota_limits *limits); /* other ones from now on */

/* One reference. NULL: no memory. */
struct quota *quota_get(struct quotas *quotas, unsigned store, const char *user, const char *database);
void quota_put(struct quota *quota);

/* One connection more; `reserve`: also from the reserve. false: there are as many as there may be. */
bool quota_take(struct quota *quota, bool reserve);
void quota_give(struct quota *quota);
unsigned quota_count(const struct quota *quota); /* connections of this user and database, over all loops */
bool quota_is_over(const struct quota *quota);   /* more than there may be: limits have been lowered */
/* Whether one connection less of `other` might let `quota` have one: what is full counts for both. */
bool quota_gains_from(const struct quota *quota, const struct quota *other);

void quota_starve(struct quota *quota, bool starved); /* one pool more, or less, is starved */
bool quota_is_starved(const struct quota *quota); /* some pool that this connection keeps from opening one */
/* The milder one: a pool whose clients wait although it has connections, all of them at work for long. What
 * is idle elsewhere is for them. */
void quota_long(struct quota *quota, bool longing);
bool quota_is_longed(const struct quota *quota);

#endif
