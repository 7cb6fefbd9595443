/* asker.h - asks one store whose streams they are: sql/stream_find.sql over one connection of the loop's own,
 * as the role of [stores], prepared and pipelined. Opened when there is something to ask, or soon will be.
 * Owns:   its connection, the line of questions. Leaves: what the answers of several stores mean to finder.
 * Thread: its loop's.   Start at: asker_ask(). */
#ifndef PGSHUNT_PROXY_ASKER_H
#define PGSHUNT_PROXY_ASKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "route/store.h"
#include "sql/attribute.h"

struct loop;
struct asker;

/* `who` is the question's. STREAM_TENANT, _NULL, _NOBODY, _MIXED, or _FAILED: `why` says so. May ask again.
 */
typedef void asker_answered(void *who, enum stream_answer answer, const char *tenant,
                            const struct error *why);

struct asker *asker_new(struct loop *loop, const struct store *store, asker_answered *answered);
void asker_free(struct asker *asker); /* after asker_stop(), when the loop has ended; NULL is fine */

/* answered() follows, once, and not before this returns; false: it will not (no memory, stopped). `key` is
 * borrowed until then. What is asked goes out with asker_flush(). */
bool asker_ask(struct asker *asker, struct slice key, void *who);
void asker_flush(struct asker *asker); /* answered() may be called */
/* Connects, so that the first question need not wait for it. Fine if it is connected, or cannot be. */
void asker_open(struct asker *asker);
/* Other columns, other rules, or nothing left to ask: a fresh connection for what is asked from now on. */
void asker_renew(struct asker *asker);
void asker_tick(struct asker *asker, uint64_t now_ms);
void asker_stop(struct asker *asker); /* closes, and fails all that is asked */

#endif
