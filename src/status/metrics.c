/* metrics.c - see metrics.h.   Start at: metrics_write(). */
#include "status/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLASSES_MAX = 32 };

static const struct exposition_label no_labels[] = { { NULL, NULL } };

/* --- the proxy's own --- */

static const struct {
    enum stats_counter stat;
    const char *name, *help;
} counters[] = {
    { STAT_CLIENTS_ACCEPTED, "pgshunt_clients_accepted_total", "connections of applications" },
    { STAT_LOGINS_FAILED, "pgshunt_logins_failed_total", "clients that could not log in" },
    { STAT_SERVERS_OPENED, "pgshunt_servers_opened_total", "connections opened to stores" },
    { STAT_STATEMENTS, "pgshunt_statements_total", "statements of applications" },
    { STAT_TRANSACTIONS, "pgshunt_transactions_total", "transactions of applications" },
    { STAT_PLAN_HITS, "pgshunt_plan_cache_hits_total", "statements whose shape was known" },
    { STAT_PLAN_MISSES, "pgshunt_plan_cache_misses_total", "statements that had to be parsed" },
    { STAT_UNATTRIBUTED, "pgshunt_unattributed_total",
      "statements on declared tables whose tenant was not found" },
    { STAT_REFUSED, "pgshunt_refused_total", "statements that pgshunt itself answered with an error" },
    { STAT_HELD, "pgshunt_held_total", "statements that had to wait while a tenant moved" },
    { STAT_CANCELS, "pgshunt_cancels_total", "cancel requests" },
    { STAT_DIRECTORY_HITS, "pgshunt_directory_hits_total", "streams whose tenant was remembered" },
    { STAT_DIRECTORY_MISSES, "pgshunt_directory_misses_total", "streams that stores were asked for" },
};

static void write_counters(const struct snapshot *snapshot, struct exposition *to)
{
    const struct exposition_label in[] = { { "direction", "from_clients" }, { NULL, NULL } };
    const struct exposition_label out[] = { { "direction", "from_stores" }, { NULL, NULL } };

    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        exposition_family(to, counters[i].name, EXPOSITION_COUNTER, counters[i].help);
        exposition_sample(to, no_labels, (double)snapshot->totals[counters[i].stat]);
    }
    exposition_family(to, "pgshunt_held_seconds_total", EXPOSITION_COUNTER,
                      "how long statements waited while a tenant moved");
    exposition_sample(to, no_labels, (double)snapshot->totals[STAT_HELD_MS_SUM] / 1000);
    exposition_family(to, "pgshunt_bytes_total", EXPOSITION_COUNTER, "bytes that passed");
    exposition_sample(to, in, (double)snapshot->totals[STAT_CLIENT_BYTES]);
    exposition_sample(to, out, (double)snapshot->totals[STAT_SERVER_BYTES]);
    exposition_family(to, "pgshunt_clients", EXPOSITION_GAUGE, "applications' connections now");
    exposition_sample(
        to, no_labels,
        (double)(snapshot->totals[STAT_CLIENTS_ACCEPTED] - snapshot->totals[STAT_CLIENTS_CLOSED]));
}

/* Loops' rows with the same store are summed. `names` gets each store once. */
static size_t store_names(const struct snapshot_part *part, const char **names, size_t max)
{
    size_t found = 0;

    for (size_t i = 0; i < part->count; i++) {
        for (size_t row = 0; row < rows_count(part->of_loops[i]); row++) {
            const char *name = snapshot_value(part->of_loops[i], row, "store");
            size_t at = 0;

            while (at < found && strcmp(names[at], name) != 0)
                at++;
            if (at == found && found < max)
                names[found++] = name;
        }
    }
    return found;
}

static double store_sum(const struct snapshot_part *part, const char *store, const char *column)
{
    double sum = 0;

    for (size_t i = 0; i < part->count; i++) {
        for (size_t row = 0; row < rows_count(part->of_loops[i]); row++) {
            if (strcmp(snapshot_value(part->of_loops[i], row, "store"), store) == 0)
                sum += snapshot_number(part->of_loops[i], row, column);
        }
    }
    return sum;
}

static void write_servers(const struct snapshot *snapshot, struct exposition *to)
{
    static const struct {
        const char *column, *state;
    } states[] = { { "sv_active", "active" }, { "sv_idle", "idle" }, { "sv_login", "login" } };
    const char *stores[STORES_MAX];
    size_t count = store_names(&snapshot->pools, stores, STORES_MAX);

    exposition_family(to, "pgshunt_servers", EXPOSITION_GAUGE,
                      "connections to stores, by what they are doing");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof states / sizeof states[0]; j++) {
            const struct exposition_label labels[] = { { "store", stores[i] },
                                                       { "state", states[j].state },
                                                       { NULL, NULL } };

            exposition_sample(to, labels, store_sum(&snapshot->pools, stores[i], states[j].column));
        }
    }
    exposition_family(to, "pgshunt_clients_waiting", EXPOSITION_GAUGE,
                      "clients that wait for a connection to a store");
    for (size_t i = 0; i < count; i++) {
        const struct exposition_label labels[] = { { "store", stores[i] }, { NULL, NULL } };

        exposition_sample(to, labels, store_sum(&snapshot->pools, stores[i], "cl_waiting"));
    }
}

