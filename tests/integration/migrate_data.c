/* migrate_data.c - the data plane of a migration without its runner: commands on stdin, one answer a line on
 * stdout. test_migrate_data.py plays the runner, the writers and the accidents. migrate_data SOURCE_CONNINFO
 * TARGET_CONNINFO TENANT MIGRATION_ID EPOCH [setting=value …] Answers: "ok …" or "error SQLSTATE message |
 * detail | hint". A failpoint of the environment ends it on the way. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/copier.h"
#include "migrate/mirror.h"
#include "migrate/positions.h"
#include "migrate/tap.h"
#include "migrate/verifier.h"

enum { CATCH_UP_MS = 5000 };

struct harness {
    struct migration m;
    struct store source, target;
    struct cursor cursor;
    struct mirror *mirror;
    struct tap_lock *lock;
    int64_t batches, batches_max; /* copy stops after so many; 0: never */
};

static bool on_progress(void *who, const struct cursor *cursor)
{
    struct harness *h = who;

    (void)cursor;
    h->batches++;
    return h->batches_max == 0 || h->batches < h->batches_max;
}

static bool do_connect(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return migration_connect(&h->m, err);
}

static bool do_disconnect(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    (void)err;
    migration_disconnect(&h->m);
    return true;
}

static bool do_install(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return tap_install(&h->m, err);
}

static bool do_remove(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return tap_remove(&h->m, err);
}

static bool do_sound(struct harness *h, const char *argument, struct error *err)
{
    bool sound = false, good = tap_is_sound(&h->m, &sound, err);

    (void)argument;
    if (good)
        printf("sound=%d ", sound);
    return good;
}

static bool do_claim(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return cursor_claim(&h->m, &h->cursor, err) && copier_check_target(&h->m, &h->cursor, err);
}

static bool do_estimate(struct harness *h, const char *argument, struct error *err)
{
    int64_t events = 0, bytes = 0;
    bool good = copier_estimate(&h->m, &events, &bytes, err);

    (void)argument;
    if (good)
        printf("events=%" PRId64 " bytes=%" PRId64 " ", events, bytes);
    return good;
}

static bool do_copy(struct harness *h, const char *argument, struct error *err)
{
    struct copier_hook hook = { on_progress, h };
    bool good;

    h->batches = 0;
    h->batches_max = atoll(argument);
    good = copier_run(&h->m, &h->cursor, &hook, err);
    if (good)
        printf("done=%d events=%" PRId64 " ", h->cursor.done, h->cursor.events);
    return good;
}

static bool do_mirror(struct harness *h, const char *argument, struct error *err)
{
    struct mirror_pass pass = { 0 };
    uint64_t until_ms = clock_ms() + strtoull(argument, NULL, 10);
    int64_t entries = 0;

    do {
        if (!mirror_run(h->mirror, &pass, err))
            return false;
        entries += pass.entries;
        if (!pass.more && clock_ms() < until_ms)
            clock_sleep_ms(10);
    } while (clock_ms() < until_ms ||
             (pass.more && clock_ms() < until_ms + CATCH_UP_MS)); /* writers may be faster */
    printf("entries=%" PRId64 " unverified=%" PRId64 " ", entries, mirror_unverified(h->mirror));
    return true;
}

static bool do_drain(struct harness *h, const char *argument, struct error *err)
{
    uint64_t begin_us = clock_us();
    bool good = mirror_drain(h->mirror, err);

    (void)argument;
    if (good)
        printf("us=%" PRIu64 " ", clock_us() - begin_us);
    return good;
}

static bool do_behind(struct harness *h, const char *argument, struct error *err)
{
    bool good = mirror_verify_behind(h->mirror, err);

    (void)argument;
    if (good)
        printf("unverified=%" PRId64 " ", mirror_unverified(h->mirror));
    return good;
}

static bool do_hash(struct harness *h, const char *argument, struct error *err)
{
    struct verifier_order order = { .level = VERIFIER_HASH, .percent = 100 };
    struct verifier_report report = { 0 };
    bool good = verifier_run(&h->m, h->mirror, &order, &report, err);

    (void)argument;
    if (good)
        printf("streams=%" PRId64 " events=%" PRId64 " suspects=%" PRId64 " violations=%" PRId64
               " first=\"%s\" ",
               report.streams, report.events, report.suspects, report.violations, report.first);
    verifier_report_done(&report);
    return good;
}

static bool do_lock_open(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return tap_lock_open(&h->m, &h->lock, err);
}

static bool do_lock(struct harness *h, const char *argument, struct error *err)
{
    bool got = false, good = tap_lock_try(h->lock, strtoull(argument, NULL, 10), &got, err);

    if (good)
        printf("got=%d ", got);
    return good;
}

