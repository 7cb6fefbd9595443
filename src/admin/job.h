/* job.h - one command being carried out: at once from the view, by a question to control, or over time
 * (WATCH, WAIT). Never blocks: JOB_WAITS means that job_answer() or job_tick() goes on later. Console's
 * thread. */
#ifndef PGSHUNT_ADMIN_JOB_H
#define PGSHUNT_ADMIN_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/command.h"
#include "admin/gather.h"
#include "admin/view.h"
#include "base/error.h"
#include "base/rows.h"
#include "migrate/control.h"
#include "sql/attribute.h"

enum {
    JOB_POLL_MS = 200,   /* how often WATCH and WAIT look: fast enough for an eye, nothing for the database */
    JOB_LOOPS_MS = 2000, /* a loop that has not answered by then is left out, and the operator is told */
};

/* No more than CUTOVER_REHEARSALS_MAX of migrate/cutover.h. */
enum { JOB_REHEARSALS_MAX = 100 };

enum job_result { JOB_DONE, JOB_FAILED, JOB_WAITS };

/* How a job reaches the world. */
struct job_hooks {
    bool (*ask)(void *who, struct control_request *request); /* true: taken, an answer will come */
    unsigned (*ask_loops)(void *who, enum show_what what, uint64_t tag); /* how many will answer */
    void (*wake_in)(void *who, uint64_t ms);                             /* job_tick() then; one at a time */
    void (*notice)(void *who, const char *message);
    void *who;
};

struct job {
    const struct view *view; /* borrowed, as all of these, while the job runs */
    const struct job_hooks *hooks;
    const char *operator_name;
    const struct command *command;
    const struct parameters *params; /* of EXPLAIN ROUTE; NULL: none */
    uint32_t owner, asked;           /* make the tag of the question that is out */
    bool waits_for_answer;
    struct gather gather; /* of SHOW CLIENTS and its like: until deadline_ms */
    uint64_t deadline_ms; /* WAIT … TIMEOUT; 0: none */
    bool was_paused;      /* WATCH has seen the cutover begin */
    char told[512];       /* WATCH: the last notice */
    struct {
        bool cutting;     /* the question that is out is the cutover itself */
        uint64_t wait_ms; /* before the next try; grows with every one that was taken back */
    } ready;              /* CUTOVER … WHEN READY */
};

/* Sets out; the fields from `view` to `owner` are the caller's to fill in. DONE: `rows`, NULL for none, are
 * the caller's. FAILED: `err`. */
enum job_result job_start(struct job *job, struct rows **rows, struct error *err);
/* Control's answer to this job's question; takes the request. */
enum job_result job_answer(struct job *job, struct control_request *request, struct rows **rows,
                           struct error *err);
/* A loop's answer; takes the letter. */
enum job_result job_told(struct job *job, struct show_letter *letter, struct rows **rows, struct error *err);
enum job_result job_tick(struct job *job, struct rows **rows, struct error *err);

/* Nobody waits for it any more: what only looks (VERIFY), or can be asked for again (REPAIR), is ended. */
void job_cancel(struct job *job);
void job_news(struct job *job, const char *text); /* from whoever carries it out */

void job_done(struct job *job); /* forgets what has been gathered; fine at any time */

/* --- for its chapters (ready.c) --- */
enum job_result job_ask(struct job *job, enum control_verb verb, struct error *err);
enum job_result job_look_again(struct job *job, uint64_t ms); /* job_tick() then */
void job_tell_once(struct job *job, const char *text); /* a notice, unless it says what the last one said */
const char *job_found(const struct rows *rows, const char *name); /* a value of CONTROL_FIND's row; "" */
bool job_state_is_final(const char *state);
bool job_may_come_back(const struct error *err); /* a control database that is away for a moment */

uint64_t job_tag(const struct job *job);
uint32_t job_owner_of_tag(uint64_t tag);

#endif
