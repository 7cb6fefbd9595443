/* copy_team.c - workers begun, listened to, ended.
 * Owns:   a struct team for the length of a call. Leaves: the copying to copier.c.
 * Thread: the runner's, and one per further worker.   Start at: copy_team_run(). */
#include "migrate/copy_team.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

enum { LOOK_MS = 100 }; /* how often the first worker, who has done its part, looks after the others */

struct member {
    struct team *team;
    pthread_t thread;
    int wake_fd;
    struct migration m;   /* its own connections; tables, names and stores are borrowed */
    struct cursor cursor; /* its own thread's */
    /* Behind the team's lock: */
    struct cursor told;
    struct error err;
    bool complete, failed, ended;
};

struct team {
    struct migration *m; /* the runner's */
    const struct copier_hook *hook;
    struct copy_pace pace;
    pthread_mutex_t lock;
    /* Behind it: */
    struct migration_settings settings; /* as the runner has them now */
    bool stop;
    size_t count; /* of members */
    struct member members[CURSORS_MAX - 1];
};

/* --- pure --------------------------------------------------------------------------------------------- */

uint64_t copy_pace_take(struct copy_pace *pace, int64_t events, int64_t rate)
{
    uint64_t now_ms = clock_ms(), until_ms = now_ms;

    if (rate <= 0)
        return until_ms;
    pthread_mutex_lock(&pace->lock);
    if (pace->until_ms < now_ms - (now_ms > 1000 ? 1000 : 0))
        pace->until_ms = now_ms; /* a slow second is not made up for by a burst */
    pace->until_ms += (uint64_t)(events * 1000 / rate);
    until_ms = pace->until_ms;
    pthread_mutex_unlock(&pace->lock);
    return until_ms;
}

void copy_pace_forget(struct copy_pace *pace)
{
    pthread_mutex_lock(&pace->lock);
    pace->until_ms = 0;
    pthread_mutex_unlock(&pace->lock);
}

size_t copy_team_divide(int64_t low, size_t wanted, struct cursor *parts)
{
    const int64_t high = parts[0].high;
    uint64_t width = (uint64_t)high - (uint64_t)low; /* may be more than INT64_MAX */
    size_t count = wanted > CURSORS_MAX ? CURSORS_MAX : wanted;

    if (high <= low || count < 2)
        return 1;
    if (width < count)
        count = (size_t)width;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            parts[i] = (struct cursor){ .worker = (unsigned)i, .position = parts[i - 1].high };
            memcpy(parts[i].source_identity, parts[0].source_identity, sizeof parts[i].source_identity);
        }
        parts[i].high = i + 1 == count ? high : (int64_t)((uint64_t)low + width / count * (i + 1));
    }
    return count;
}

/* --- a further worker --------------------------------------------------------------------------------- */

static bool told_to_stop(struct team *team)
{
    bool stop;

    pthread_mutex_lock(&team->lock);
    stop = team->stop;
    pthread_mutex_unlock(&team->lock);
    return stop;
}

static bool on_wake(void *who)
{
    struct member *member = who;
    uint64_t unused;

    (void)!read(member->wake_fd, &unused, sizeof unused); /* nothing to read: nothing lost */
    return told_to_stop(member->team);
}

static bool on_member_progress(void *who, const struct cursor *cursor)
{
    struct member *member = who;
    struct team *team = member->team;
    bool stop;

    pthread_mutex_lock(&team->lock);
    member->told = *cursor;
    member->m.settings = team->settings; /* ALTER MIGRATION changes them */
    stop = team->stop;
    pthread_mutex_unlock(&team->lock);
    return !stop;
}

static void *member_main(void *who)
{
    struct member *member = who;
    struct copier_hook hook = { on_member_progress, member };
    struct error err;
    bool complete = false, good;

    error_clear(&err);
    good = migration_open(&member->m, &err) && migration_plan_by_index(&member->m, &err) &&
           copier_run_part(&member->m, &member->cursor, &member->team->pace, &hook, &complete, &err);
    migration_disconnect(&member->m);
    pthread_mutex_lock(&member->team->lock);
    member->told = member->cursor;
    member->complete = complete;
    member->failed = !good;
    member->err = err;
    member->ended = true;
    pthread_mutex_unlock(&member->team->lock);
    return NULL;
}

/* --- the first one ------------------------------------------------------------------------------------ */

