/* auth_query.h - the secrets of users that are not in auth_file: asked of the default store, as auth_user,
 * over one connection of the loop's own, one question at a time. Answers are kept for a little while,
 * bounded. Owns:   its connection, the line of questions, what it remembers. Leaves: what a secret is good
 * for to auth.   Thread: its loop's.   Start at: auth_query_ask(). */
#ifndef PGSHUNT_PROXY_AUTH_QUERY_H
#define PGSHUNT_PROXY_AUTH_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct auth_query;

/* A question; in its owner's memory, all zeros at first. */
struct auth_lookup {
    /* secret NULL and err NULL: there is no such user, or it has no password. err: it could not be found out.
     */
    void (*done)(struct auth_lookup *lookup, const char *secret, const struct error *err);
    struct auth_lookup *prev, *next;
    char *user;   /* not NULL: it stands in line */
    bool retried; /* asked once more, because an idle connection turned out to be dead */
};

struct auth_query *auth_query_new(struct loop *loop); /* NULL: no memory */
void auth_query_free(struct auth_query *query);       /* after auth_query_stop(), when the loop has ended */
/* done() will be called, perhaps before this returns (the answer is remembered). false: it will not: the line
 * is full, no memory. */
bool auth_query_ask(struct auth_query *query, struct auth_lookup *lookup, const char *user,
                    struct error *err);
void auth_query_forget(struct auth_query *query, struct auth_lookup *lookup); /* done() will not be called */
/* The login with what was found has failed: it may have changed. */
void auth_query_doubt(struct auth_query *query, const char *user);
void auth_query_reset(struct auth_query *query); /* other rules: forgets all it knows, connects anew */
void auth_query_tick(struct auth_query *query, uint64_t now_ms);
void auth_query_stop(struct auth_query *query); /* closes; questions in line are answered no more */

#endif
