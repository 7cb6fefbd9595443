/* watch.c - see watch.h. Owns: what it has seen of each migration.   Start at: watch_run(). */
#include "ctl/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/exits.h"
#include "ctl/print.h"

enum {
    LOOK_MS = 500,
    TREND_MS = 5000,
    WATCHED_MAX = 64,
    BAR_CELLS_MAX = 30,
    LINE_CELLS = 90, /* of a line without its bar */
};

struct watched {
    struct watch_view view;
    int64_t copied_before, lag_kept;
    uint64_t looked_ms, lag_kept_ms;
    char told[400]; /* the last line, where there is no terminal */
    bool ended;
};

struct watch {
    struct link *link;
    bool terminal;
    int wanted_count; /* 0: whatever is under way */
    char *const *wanted;
    size_t count;
    struct watched at[WATCHED_MAX];
    size_t drawn; /* lines on the terminal */
};

/* --- a line --- */

/* 1234567 -> 1,234,567 */
static void append_count(struct buf *out, int64_t count)
{
    char digits[24];
    int bytes = snprintf(digits, sizeof digits, "%" PRId64, count);

    for (int i = 0; i < bytes; i++) {
        if (i > 0 && (bytes - i) % 3 == 0 && digits[i - 1] != '-')
            buf_append_text(out, ",");
        buf_append(out, &digits[i], 1);
    }
}

static void append_time(struct buf *out, double seconds)
{
    int64_t whole = (int64_t)(seconds + 0.5);

    if (whole >= 3600)
        buf_append_format(out, "%" PRId64 ":%02" PRId64 ":%02" PRId64, whole / 3600, whole / 60 % 60,
                          whole % 60);
    else
        buf_append_format(out, "%" PRId64 ":%02" PRId64, whole / 60, whole % 60);
}

static void append_bar(struct buf *out, double percent, unsigned cells)
{
    unsigned full = (unsigned)(percent * cells / 100 + 0.5);

    buf_append_text(out, "  [");
    for (unsigned i = 0; i < cells; i++)
        buf_append_text(out, i < full ? "#" : ".");
    buf_append_text(out, "]");
}

static void append_copy(struct buf *out, const struct watch_view *view)
{
    buf_append_format(out, "  %.1f %%  ", view->percent);
    append_count(out, view->copied);
    buf_append_text(out, "/");
    append_count(out, view->total);
    if (view->rate >= 0) {
        buf_append_text(out, "  ");
        append_count(out, (int64_t)view->rate);
        buf_append_text(out, "/s");
    }
    if (view->eta_s >= 0) {
        buf_append_text(out, "  ETA ");
        append_time(out, view->eta_s);
    }
}

static void append_lag(struct buf *out, const struct watch_view *view)
{
    buf_append_text(out, "  lag ");
    append_count(out, view->lag);
    if (view->lag_before >= 0 && view->lag != view->lag_before)
        buf_append_text(out, view->lag < view->lag_before ? " (falling)" : " (rising)");
}

void watch_line(const struct watch_view *view, unsigned cells, struct buf *out)
{
    bool copies = strcmp(view->state, "bulk_copy") == 0 || strcmp(view->state, "pending") == 0;

    buf_append_format(out, "%.8s %s -> %s  %s", view->id, view->tenant, view->target, view->state);
    if (cells > 0)
        append_bar(out, view->percent, cells);
    if (copies || strcmp(view->state, "paused") == 0)
        append_copy(out, view);
    if (strcmp(view->state, "dual_write") == 0 || strcmp(view->state, "cutover_paused") == 0)
        append_lag(out, view);
    if (view->held >= 0)
        buf_append_format(out, "  %" PRId64 " writers held", view->held);
    if (view->error[0] != '\0')
        buf_append_format(out, "  %s", view->error);
}

/* --- a look --- */

static bool has_ended(const char *state)
{
    return strcmp(state, "migrated") == 0 || strcmp(state, "failed") == 0 ||
           strcmp(state, "rolled_back") == 0;
}

static bool is_wanted(const struct watch *watch, const char *id)
{
    for (int i = 0; i < watch->wanted_count; i++) {
        if (strncmp(id, watch->wanted[i], strlen(watch->wanted[i])) == 0)
            return true;
    }
    return false;
}

static struct watched *find(struct watch *watch, const char *id)
{
    for (size_t i = 0; i < watch->count; i++) {
        if (strcmp(watch->at[i].view.id, id) == 0)
            return &watch->at[i];
    }
    return NULL;
}

/* One that is not watched yet, if it shall be. */
static struct watched *begin(struct watch *watch, const char *id, const char *state)
{
    struct watched *new;

    if (watch->wanted_count > 0 ? !is_wanted(watch, id) : has_ended(state))
        return NULL;
    if (watch->count == WATCHED_MAX)
        return NULL;
    new = &watch->at[watch->count++];
    memset(new, 0, sizeof *new);
    snprintf(new->view.id, sizeof new->view.id, "%s", id);
    new->view.lag_before = -1;
    return new;
}

static int64_t number(const PGresult *result, int row, const char *column)
{
    return strtoll(print_value(result, row, column), NULL, 10);
}

