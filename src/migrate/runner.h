/* runner.h - the thread that carries one migration through its states (DESIGN §4). Blocking and sequential;
 * letters interrupt it between steps and while it waits for a server.
 *
 * Who reads this: control.c starts and ends runners; start.c, check.c and cutover.c are the runner's own
 * chapters and see all of it. Everything below struct runner is for them. */
#ifndef PGSHUNT_MIGRATE_RUNNER_H
#define PGSHUNT_MIGRATE_RUNNER_H

#include <pthread.h>

#include "migrate/breaker.h"
#include "migrate/control.h"
#include "migrate/cursor.h"
#include "migrate/gatekeeper.h"
#include "migrate/ledger_notes.h"
#include "migrate/migration.h"
#include "migrate/mirror.h"
#include "migrate/verifier.h"

struct runner;

struct runner_setup { /* borrowed until runner_join() */
    const struct config *config;
    const struct stores *stores;
    const struct switchboard *switchboard;
    const struct event_names *names;
    const struct ledger_setup *ledger;
    struct log *log;
    struct lease *lease;
    control_logins *each_login;
};

/* Letters between control and runners: kind LETTER_RUNNER. */
enum runner_news {
    RUNNER_PUBLISH, /* runner → control: the tenant's route is this now; answered when every loop has applied
                       it */
    RUNNER_SLOT, /* runner → control: may I copy? answered when fewer than max_concurrent_migrations do */
    RUNNER_REST, /* runner → control: I am paused, and leave my slot to others */
    RUNNER_SWITCHED, /* runner → control: the tenant has moved; only its source is still tidied up */
    RUNNER_ENDED,    /* runner → control: join me */
    RUNNER_LOOK,     /* control → runner: somebody changed your row by hand */
};
struct runner_letter {
    struct letter letter;
    enum runner_news news;
    char migration[UUID_TEXT_BYTES];
    struct route route; /* PUBLISH */
    uint64_t sequence;  /* PUBLISH: control's own */
    bool resumes;       /* SLOT: it was paused */
};

/* `request` a START: it is checked, written down and answered. An errand (CHECK MIGRATION …): it is answered,
 * and the thread ends. An ABORT, or NULL: the migration is taken up where its row says (and ended). The
 * request is taken over even on failure. */
bool runner_start(const struct runner_setup *setup, const char *id, struct control_request *request,
                  struct runner **runner, struct error *err);
const char *runner_id(const struct runner *runner);
struct mailbox *runner_mailbox(struct runner *runner); /* STOP, LETTER_CONTROL (taken over), LETTER_RUNNER */
struct letter *runner_left(
    struct runner *runner);              /* after RUNNER_ENDED: a request that came too late, or NULL */
void runner_join(struct runner *runner); /* after STOP or RUNNER_ENDED; frees it */

/* --- for the runner's chapters --- */

enum {
    RUNG_MAX = 128,
    LETTER_TIMEOUT_MS = 10000, /* loops answer in microseconds; one that does not is a bug, and is logged */
};

struct runner {
    bool moves;                       /* counted in lease->moves */
    const struct runner_setup *setup; /* `kept` */
    struct runner_setup kept;         /* with a reference to the configuration it began by */
    pthread_t thread;
    struct mailbox *mailbox;
    char id[UUID_TEXT_BYTES];
    struct control_request *start; /* START, until it is answered */

    struct migration m;
    enum migration_state state, paused_from;
    char operator_name[64];      /* who started it */
    struct ledger *ledger;       /* NULL: lost */
    struct ledger_routed routed; /* the route's last change */
    struct mirror *mirror;       /* NULL: not prepared */
    struct cursor cursor;
    struct breaker breaker;
    struct gatekeeper gates;
    bool owned;           /* lock, epoch and row are ours */
    bool connected;       /* to both stores, cursor claimed, mirror made */
    bool announced;       /* pending, and the route says bulk_copy already */
    bool released;        /* failed, and no gate is closed any more */
    bool lives_elsewhere; /* failed, and its tenant's home was changed by hand */
    bool gates_ordered;   /* some loops may have them */
    bool gates_made;      /* on every loop */
    bool gates_claimed;   /* under an epoch of this claim */
    bool tap_checked;
    bool guards_checked;         /* both stores know where the tenant lives, and have their guards */
    bool settling;               /* a cutover's outcome is not known: the row is not claimed before it is */
    bool tap_to_open;            /* a cutover that was not switched has left it shut, perhaps */
    struct error taken_back_for; /* why its last cutover is on its way back */
    bool over;                   /* the thread ends */

