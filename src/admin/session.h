/* session.h - one operator's connection: PostgreSQL's protocol as a server speaks it, without a socket.
 * Bytes go into session_in(), session_run() does what they say, the answer stands in session_out(). console.c
 * moves the bytes. One thread; nothing blocks. */
#ifndef PGSHUNT_ADMIN_SESSION_H
#define PGSHUNT_ADMIN_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/view.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"
#include "migrate/control.h"

struct session;

struct session_hooks {
    bool (*ask)(void *who,
                struct control_request *request); /* true: taken; session_answer() brings it back */
    unsigned (*ask_loops)(void *who, enum show_what what,
                          uint64_t tag);                       /* session_told(), as often as it says */
    void (*wake_in)(void *who, uint64_t ms);                   /* session_tick() then */
    void (*cancel)(void *who, uint32_t pid, struct slice key); /* a CancelRequest for another session */
    void *who;
};

struct session_setup {
    const struct view *view;           /* borrowed until session_free() */
    const struct session_hooks *hooks; /* borrowed until session_free() */
    const char *operator_name;         /* copied */
    uint32_t pid;                      /* its name in cancel requests and in the tags of its questions */
    unsigned char key[CANCEL_KEY_BYTES];
    const struct error *refusal; /* copied; not NULL: the startup packet is answered with this (FATAL) */
};

struct session *session_new(const struct session_setup *setup); /* NULL: no memory */
void session_free(struct session *session);                     /* NULL is fine */

struct buf *session_in(struct session *session);
struct buf *session_out(struct session *session);

/* Does all it can with what is in session_in(), until it waits for an answer or the operator has to read
 * first. */
void session_run(struct session *session);
/* An answer by tag; takes the request. One that came too late is dropped. */
void session_answer(struct session *session, struct control_request *request);
/* A loop's answer by tag; takes the letter. */
void session_told(struct session *session, struct show_letter *letter);
void session_news(struct session *session,
                  const struct news_letter *news); /* a notice; the letter stays the caller's */
void session_tick(struct session *session);
/* Ends the command that is under way (57014); nothing if there is none. `key` is compared in constant time.
 */
void session_cancel(struct session *session, struct slice key);
/* Says why (FATAL) and ends. */
void session_end(struct session *session, const struct error *err);

bool session_wants_input(const struct session *session);
bool session_is_over(const struct session *session); /* to be closed once session_out() is sent */
bool session_is_starting(
    const struct session *session); /* has not sent its startup packet: a timeout applies */

#endif
