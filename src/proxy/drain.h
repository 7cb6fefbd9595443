/* drain.h - a graceful end: each client goes when nothing is lost by it. The loop's thread.
 *
 * Between two transactions a client is told 57P01 and closed: at once if it is idle, else when its
 * transaction has ended, at the latest instead of its next statement, which then has not been begun. Two are
 * left alone for a moment: whoever is still logging in, and whoever has been in for less than DRAIN_YOUNG_MS.
 * They came to say something; an application that connects, says it and leaves does not notice. */
#ifndef PGSHUNT_PROXY_DRAIN_H
#define PGSHUNT_PROXY_DRAIN_H

#include <stdbool.h>

struct client;
struct loop;

void drain_begin(struct loop *loop);
void drain_tick(struct loop *loop); /* while loop->draining */
/* A message has come: true: the client was closed instead. */
bool drain_instead(struct client *client);

#endif
