/* glance.h - what attribution and the rehearsal have made of the message at hand, kept until it is known
 * whether the message goes on its way: arrive_at() may look at it several times, and it counts once. A loop
 * has one: a message is looked at, and counted or let wait, in one call.
 *
 * And the rehearsal on paper (DESIGN §4.8): while a tenant is in dual_write, every message is also placed as
 * it would be after that tenant's cutover. What would then be refused, or miss rows, is found for its
 * migration. Nobody in dual_write: one comparison a message. */
#ifndef PGSHUNT_PROXY_GLANCE_H
#define PGSHUNT_PROXY_GLANCE_H

#include "proxy/execute.h"
#include "proxy/place.h"
#include "proxy/seen.h"

enum {
    GLANCES_MAX = 32, /* statements of one message that wait to be counted; further ones count at once */
    NEWS_MAX = 64,    /* findings of one message */
};

struct sighting {
    struct seen_shape *shape;
    struct seen_sight sight;
};

struct news {
    struct seen_shape *shape;
    enum finding finding;
    const char *migration; /* of the loop's table; "" : none */
    const char *why;       /* static */
};

/* One tenant in dual_write. */
struct rehearsal {
    const struct route *route; /* of the loop's table; NULL: free */
    char migration[UUID_TEXT_BYTES];
    uint32_t serial;           /* of the migration: another one in this place has another */
    struct place place;        /* of the message at hand, after the cutover */
    struct seen_shape *writer; /* its last statement that writes */
};

struct glance {
    struct seen *seen; /* owned */
    size_t sighting_count, news_count;
    struct sighting sightings[GLANCES_MAX];
    struct news news[NEWS_MAX];
    bool at_home;           /* everybody lives in the default store */
    size_t rehearsal_count; /* not free ones */
    uint32_t serials;
    struct rehearsal rehearsals[PAPER_MAX];
};

struct glance *glance_new(void); /* NULL: no memory */
void glance_free(struct glance *glance);
/* Other routes; borrowed until the next call. */
void glance_follow(struct glance *glance, const struct route_table *table);

void glance_begin(struct glance *glance); /* a message is looked at, perhaps again */
/* One of its statements, attributed; before place_add(). */
void glance_note(struct glance *glance, const struct running *running, const struct attribution *found);
/* The same, which place_add() has let pass by `rules`. `temporary`: its other tables are all temporary ones.
 */
void glance_rehearse(struct glance *glance, const struct client *client, const struct place_rules *rules,
                     const struct running *running, const struct attribution *found, bool temporary);
/* A message that could not be planned: NULL where there is no plan. */
void glance_unread(struct glance *glance, const struct place_rules *rules, const struct message *message,
                   bool touches);
/* The message goes (or is refused: `goes` false): all of it counts. */
void glance_end(struct glance *glance, struct client *client, bool goes);

#endif
