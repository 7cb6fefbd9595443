/* mailbox.h - letters from any thread to the one that owns the mailbox.
 * A mailbox is a locked queue and an eventfd: the owner polls mailbox_fd() (a uv_poll_t on an event loop, poll(2)
 * beside a libpq socket on a runner) and takes letters until there are none. Reference counted: a sender holds a
 * reference, so that a mailbox may outlive its owner; after mailbox_close() it refuses letters.
 *
 * Ownership: the sender allocates; a posted letter belongs to the receiver; a refused one stays the sender's.
 * A request carries its reply in itself and the mailbox to send it back to, so that an answer cannot fail for
 * memory: letter_reply() posts the same letter back (or drops it if nobody listens any more). */
#ifndef PGSHUNT_BASE_MAILBOX_H
#define PGSHUNT_BASE_MAILBOX_H

#include <stdbool.h>

struct mailbox;

struct letter {
    struct letter *next;             /* the queue's, while posted */
    int kind;                        /* enum letter_kind of route/letters.h */
    struct mailbox *reply_to;        /* a reference held by the letter, or NULL: nobody wants an answer */
    void (*drop)(struct letter *me); /* frees the letter and what it owns (not reply_to: letter_drop() does) */
};

struct mailbox *mailbox_new(void); /* one reference; NULL: no memory or no descriptor */
struct mailbox *mailbox_take(struct mailbox *box);
void mailbox_give(struct mailbox *box); /* NULL is fine */

int mailbox_fd(const struct mailbox *box);                        /* readable while letters may wait */
bool mailbox_post(struct mailbox *box, struct letter *letter);    /* false: closed, the letter is still yours */
struct letter *mailbox_next(struct mailbox *box);                 /* NULL: empty. Owner's thread only */
void mailbox_close(struct mailbox *box);                          /* refuses from now on, drops what waits */

void mailbox_open(struct mailbox *box);  /* takes letters again */

/* Posts to `box`; a refused letter is dropped. */
void letter_send(struct mailbox *box, struct letter *letter);
/* Sends the letter back to reply_to (consuming that reference); dropped if there is none or it is closed. */
void letter_reply(struct letter *letter);
void letter_drop(struct letter *letter); /* NULL is fine */

#endif
