/* control_impl.h - the control thread's own state, for its chapters: control.c (letters, connection, lease,
 * start and stop), control_routes.c, control_runners.c, control_requests.c. Nobody else includes this. */
#ifndef PGSHUNT_MIGRATE_CONTROL_IMPL_H
#define PGSHUNT_MIGRATE_CONTROL_IMPL_H

#include <pthread.h>

#include "migrate/control.h"
#include "migrate/follower.h"
#include "migrate/publisher.h"
#include "migrate/runner.h"
#include "migrate/shapes.h"
#include "migrate/survey.h"

enum { CONTROL_INSTANCE_BYTES = 200 };

struct running {
    struct runner *runner;
    bool ended, has_slot;
    bool resumes;         /* it was paused: goes before those that have not begun */
    struct letter *asks;  /* RUNNER_SLOT, not granted yet; NULL: none */
    uint64_t expected_ms; /* pending since before our start: it asks until then, and others wait for it */
    bool switched;        /* its tenant has moved: it takes no requests any more */
    struct running *next;
};

struct control {
    struct control_setup setup;
    pthread_t thread;
    struct mailbox *mailbox; /* borrowed from the switchboard */
    struct event_names *names;
    struct ledger_setup ledger_setup;
    struct runner_setup runner_setup;
    char instance[CONTROL_INSTANCE_BYTES], host[100];
    uint64_t lease_ms;

    struct ledger *ledger; /* NULL: not connected */
    char started_at[64];   /* of our row in proxy_instances; "": not registered yet */
    bool replaced;         /* another process has our name */
    bool others;           /* other instances are alive */
    uint64_t connect_next_ms, connect_wait_ms, heartbeat_next_ms, orphans_next_ms;
    bool read_routes, routes_read, ready;
    bool note_all;             /* our row is a new one: what was said before it is said again */
    uint64_t regained_boot_ms; /* a lease that ran out is to be had until then; 0: none */

    struct publisher *publisher;
    struct follower *follower; /* of migrations that other instances run */
    struct survey *survey;
    uint64_t applied_by_ms; /* 0: everything posted has been applied */
    uint64_t last_sequence;

    struct running *running;
    struct letter *publishing; /* struct runner_letter: PUBLISH, not applied everywhere yet */
    struct letter *requests;   /* struct control_request */
    bool stopping;

    struct shapes *shapes;
    struct rows *seen[LOOPS_MAX];      /* the last answers to SHOW_SEEN; owned; NULL: none */
    struct letter *asking;             /* struct control_request: the loops are asked first */
    bool (*on_letters)(void *control); /* what a pg_wake calls */
    bool shapes_failing;               /* the last write has failed, and that was told */
    bool round_failed;                 /* something of it could not be asked, or is missing in its answers */
    uint64_t round;                    /* of questions to the loops; its answers carry it */
    unsigned round_left;               /* answers that have not come */
    uint64_t round_ends_ms, shapes_next_ms;
};

uint64_t control_statement_ms_max(const struct control *c); /* no statement of control's lasts longer */

/* control_routes.c: what loops are told, and where it comes from. */
void control_publish(struct control *c);          /* what has changed since */
void control_answer_published(struct control *c); /* the runners whose route every loop has applied */
void control_complain_of_loops(struct control *c);
void control_take_publication(struct control *c, struct runner_letter *news); /* takes the letter */
bool control_read_routes(struct control *c, struct error *err);
void control_take_notifies(struct control *c); /* what other instances and people have changed */

/* control_runners.c */
struct running *control_find_running(struct control *c, const char *id); /* NULL: there is none */
/* Takes the request (NULL: none) over. NULL: it could not, and has been answered. */
struct running *control_start_runner(struct control *c, const char *id, struct control_request *request);
void control_grant_slots(struct control *c);
void control_take_slot(struct control *c, struct runner_letter *news); /* takes the letter */
void control_free_slot(struct control *c, const char *id);             /* it is paused */
void control_join_ended(struct control *c);
bool control_adopt_orphans(struct control *c, struct error *err);
void control_stop_runners(struct control *c);

/* control_shapes.c: what the loops have found. */
/* A request that needs it waits until they have told: true, and it has been taken. */
bool control_ask_loops(struct control *c, struct control_request *request);
void control_told(struct control *c, struct show_letter *letter); /* takes the letter */
void control_stop_asking(struct control *c); /* those that have not answered are left out */
bool control_write_shapes(struct control *c, struct error *err); /* what they have told, all of it */
void control_last_shapes(struct control *c);                     /* what there is when it stops */
/* CHECK COVERAGE; `rows` NULL: only its notice is wanted. */
bool control_coverage(struct control *c, struct control_request *request, struct rows **rows,
                      struct error *err);
void control_tend_shapes(struct control *c); /* from time to time, by itself */

/* control_stop.c: a row for every migration that was stopped; and which one is under way for the request's
 * tenant (not `there`: the request has its rows already). */
bool control_stop_all(struct control *c, const struct control_request *request, struct rows **rows,
                      struct error *err);
struct found_migration;
bool control_find_active(struct control *c, struct control_request *request, struct found_migration *found,
                         bool *there, struct error *err);

/* control_requests.c: answers the oldest request, if there is one. */
void control_answer_one(struct control *c);

#endif