static void take_rate(struct watched *one, uint64_t now_ms)
{
    struct watch_view *view = &one->view;
    double seconds = (double)(now_ms - one->looked_ms) / 1000;

    view->rate = view->eta_s = -1;
    if (one->looked_ms != 0 && seconds > 0 && view->copied >= one->copied_before)
        view->rate = (double)(view->copied - one->copied_before) / seconds;
    if (view->rate > 0 && view->total > view->copied)
        view->eta_s = (double)(view->total - view->copied) / view->rate;
    one->copied_before = view->copied;
    one->looked_ms = now_ms;
    if (one->lag_kept_ms == 0 || now_ms - one->lag_kept_ms >= TREND_MS) {
        view->lag_before = one->lag_kept_ms == 0 ? -1 : one->lag_kept;
        one->lag_kept = view->lag;
        one->lag_kept_ms = now_ms;
    }
}

static void take_row(struct watched *one, const PGresult *result, int row)
{
    struct watch_view *view = &one->view;

    snprintf(view->tenant, sizeof view->tenant, "%s", print_value(result, row, "tenant_id"));
    snprintf(view->target, sizeof view->target, "%s", print_value(result, row, "target"));
    snprintf(view->state, sizeof view->state, "%s", print_value(result, row, "state"));
    snprintf(view->error, sizeof view->error, "%s", print_value(result, row, "error_message"));
    view->percent = strtod(print_value(result, row, "progress_percentage"), NULL);
    view->copied = number(result, row, "events_copied");
    view->total = number(result, row, "total_events");
    view->lag = number(result, row, "sync_lag_events");
    view->held = -1;
    one->ended = has_ended(view->state);
    take_rate(one, clock_ms());
}

static bool count_held(struct watch *watch, struct watched *one, struct error *err)
{
    PGresult *clients;

    if (strcmp(one->view.state, "cutover_paused") != 0)
        return true;
    clients = link_run(watch->link, "SHOW CLIENTS", err);
    if (clients == NULL)
        return false;
    one->view.held = 0;
    for (int row = 0; row < PQntuples(clients); row++) {
        if (strcmp(print_value(clients, row, "held"), "t") == 0 &&
            strcmp(print_value(clients, row, "tenant"), one->view.tenant) == 0)
            one->view.held++;
    }
    PQclear(clients);
    return true;
}

static bool look(struct watch *watch, struct error *err)
{
    PGresult *result = link_run(watch->link, "SHOW MIGRATIONS ALL", err);
    bool fine = result != NULL;

    for (int row = 0; fine && row < PQntuples(result); row++) {
        const char *id = print_value(result, row, "id");
        struct watched *one = find(watch, id);

        if (one == NULL)
            one = begin(watch, id, print_value(result, row, "state"));
        if (one == NULL || one->ended)
            continue;
        take_row(one, result, row);
        fine = count_held(watch, one, err);
    }
    PQclear(result);
    return fine;
}

/* --- telling --- */

static unsigned bar_cells(void)
{
    struct winsize size;
    unsigned columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 80;

    if (columns < LINE_CELLS)
        return 10;
    return columns - LINE_CELLS > BAR_CELLS_MAX ? BAR_CELLS_MAX : columns - LINE_CELLS + 10;
}

/* Over what was drawn before. */
static void draw(struct watch *watch)
{
    struct buf out;

    buf_init(&out);
    if (watch->drawn > 0)
        buf_append_format(&out, "\033[%zuA", watch->drawn);
    for (size_t i = 0; i < watch->count; i++) {
        buf_append_text(&out, "\033[2K");
        watch_line(&watch->at[i].view, bar_cells(), &out);
        buf_append_text(&out, "\n");
    }
    watch->drawn = watch->count;
    fputs(buf_text(&out), stdout);
    fflush(stdout);
    buf_done(&out);
}

/* A state, or a tenth of the copy: what a log wants to know. */
static void tell(struct watched *one)
{
    char key[400];
    struct buf out;

    snprintf(key, sizeof key, "%s %d %s", one->view.state, (int)(one->view.percent / 10), one->view.error);
    if (strcmp(key, one->told) == 0)
        return;
    snprintf(one->told, sizeof one->told, "%s", key);
    buf_init(&out);
    watch_line(&one->view, 0, &out);
    puts(buf_text(&out));
    fflush(stdout);
    buf_done(&out);
}

static void show(struct watch *watch)
{
    if (watch->terminal) {
        draw(watch);
        return;
    }
    for (size_t i = 0; i < watch->count; i++)
        tell(&watch->at[i]);
}

static bool all_have_ended(const struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        if (!watch->at[i].ended)
            return false;
    }
    return true;
}

static int outcome(const struct watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        if (strcmp(watch->at[i].view.state, "migrated") != 0)
            return CTL_NOT_READY;
    }
    return CTL_OK;
}

int watch_run(struct link *link, int count, char *const *ids, bool terminal, struct error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    int code;

    if (watch == NULL) {
        error_no_memory(err);
        return CTL_REFUSED;
    }
    *watch = (struct watch){ .link = link, .terminal = terminal, .wanted_count = count, .wanted = ids };
    for (;;) {
        if (!look(watch, err)) {
            code = error_is(err, "08006") ? CTL_UNREACHABLE : CTL_REFUSED;
            break;
        }
        show(watch);
        if (all_have_ended(watch)) {
            code = outcome(watch);
            break;
        }
        clock_sleep_ms(LOOK_MS);
    }
    if (watch->count == 0 && code == CTL_OK && count > 0) {
        error_set(err, "42704", "there is no migration \"%s\"", ids[0]);
        error_hint(err, "pgshuntctl list --all shows them.");
        code = CTL_REFUSED;
    } else if (watch->count == 0 && code == CTL_OK) {
        puts("no migration is under way");
    }
    free(watch);
    return code;
}