    /* what the letters said */
    bool stopping;
    bool interrupted; /* what is under way shall be abandoned: STOP, ABORT, a forced CUTOVER */
    bool critical;    /* ... but not now: a cutover is under way */
    bool revocable;   /* ... which has not come to its point of return, */
    bool recalled;    /* and shall be taken back at once: ABORT, RESUME WRITES, a row changed by hand */
    bool rung, look, slot, slot_asked, publishing;
    int32_t rung_pids[RUNG_MAX];
    size_t rung_count;
    struct letter *requests;       /* waiting to be served, oldest first; utlist's single links */
    struct control_request *abort; /* the ABORT under way */
    bool abort_requested, abort_written;
    struct control_request *resume_writes;  /* until the cutover is over */
    struct control_request *pause, *resume; /* PAUSE until it rests, RESUME until its turn has come */
    bool at_rest;                           /* paused, and gates, connections and slot are given back */
    bool resume_wanted;
    uint64_t resume_asked_ms;
    char resume_operator[64], resume_reason[256];
    bool purge_requested; /* ABORT … PURGE TARGET; forgotten by a restart: what is left is then refused by
                             START */

    /* progress, verification, failures */
    int64_t total_events;
    struct ledger_progress progress;
    uint64_t progress_written_ms;
    int64_t lag_entries, lag_oldest_ms;
    uint64_t lag_read_ms;
    int64_t lag_then; /* some seconds ago, and when: what the trend is told by */
    uint64_t lag_then_ms;
    int lag_trend; /* below 0: it shrinks; above: it grows */
    uint64_t dual_write_since_ms;
    bool verifying, verified;
    char starts[84];                     /* when both stores' servers were started; "": not known */
    bool verify_needed;                  /* whatever verify_consistency says: something was wrong */
    struct verifier_report verification; /* of all streams, the last one */
    struct control_request *verify;      /* the VERIFY or REPAIR under way; NULL: none, or by itself */
    bool verify_cancelled;
    struct {                 /* RESYNC */
        bool looked, wanted; /* the row has been asked whether it says so; it does */
        bool tap_reinstalled;
        int64_t from; /* position; 0: everything */
        char operator_name[64];
        struct control_request *request; /* who waits for it; NULL: nobody */
        uint64_t begun_ms;
        int64_t streams, events, different;
    } resync;
    uint64_t verify_told_ms;
    uint64_t verify_next_ms, verify_wait_ms, verify_behind_ms;
    char verify_behind_violation[256]; /* "": none */
    bool write_failing;
    uint64_t target_since_ms; /* a pass of the mirror is under way since then; 0: none */
    struct error last_error;   /* of the target; SHOW LAG */
    uint64_t retry_wait_ms;    /* grows with every failure in a row */
    int64_t positions_shipped; /* up to which target position the control database has the pairs */
    bool positions_known;      /* ... and it is read */
    uint64_t positions_raised_ms, positions_ship_ms;
};

/* Reads the letters; a pg_wake's `stop`: true if what is under way shall be abandoned. */
bool runner_letters(void *runner);
/* Waits until until_ms (0: without end) for `there`. false: stopped, interrupted (57014) or too late (57014).
 */
bool runner_await(struct runner *r, bool (*there)(struct runner *r), uint64_t until_ms, const char *what,
                  struct error *err);
/* Shall what is under way be abandoned now? */
static inline bool runner_is_called_off(const struct runner *r)
{
    return (r->interrupted && !r->critical) || (r->recalled && r->revocable);
}
/* Changes the state (row, route, audit); on success r->state and r->m.epoch are the new ones. */
bool runner_enter(struct runner *r, enum migration_state to, uint64_t new_epoch, const char *event,
                  const char *operator_name, const char *details, const struct error *why,
                  const char *severity, const char *recoverability, struct error *err);