static void write_stores(const struct snapshot *snapshot, struct exposition *to)
{
    static const struct {
        const char *column, *name, *help;
        double unit;
    } sums[] = {
        { "total_query_count", "pgshunt_queries_total", "statements sent to a store", 1 },
        { "total_xact_count", "pgshunt_store_transactions_total", "transactions at a store", 1 },
    };
    const char *stores[STORES_MAX];
    size_t count = store_names(&snapshot->by_store, stores, STORES_MAX);

    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        exposition_family(to, sums[i].name, EXPOSITION_COUNTER, sums[i].help);
        for (size_t j = 0; j < count; j++) {
            const struct exposition_label labels[] = { { "store", stores[j] }, { NULL, NULL } };

            exposition_sample(to, labels,
                              sums[i].unit * store_sum(&snapshot->by_store, stores[j], sums[i].column));
        }
    }
}

/* --- how long it took --- */

struct classes {
    size_t bound_count;
    double bounds_s[CLASSES_MAX], counts[CLASSES_MAX + 1], sum_s;
};

/* Every loop tells the same classes in the same order; the one without a bound is the last. */
static void add_class(struct classes *classes, const struct rows *rows, size_t row, size_t class)
{
    if (class > CLASSES_MAX)
        return;
    classes->counts[class] += snapshot_number(rows, row, "count");
    if (class < CLASSES_MAX && *snapshot_value(rows, row, "at_most_us") != '\0') {
        classes->bounds_s[class] = snapshot_number(rows, row, "at_most_us") * 1e-6;
        if (classes->bound_count <= class)
            classes->bound_count = class + 1;
    }
}

static void add_loop(struct classes *classes, const struct rows *rows, const char *store, const char *what)
{
    size_t class = 0;

    for (size_t row = 0; row < rows_count(rows); row++) {
        if (strcmp(snapshot_value(rows, row, "store"), store) != 0 ||
            strcmp(snapshot_value(rows, row, "what"), what) != 0)
            continue;
        if (class == 0)
            classes->sum_s += snapshot_number(rows, row, "sum_us") * 1e-6;
        add_class(classes, rows, row, class ++);
    }
}

static void write_spread(const struct snapshot *snapshot, const char *what, const char *name,
                         const char *help, struct exposition *to)
{
    const char *stores[STORES_MAX];
    size_t count = store_names(&snapshot->spreads, stores, STORES_MAX);

    exposition_family(to, name, EXPOSITION_HISTOGRAM, help);
    for (size_t i = 0; i < count; i++) {
        const struct exposition_label labels[] = { { "store", stores[i] }, { NULL, NULL } };
        struct classes classes = { 0 };

        for (size_t loop = 0; loop < snapshot->spreads.count; loop++)
            add_loop(&classes, snapshot->spreads.of_loops[loop], stores[i], what);
        exposition_histogram(to, labels, classes.bounds_s, classes.bound_count, classes.counts,
                             classes.sum_s);
    }
}

/* --- migrations --- */

struct of_migration {
    const char *column, *name, *help;
    enum exposition_type type;
    bool by_tenant, by_migration;
};

static const struct of_migration of_migrations[] = {
    { "state_number", "migration_state",
      "pending 0, bulk_copy 1, dual_write 2, cutover_paused 3, migrated 4, failed 5, "
      "rolled_back 6, paused 7",
      EXPOSITION_GAUGE, true, true },
    { "progress_percentage", "migration_progress_percent", "of the bulk copy", EXPOSITION_GAUGE, true, true },
    { "events_copied", "migration_events_copied_total", "events brought to the target", EXPOSITION_COUNTER,
      true, true },
    { "total_events", "migration_events_total", "events that the tenant had when its copy began",
      EXPOSITION_GAUGE, true, true },
    { "sync_lag_events", "dual_write_sync_lag_events",
      "changes captured in the source and not yet in the target", EXPOSITION_GAUGE, true, false },
    { "target_failures", "dual_write_target_failures_total", "failed writes to the target",
      EXPOSITION_COUNTER, true, false },
    { "held_writes", "cutover_blocked_writers", "writers held in the last cutover", EXPOSITION_GAUGE, false,
      true },
    { "cutover_timeouts", "cutover_timeout_total", "cutovers taken back because their time was over",
      EXPOSITION_COUNTER, false, true },
    { "verified_events", "verification_events_checked", "events compared by the last verification",
      EXPOSITION_GAUGE, false, true },
};