static bool do_shut(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return tap_shut(h->lock, err);
}

static bool do_open(struct harness *h, const char *argument, struct error *err)
{
    return tap_open(h->lock, argument[0] == '\0' ? h->m.epoch : strtoull(argument, NULL, 10), err);
}

static bool do_unlock(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return tap_unlock(h->lock, err);
}

static bool do_lock_close(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    (void)err;
    tap_lock_close(h->lock);
    h->lock = NULL;
    return true;
}

static bool do_state(struct harness *h, const char *argument, struct error *err)
{
    bool present = false;
    enum tap_state state = TAP_OPEN;
    uint64_t epoch = 0;
    bool good = tap_read(h->m.source_pg, &h->m, &present, &state, &epoch, err);

    (void)argument;
    if (good)
        printf("present=%d state=%d epoch=%" PRIu64 " ", present, state, epoch);
    return good;
}

static bool do_holders(struct harness *h, const char *argument, struct error *err)
{
    struct tap_holder holders[8];
    size_t count = 0;
    bool good = tap_holders(h->m.source_pg, &h->m, holders, 8, &count, err);

    (void)argument;
    if (good)
        printf("count=%zu ", count);
    for (size_t i = 0; good && i < count; i++)
        printf("pid=%d prepared=%d user=%s ", holders[i].pid, holders[i].prepared, holders[i].user);
    return good;
}

static bool do_lag(struct harness *h, const char *argument, struct error *err)
{
    int64_t entries = 0, oldest_ms = 0;
    bool good = tap_lag(h->m.source_pg, &h->m, &entries, &oldest_ms, err);

    (void)argument;
    if (good)
        printf("entries=%" PRId64 " ", entries);
    return good;
}

static bool do_hidden(struct harness *h, const char *argument, struct error *err)
{
    struct mirror_hidden hidden[8];
    size_t count;

    (void)err;
    if (argument[0] != '\0')
        mirror_know_backend(h->mirror, atoi(argument));
    count = mirror_hidden_writers(h->mirror, hidden, 8);
    printf("count=%zu ", count);
    for (size_t i = 0; i < count; i++)
        printf("pid=%d application=%s entries=%" PRId64 " ", hidden[i].pid, hidden[i].application,
               hidden[i].entries);
    return true;
}

static bool do_epoch(struct harness *h, const char *argument, struct error *err)
{
    (void)err;
    h->m.epoch = strtoull(argument, NULL, 10);
    return true;
}

static bool do_finish(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return copier_move_sequence(&h->m, err) && cursor_remove(&h->m, err);
}

/* Something long on the source under a deadline, of the kind that `argument` names; then whether the
 * connection still serves. */
static bool do_sweep(struct harness *h, const char *argument, struct error *err)
{
    (void)argument;
    return positions_sweep(&h->m, err);
}

static bool do_give_up(struct harness *h, const char *argument, struct error *err)
{
    static const char rows[] =
        "COPY (SELECT n, pg_sleep(0.005) FROM generate_series(1, 4000) n) TO STDOUT (FORMAT binary)";
    struct pg *pg = h->m.source_pg;
    struct error given_up = { 0 }, ignored;
    struct slice row;
    uint64_t begun_ms = clock_ms();
    bool end = false, good = true;

    (void)err;
    pg_set_deadline(pg, begun_ms + 300);
    if (strcmp(argument, "query") == 0)
        good = pg_run(pg, "SELECT pg_sleep(20)", 0, NULL, &given_up);
    else if (strcmp(argument, "copy_out") == 0)
        for (good = pg_copy_out(pg, rows, 0, NULL, &given_up); good && !end;)
            good = pg_copy_row(pg, &row, &end, &given_up);
    else if (strcmp(argument, "copy_in") == 0)
        good = pg_run(pg, "CREATE TEMP TABLE IF NOT EXISTS given_up (n text)", 0, NULL, &given_up) &&
               pg_copy_in(pg, "COPY given_up FROM STDIN", &given_up) &&
               pg_copy_put(pg, (struct slice){ "a\n", 2 }, &given_up) && (pg_abandon(pg), false);
    else if (strcmp(argument, "pipeline") == 0)
        good = pg_pipe_begin(pg, &given_up) && pg_pipe_exec(pg, "BEGIN", &given_up) &&
               pg_pipe_exec(pg, "SELECT pg_sleep(20)", &given_up) && pg_pipe_exec(pg, "COMMIT", &given_up) &&
               pg_pipe_sync(pg, &given_up) && pg_pipe_done(pg, &given_up) && pg_pipe_done(pg, &given_up);
    printf("good=%d state=%s ms=%" PRIu64 " ", good,
           given_up.sqlstate[0] == '\0' ? "none" : given_up.sqlstate, clock_ms() - begun_ms);
    pg_set_deadline(pg, 0);
    if (!pg_is_broken(pg))
        pg_rollback(pg);
    printf("broken=%d serves=%d ", pg_is_broken(pg),
           !pg_is_broken(pg) && pg_run(pg, "SELECT 1", 0, NULL, &ignored));
    return true;
}

