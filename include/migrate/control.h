/* control.h - the control thread: it publishes routes and catalogues, keeps the instance's lease, starts
 * runners and answers the admin commands. One thread, blocking libpq; everything reaches it by letter. */
#ifndef PGSHUNT_MIGRATE_CONTROL_H
#define PGSHUNT_MIGRATE_CONTROL_H

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rows.h"
#include "route/lease.h"
#include "route/letters.h"
#include "route/store.h"

struct control;

/* The application's users whose secret the configuration names, one by one, until `take` says false: app.c
 * knows the file, the check before a migration tries them. Any thread. */
typedef void control_logins(const struct config *config,
                            bool (*take)(void *who, const char *user, const char *secret), void *who);

struct control_setup {
    const struct config *config; /* all borrowed until control_stop() */
    const struct stores *stores;
    const struct switchboard *switchboard; /* control's own mailbox is switchboard->control */
    struct lease *lease;
    struct log *log;
    bool follows; /* another process has control: only publishes what the control database says */
    control_logins *each_login; /* NULL: nobody knows any */
};

/* Parses and checks [stores] with libpq. */
bool stores_read(const struct config *config, struct stores **stores, struct error *err);

bool control_start(const struct control_setup *setup, struct control **control, struct error *err);
void control_stop(struct control *control); /* stops runners (their migrations stay where they are), joins */

/* `pgshunt --init-control`: creates or upgrades the control schema, then returns. */
bool control_init_schema(const struct config *config, const struct stores *stores, struct log *log,
                         struct error *err);

/* What the console asks for: control, or main (CONTROL_FOR_MAIN and beyond). Strings are owned by the request
 * (free() by its drop); NULL where not given. */
enum control_verb {
    CONTROL_SHOW_STORES,
    CONTROL_SHOW_TENANTS,
    CONTROL_SHOW_MIGRATIONS, /* filter: "active" (default), "all"; or tenant */
    CONTROL_SHOW_MIGRATION,
    CONTROL_SHOW_LAG,
    CONTROL_SHOW_AUDIT,
    CONTROL_SHOW_INSTANCES,
    CONTROL_START,   /* tenant, from, to, options */
    CONTROL_CUTOVER, /* id, force, options; answered when the cutover has ended */
    CONTROL_CHECK_CUTOVER,
    CONTROL_CHECK_MIGRATION, /* tenant, from, to, options: what START would find; changes nothing */
    CONTROL_CHECK_MOVED,     /* id: is the tenant where the migration has left it, and all as it should be there? */
    CONTROL_CREATE_SCHEMA,   /* tenant, to, options: defer_indexes */
    CONTROL_REHEARSE,        /* id, times; a row per rehearsal */
    CONTROL_ABORT,           /* id, reason, purge */
    CONTROL_PAUSE,           /* id, reason; answered when the migration rests */
    CONTROL_RESUME,          /* id, reason; answered when it goes on, or waits for its turn */
    CONTROL_FIND,            /* id (or a unique prefix): one row (id, tenant_id, state, progress_percentage,
                                events_copied, total_events, sync_lag_events, error_message); WATCH and WAIT poll it */
    CONTROL_VERIFY,          /* id; options level, sample. News (LETTER_NEWS) come meanwhile */
    CONTROL_REPAIR,          /* id; options stream, one per column */
    CONTROL_RESYNC,          /* id, filter: the position */
    CONTROL_CANCEL, /* id; tag of the VERIFY or REPAIR that nobody waits for any more. Not answered */
    CONTROL_TRANSLATE,             /* id; options position, nearest */
    CONTROL_PLAN_SUBSCRIPTIONS,    /* id; an errand */
    CONTROL_MIGRATE_SUBSCRIPTIONS, /* the same */
    CONTROL_SHOW_REPORT,
    CONTROL_SHOW_REPORT_JSON,
    CONTROL_ALTER,           /* id, options */
    CONTROL_EMERGENCY_STOP,  /* tenant or NULL, reason */
    CONTROL_RESUME_WRITES,   /* tenant; answered when they go on */
    CONTROL_SHOW_FAILURES,
    CONTROL_SHOW_SHAPES,
    CONTROL_CHECK_COVERAGE,
    CONTROL_ACCEPT_SHAPE,   /* id: its number; reason */
    CONTROL_WITHDRAW_SHAPE, /* the same */
    CONTROL_METRICS,        /* sql/metrics_migrations.sql: for machines */
    CONTROL_FOR_MAIN,
    CONTROL_RELOAD = CONTROL_FOR_MAIN, /* rows: key, old, new, status */
    CONTROL_SHUTDOWN,                  /* at once */
    CONTROL_SHUTDOWN_GRACEFUL,
    CONTROL_SHOW_SHUTDOWN, /* state, clients, seconds, seconds_left */
};

enum { CONTROL_OPTIONS_MAX = 32 };

struct control_option {
    char *name, *value;
};

struct control_request {
    struct letter letter; /* kind LETTER_CONTROL */
    enum control_verb verb;
    char operator_name[64]; /* admin peer user, for the audit */
    char *tenant, *from, *to, *id, *reason, *filter;
    bool force;
    bool patient;  /* CUTOVER … WHEN READY: it is asked again and again */
    int64_t times; /* REHEARSE */
    bool purge;    /* ABORT: delete what was brought to the target */
    size_t option_count;
    struct control_option options[CONTROL_OPTIONS_MAX];
    uint64_t tag; /* the asker's own */
    bool asked;   /* control's: the event loops have told what they have found */
    bool more;    /* only a notice: the request itself is still being worked on */
    /* the answer */
    bool ok;
    struct error err;
    struct rows *rows; /* owned; NULL: none */
    char notice[512];  /* for the operator, whatever the answer; "": none */
};
struct control_request *control_request_new(enum control_verb verb, struct mailbox *reply_to);

#endif