static void write_column(const struct rows *rows, const struct of_migration *what, struct exposition *to)
{
    exposition_family(to, what->name, what->type, what->help);
    for (size_t row = 0; row < rows_count(rows); row++) {
        struct exposition_label labels[3] = { { NULL, NULL } };
        size_t count = 0;

        if (*snapshot_value(rows, row, what->column) == '\0')
            continue;
        if (what->by_migration)
            labels[count++] = (struct exposition_label){ "migration_id", snapshot_value(rows, row, "id") };
        if (what->by_tenant)
            labels[count++] =
                (struct exposition_label){ "tenant_id", snapshot_value(rows, row, "tenant_id") };
        exposition_sample(to, labels, snapshot_number(rows, row, what->column));
    }
}

/* One family whose second label names the column. */
static void write_columns(const struct rows *rows, const char *name, enum exposition_type type,
                          const char *help, const char *label, const char *const columns[][2], size_t count,
                          struct exposition *to)
{
    exposition_family(to, name, type, help);
    for (size_t row = 0; row < rows_count(rows); row++) {
        for (size_t i = 0; i < count; i++) {
            const struct exposition_label labels[] = { { "migration_id", snapshot_value(rows, row, "id") },
                                                       { label, columns[i][1] },
                                                       { NULL, NULL } };

            if (*snapshot_value(rows, row, columns[i][0]) != '\0')
                exposition_sample(to, labels, snapshot_number(rows, row, columns[i][0]));
        }
    }
}

static const double pause_bounds_s[] = { 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 };
enum { PAUSE_BOUNDS = sizeof pause_bounds_s / sizeof pause_bounds_s[0] };

/* "12.5,3": milliseconds. */
static void count_pauses(const char *list, double counts[PAUSE_BOUNDS + 1], double *sum_s)
{
    while (*list != '\0') {
        char *end;
        double pause_s = strtod(list, &end) / 1000;
        size_t class = 0;

        if (end == list)
            return;
        while (class < PAUSE_BOUNDS && pause_s > pause_bounds_s[class])
            class ++;
        counts[class]++;
        *sum_s += pause_s;
        list = *end == ',' ? end + 1 : end;
    }
}

static void write_pauses(const struct rows *rows, struct exposition *to)
{
    exposition_family(to, "cutover_pause_duration_seconds", EXPOSITION_HISTOGRAM,
                      "how long cutovers held the tenant's writers");
    for (size_t row = 0; row < rows_count(rows); row++) {
        const struct exposition_label labels[] = { { "migration_id", snapshot_value(rows, row, "id") },
                                                   { NULL, NULL } };
        double counts[PAUSE_BOUNDS + 1] = { 0 }, sum_s = 0;

        count_pauses(snapshot_value(rows, row, "pauses_ms"), counts, &sum_s);
        exposition_histogram(to, labels, pause_bounds_s, PAUSE_BOUNDS, counts, sum_s);
    }
}

static void write_migrations(const struct rows *rows, struct exposition *to)
{
    static const char *const phases[][2] = { { "bulk_copy_seconds", "bulk_copy" },
                                             { "dual_write_seconds", "dual_write" },
                                             { "cutover_seconds", "cutover" } };
    static const char *const attempts[][2] = { { "cutovers_completed", "completed" },
                                               { "cutovers_rolled_back", "rolled_back" } };

    for (size_t i = 0; i < sizeof of_migrations / sizeof of_migrations[0]; i++)
        write_column(rows, &of_migrations[i], to);
    write_columns(rows, "migration_duration_seconds", EXPOSITION_GAUGE, "how long a phase has taken", "phase",
                  phases, sizeof phases / sizeof phases[0], to);
    write_columns(rows, "cutover_attempts_total", EXPOSITION_COUNTER, "cutovers, by how they ended", "status",
                  attempts, sizeof attempts / sizeof attempts[0], to);
    write_pauses(rows, to);
}

/* --- the process --- */

/* The second number of /proc/self/statm is the resident set, in pages: proc(5). */
static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void write_process(struct exposition *to)
{
    static const struct exposition_label build[] = { { "version", PGSHUNT_VERSION }, { NULL, NULL } };

    exposition_family(to, "pgshunt_build_info", EXPOSITION_GAUGE,
                      "always 1; its label says which program this is");
    exposition_sample(to, build, 1);
    exposition_family(to, "process_resident_memory_bytes", EXPOSITION_GAUGE, "memory in use");
    exposition_sample(to, no_labels, resident_bytes());
}

void metrics_write(const struct snapshot *snapshot, struct exposition *to)
{
    write_process(to);
    write_counters(snapshot, to);
    write_servers(snapshot, to);
    write_stores(snapshot, to);
    write_spread(snapshot, "query", "pgshunt_query_duration_seconds",
                 "from a request to its answer, at a store", to);
    write_spread(snapshot, "wait", "pgshunt_wait_seconds",
                 "how long clients waited: for a connection, for a tenant that moves, for another store", to);
    exposition_family(to, "pgshunt_control_up", EXPOSITION_GAUGE, "1: the control database answers");
    exposition_sample(to, no_labels, snapshot->migrations != NULL);
    if (snapshot->migrations != NULL)
        write_migrations(snapshot->migrations, to);
    exposition_end(to);
}