static const struct command {
    const char *name;
    bool (*run)(struct harness *h, const char *argument, struct error *err);
} commands[] = {
    { "connect", do_connect },
    { "disconnect", do_disconnect },
    { "install", do_install },
    { "remove", do_remove },
    { "sound", do_sound },
    { "claim", do_claim },
    { "estimate", do_estimate },
    { "copy", do_copy },
    { "mirror", do_mirror },
    { "drain", do_drain },
    { "behind", do_behind },
    { "hash", do_hash },
    { "lock_open", do_lock_open },
    { "lock", do_lock },
    { "shut", do_shut },
    { "open", do_open },
    { "unlock", do_unlock },
    { "lock_close", do_lock_close },
    { "state", do_state },
    { "holders", do_holders },
    { "lag", do_lag },
    { "hidden", do_hidden },
    { "epoch", do_epoch },
    { "finish", do_finish },
    { "sweep", do_sweep },
    { "give_up", do_give_up },
};

static void answer(struct harness *h, char *line)
{
    struct error err;
    char *argument = line + strcspn(line, " \n");

    if (*argument != '\0')
        *argument++ = '\0';
    argument[strcspn(argument, "\n")] = '\0';
    error_clear(&err);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, line) != 0)
            continue;
        if (commands[i].run(h, argument, &err))
            printf("ok\n");
        else
            printf("error %s %s | %s | %s\n", err.sqlstate, err.message, err.detail, err.hint);
        return;
    }
    printf("error 42601 no such command: %s\n", line);
}

static void set_numbers(struct migration_settings *settings, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (strncmp(arguments[i], "batch_size=", 11) == 0)
            settings->batch_size = atoll(arguments[i] + 11);
        else if (strncmp(arguments[i], "max_bulk_copy_rate=", 19) == 0)
            settings->max_bulk_copy_rate = atoll(arguments[i] + 19);
        else if (strncmp(arguments[i], "copy_segment_seconds=", 21) == 0)
            settings->copy_segment_seconds = atoll(arguments[i] + 21);
        else if (strncmp(arguments[i], "cutover_timeout_ms=", 19) == 0)
            settings->cutover_timeout_ms = atoll(arguments[i] + 19);
        else if (strncmp(arguments[i], "position_mode=", 14) == 0)
            snprintf(settings->position_mode, sizeof settings->position_mode, "%s", arguments[i] + 14);
    }
}

int main(int count, char **arguments)
{
    static char schema[] = "public", table[] = "events", tenant[] = "tenant_id",
                position[] = "global_position", event_id[] = "event_id", version[] = "version",
                type[] = "aggregate_type", id[] = "aggregate_id", none[] = "";
    static struct event_names names = { schema, table, tenant, position, event_id, version, 2, { type, id } };
    struct harness h = { 0 };
    struct error err;
    char line[512];

    if (count < 6 || !failpoint_init(&err))
        return 2;
    h.source = (struct store){ .name = "source", .conninfo = arguments[1] };
    h.target = (struct store){ .name = "target", .conninfo = arguments[2] };
    h.m.source = &h.source;
    h.m.target = &h.target;
    snprintf(h.m.tenant, sizeof h.m.tenant, "%s", arguments[3]);
    snprintf(h.m.id, sizeof h.m.id, "%s", arguments[4]);
    h.m.epoch = strtoull(arguments[5], NULL, 10);
    h.m.settings = (struct migration_settings){ .batch_size = 500,
                                                .copy_segment_seconds = 60,
                                                .cutover_timeout_ms = 20000,
                                                .cutover_lock_ms = 50,
                                                .mirror_poll_ms = 100 };
    set_numbers(&h.m.settings, count - 6, arguments + 6);
    if (getenv("KEY_BY_VERSION") != NULL) /* stream and version as the key */
        names.event_id = none;
    migration_declare(&h.m, &names);
    h.m.control_schema = "pgshunt";
    h.m.log = log_new(LOG_DEBUG, LOG_TEXT, STDERR_FILENO);
    h.m.wake.fd = -1;
    h.mirror = mirror_new(&h.m);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL)
        answer(&h, line);
    tap_lock_close(h.lock);
    mirror_free(h.mirror);
    migration_disconnect(&h.m);
    migration_forget_tables(&h.m);
    log_free(h.m.log);
    return 0;
}