/* What all have copied, `first` being the first one's; whether everybody still works. */
static bool look(struct team *team, const struct cursor *first, struct cursor *sum, bool *all_ended)
{
    struct cursor parts[CURSORS_MAX];
    bool fine = true;

    parts[0] = *first;
    *all_ended = true;
    pthread_mutex_lock(&team->lock);
    for (size_t i = 0; i < team->count; i++) {
        parts[i + 1] = team->members[i].told;
        fine = fine && !team->members[i].failed;
        *all_ended = *all_ended && team->members[i].ended;
    }
    pthread_mutex_unlock(&team->lock);
    cursor_sum(parts, team->count + 1, sum);
    return fine;
}

static bool on_progress(void *who, const struct cursor *cursor)
{
    struct team *team = who;
    struct cursor sum;
    bool unused, fine = look(team, cursor, &sum, &unused);

    fine = (team->hook == NULL || team->hook->progress(team->hook->who, &sum)) && fine;
    pthread_mutex_lock(&team->lock);
    team->settings = team->m->settings;
    pthread_mutex_unlock(&team->lock);
    return fine;
}

/* Until everybody has ended, or somebody failed, or the hook says stop. */
static bool await_members(struct team *team, const struct cursor *first, struct error *err)
{
    struct cursor sum;
    bool all_ended = false;

    while (look(team, first, &sum, &all_ended) && !all_ended) {
        if (!pg_nap(&team->m->wake, LOOK_MS))
            return error_set(err, "57014", "the copy was interrupted");
        if (!on_progress(team, first))
            break;
    }
    return true;
}

static bool begin_members(struct team *team, const struct cursor *parts, size_t count, struct error *err)
{
    for (size_t i = 1; i < count; i++) {
        struct member *member = &team->members[team->count];

        member->team = team;
        member->m = *team->m;
        member->m.source_pg = member->m.target_pg = NULL;
        member->cursor = member->told = parts[i];
        member->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        member->m.wake = (struct pg_wake){ member->wake_fd, on_wake, member };
        if (member->wake_fd < 0)
            return error_set(err, "53000", "could not make a descriptor for a copy worker");
        if (pthread_create(&member->thread, NULL, member_main, member) != 0) {
            close(member->wake_fd);
            return error_set(err, "53000", "could not start a thread for a copy worker");
        }
        team->count++;
    }
    return true;
}

/* Ends whoever still works, at what it is doing, and takes in how far each has come. */
static bool end_members(struct team *team, struct cursor *parts, bool good, bool *complete, struct error *err)
{
    pthread_mutex_lock(&team->lock);
    team->stop = true;
    pthread_mutex_unlock(&team->lock);
    for (size_t i = 0; i < team->count; i++) {
        uint64_t one = 1;

        (void)!write(team->members[i].wake_fd, &one, sizeof one); /* full: it is awake */
    }
    for (size_t i = 0; i < team->count; i++) {
        struct member *member = &team->members[i];

        pthread_join(member->thread, NULL);
        close(member->wake_fd);
        parts[i + 1] = member->cursor;
        *complete = *complete && member->complete;
        /* Who was only told to stop has no failure of its own. */
        if (good && member->failed && !error_is(&member->err, "57014")) {
            *err = member->err;
            good = false;
        }
    }
    return good;
}

static bool run_team(struct team *team, struct cursor *parts, size_t count, bool *complete, struct error *err)
{
    struct copier_hook hook = { on_progress, team };
    bool good = begin_members(team, parts, count, err) &&
                copier_run_part(team->m, &parts[0], &team->pace, &hook, complete, err) &&
                (!*complete || await_members(team, &parts[0], err));

    return end_members(team, parts, good, complete, err);
}

bool copy_team_run(struct migration *m, struct cursor *parts, size_t count, const struct copier_hook *hook,
                   bool *complete, struct error *err)
{
    struct team *team = calloc(1, sizeof *team);
    bool good;

    *complete = false;
    if (team == NULL)
        return error_no_memory(err);
    team->m = m;
    team->hook = hook;
    team->settings = m->settings;
    pthread_mutex_init(&team->lock, NULL);
    pthread_mutex_init(&team->pace.lock, NULL);
    good = run_team(team, parts, count, complete, err);
    pthread_mutex_destroy(&team->lock);
    pthread_mutex_destroy(&team->pace.lock);
    free(team);
    return good;
}