/* The route as it is now, to every loop of every instance; waits for their acknowledgement. */
bool runner_publish(struct runner *r, uint64_t until_ms, struct error *err);
/* The same to this instance's own loops only: for what the others need not have heard yet. */
bool runner_publish_here(struct runner *r, uint64_t until_ms, struct error *err);
/* An order to the gates and their answers. A CLOSE is answered when drained. */
bool runner_order_gates(struct runner *r, enum gate_op op, uint64_t until_ms, struct error *err);
/* A ledger that holds the migration's lock, whoever owns the row; one try. */
bool runner_ledger_open(struct runner *r, struct error *err);
bool runner_connect_source(struct runner *r, struct error *err);
void runner_drop_broken(
    struct runner *r); /* closes what has broken, so that the next connect opens it anew */
/* One batch of the mirror, with what belongs to it: known backends, breaker, failed writes. */
bool runner_mirror(struct runner *r, bool *more, struct error *err);

void runner_log(struct runner *r, enum log_level level, const char *event, const char *operation,
                uint64_t duration_ms, int64_t events, const struct error *err);
void runner_reset_breaker(struct runner *r);
void runner_refuse_requests(struct runner *r); /* whoever still asks something of a migration that is over */
void runner_answer(struct control_request *request, struct rows *rows, const struct error *err);

/* runner_post.c */
bool runner_tell_control(struct runner *r, enum runner_news news, const struct route *route,
                         struct error *err);
/* runner_own.c: a working ledger that owns the migration, one try; gates on every loop; those, connections,
 * tap. */
bool runner_own(struct runner *r, struct error *err);
bool runner_make_gates(struct runner *r, struct error *err);
bool runner_prepare(struct runner *r, struct error *err);
/* runner_guard.c: both stores' guards, before a copy and after every claim or cutover that was taken back;
 * the target lets a tenant in that comes home, between the switch and the release; and, when writes have been
 * released, the source's shut tap gives way to its guard (until done, or stopped). */
bool runner_check_guards(struct runner *r, struct error *err);
bool runner_let_in(struct runner *r, struct error *err);
void runner_hand_over(struct runner *r);
/* runner_stop.c */
bool runner_obey(struct runner *r,
                 struct error *err); /* row or route may have been changed: what they say now */
bool runner_fail(struct runner *r, const struct error *why, struct error *err); /* the row only */
bool runner_clean_up(struct runner *r, struct error *err); /* in state failed: gates and tap go */
/* runner_mirror.c */
bool runner_write_progress(struct runner *r, struct error *err);  /* at most once per second */
bool runner_read_lag(struct runner *r, struct error *err);        /* the same */
bool runner_on_copied(void *runner, const struct cursor *cursor); /* the copier's hook, after every batch */
void runner_target_failed(struct runner *r, const struct error *why);
bool runner_mirror_up(struct runner *r, struct error *err); /* until a pass finds less than a batch */
/* runner_positions.c: while the mirror runs, the target's sequence is kept ahead of the source and some pairs
 * go to the control database (false: that failed; a target that fails is the mirror's business); after the
 * switch, the rest of them, until none is left in the target. */
bool runner_positions(struct runner *r, struct error *err);
bool runner_positions_end(struct runner *r, struct error *err);
/* runner_exit.c */
void runner_drop_gates(struct runner *r);
/* The row only: orders_step_paused() does the rest. `why`: it happens by itself; `request`: who has ordered
 * it. */
bool runner_pause(struct runner *r, const struct error *why, const struct control_request *request,
                  struct error *err);
bool runner_abort(struct runner *r, struct error *err);

/* start.c: the checks of START, the row, the answer. */
bool runner_begin(struct runner *r, struct error *err);
/* errand.c: what a runner's thread does without a migration of its own: looks, answers, ends. Takes the
 * request. */
bool errand_is(enum control_verb verb);
void errand_run(struct runner *r, struct control_request *request);

#endif
