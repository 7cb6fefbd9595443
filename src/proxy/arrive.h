/* arrive.h - a message on its way to a server: planned, attributed, placed, let through its gates, its server
 * joined. May be called again for the same message until it says ARRIVED or REFUSED; nothing is remembered
 * here (book.h). Start at arrive_at(). */
#ifndef PGSHUNT_PROXY_ARRIVE_H
#define PGSHUNT_PROXY_ARRIVE_H

#include "proxy/client.h"

struct copy_row;

struct message {
    struct plan *plan; /* NULL: could not be read */
    struct slice text;
    const struct shape *shape;
    const struct parameters *params; /* NULL: none */
    bool simple;                     /* Query: refusals end with ReadyForQuery */
    bool call; /* FunctionCall: a function by its oid. What it does is not known, as of SELECT f() */
    const struct store *at; /* it must go there: an open portal; NULL: it is to be found out */
    bool asks_only;         /* Parse: nothing runs yet */
    bool rows_are_read; /* every row of its COPYs will be looked at before the server has it (copying.h) */
    const struct copy_row
        *row;            /* … and of this COPY the first one has been, before any store has been chosen */
    struct bound *bound; /* Execute: what was bound */
    bool runs_prepare;   /* a Bind of what SQL's PREPARE made: `plan` and `text` are the PREPARE's */
};

enum arrival { ARRIVED, WAITING, REFUSED };

/* *server is where the message goes now. WAITING: the client's state says for what. */
enum arrival arrive_at(struct client *client, const struct message *message, struct server **server,
                       struct error *err);
/* The store a session begins at: where its tenant lives (user mapping, startup setting), else the default
 * store. */
const struct store *arrive_home(struct client *client);
/* The READY server of the transaction, else of the last statement, else of the default store; NULL: there is
 * none. */
struct server *arrive_current(struct client *client);
/* The transaction has failed on its branch (as far as the client knows everything that was answered). */
bool arrive_has_failed(const struct client *client);

struct around { /* the memory behind struct surroundings */
    char setting[TENANT_BYTES_MAX], user[TENANT_BYTES_MAX], comment[TENANT_BYTES_MAX];
    char transaction[TENANT_BYTES_MAX];
};
/* The same for the comment of statement `index`. */
void arrive_look_at_comment(const struct client *client, const struct message *message, size_t index,
                            struct surroundings *around, struct around *memory);
struct place_rules arrive_rules(const struct client *client);
struct gate_ask arrive_gate_ask(const struct client *client, const struct place *place);
/* The client waits at that gate; WAITING. */
enum arrival arrive_hold(struct client *client, struct gate *closed);
void arrive_look_around(const struct client *client, struct surroundings *around, struct around *memory);

#endif
