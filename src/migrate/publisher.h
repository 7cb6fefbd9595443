/* publisher.h - what every event loop and the console shall know: routes and catalogue, built here and posted
 * as letters. A subscriber answers when it has applied one, in the order they were posted. Control's thread.
 */
#ifndef PGSHUNT_MIGRATE_PUBLISHER_H
#define PGSHUNT_MIGRATE_PUBLISHER_H

#include "base/error.h"
#include "route/letters.h"

struct publisher;

/* Borrows all until publisher_free(); answers come to `answers`. */
struct publisher *publisher_new(const struct switchboard *switchboard, const struct stores *stores,
                                struct mailbox *answers);
void publisher_free(struct publisher *publisher); /* NULL is fine */

/* Remembers a tenant's route; an older generation than the one known is ignored. Not posted yet. */
bool publisher_route(struct publisher *publisher, const struct route *route, struct error *err);
/* Is it, or a later one, known already? */
bool publisher_knows(const struct publisher *publisher, const struct route *route);
/* Takes the schema over (NULL: not known any more). Not posted yet. */
bool publisher_schema(struct publisher *publisher, unsigned store_index, struct schema *schema,
                      int server_major, struct error *err);
bool publisher_is_behind(const struct publisher *publisher); /* something was remembered and not posted */
void publisher_routes_known(struct publisher *publisher);    /* from now on clients may be served */

/* Posts what is known to everybody. `sequence` is for publisher_is_applied(). false: no memory, try again. */
bool publisher_post(struct publisher *publisher, uint64_t *sequence, struct error *err);
void publisher_answered(struct publisher *publisher, struct publish_letter *letter); /* takes the letter */
bool publisher_is_applied(const struct publisher *publisher, uint64_t sequence);     /* by every loop */
uint64_t publisher_generation(const struct publisher *publisher);

size_t publisher_away_count(const struct publisher *publisher, const struct store *store);
/* The routes in order of tenant; the table is valid until the next post. NULL: nothing posted yet. */
const struct route_table *publisher_table(const struct publisher *publisher);

#endif
