/* test_journal.c - what a session believes of itself, against a model of one PostgreSQL session: random
 * statements in Queries and pipelines, sent ahead of their answers, failing anywhere. Whenever everything has
 * been answered, the two agree; and what is believed before that is what happens if nothing fails. Then the
 * rules one by one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/session.h"

enum { SEEDS = 10000, STEPS = 60, STATEMENTS_MAX = 5, AHEAD_MAX = 4, SAVEPOINTS_MAX = 64 };

/* ---- the model: one session of PostgreSQL ---- */

struct state { /* what transactions and savepoints bring back */
    char set;  /* SET x: '0' none */
    char local;
    bool listens, table;
};

struct model {
    struct state now, begun; /* begun: when the transaction began */
    bool running, block, failed;
    struct {
        char name;
        struct state state;
    } savepoints[SAVEPOINTS_MAX];
    size_t savepoint_count;
};

static void model_end(struct model *model, bool well)
{
    if (!well)
        model->now = model->begun;
    model->now.local = '0';
    model->running = model->block = model->failed = false;
    model->savepoint_count = 0;
}

static long find(const struct model *model, char name)
{
    for (size_t i = model->savepoint_count; i > 0; i--)
        if (model->savepoints[i - 1].name == name)
            return (long)i - 1;
    return -1;
}

/* One statement: a letter, and what it is about. 'E': error, 'R': it was a COMMIT and is answered ROLLBACK.
 */
static char model_run(struct model *model, const char *statement)
{
    struct state *now = &model->now;
    char about = statement[1];
    long at = find(model, about);

    if (!model->running) {
        model->running = true;
        model->begun = *now;
    }
    if (model->failed && strchr("cqrt", statement[0]) == NULL)
        return 'E';
    switch (statement[0]) {
    case 's': /* SET x */
        now->set = about;
        now->local = '0';
        return 'C';
    case 'l': /* SET LOCAL x */
        now->local = about;
        return 'C';
    case 'n': /* RESET x */
        now->set = now->local = '0';
        return 'C';
    case 'L':
        now->listens = about == '1';
        return 'C';
    case 'T': /* CREATE or DROP TEMPORARY TABLE */
        if (now->table == (about == '1'))
            return 'E';
        now->table = about == '1';
        return 'C';
    case 'b':
        model->block = true;
        return 'C';
    case 'c': /* COMMIT; q: AND CHAIN */
    case 'q':
    case 'r': {
        bool block = model->block, well = !model->failed && statement[0] != 'r';

        if (statement[0] == 'q' && !block)
            return 'E';
        model_end(model, well);
        model->block = model->running = statement[0] == 'q';
        model->begun = *now;
        return well || statement[0] == 'r' ? 'C' : 'R';
    }
    case 'v': /* SAVEPOINT */
        if (!model->block || model->savepoint_count == SAVEPOINTS_MAX)
            return 'E';
        model->savepoints[model->savepoint_count].name = about;
        model->savepoints[model->savepoint_count++].state = *now;
        return 'C';
    case 'd': /* RELEASE */
        if (at < 0)
            return 'E';
        model->savepoint_count = (size_t)at;
        return 'C';
    case 't': /* ROLLBACK TO */
        if (at < 0)
            return 'E';
        *now = model->savepoints[at].state;
        model->savepoint_count = (size_t)at + 1;
        model->failed = false;
        return 'C';
    default:
        return 'E';
    }
}

static char model_ready(struct model *model, bool error)
{
    if (error && model->block)
        model->failed = true;
    else if (!model->block)
        model_end(model, !error);
    return !model->block ? 'I' : model->failed ? 'E' : 'T';
}

/* ---- the session, sent ahead ---- */

struct segment {
    char statements[STATEMENTS_MAX][3];
    size_t count;
    uint64_t ordinal;
};

struct play {
    struct session session;
    struct model model;
    struct segment ahead[AHEAD_MAX];
    size_t ahead_count;
    bool open;   /* as far as has been said */
    bool misled; /* what is ahead was sent before an error was known */
    unsigned seed;
    char log[8192];
};

static void note(struct play *play, const char *what)
{
    if (strlen(play->log) + strlen(what) + 2 < sizeof play->log)
        strcat(strcat(play->log, what), " ");
}

static unsigned chance(struct play *play, unsigned of)
{
    play->seed = play->seed * 1103515245u + 12345u;
    return (play->seed >> 16) % of;
}

static void book(struct play *play, const char *statement)
{
    struct session *session = &play->session;
    const char value[] = { statement[1], '\0' };
    struct slice none = { 0 };

    switch (statement[0]) {
    case 's':
    case 'l':
        assert_true(
            session_set(session, slice_of("x"), slice_of("SET x"), slice_of(value), statement[0] == 'l'));
        break;
    case 'n':
        assert_true(session_reset(session, slice_of("x"), slice_of("RESET x")));
        break;
    case 'L':
        assert_true(channels_note(&session->channels, statement[1] == '1' ? slice_of("c") : none,
                                  statement[1] == '1', 0));
        break;
    case 'T':
        if (statement[1] == '1')
            assert_true(belongings_note(&session->belongings, BELONGING_TABLE, slice_of("t"), 1));
        else
            assert_true(belongings_note_gone(&session->belongings, BELONGING_TABLE, slice_of("t")));
        break;
    case 'b':
        play->open = true;
        break;
    case 'c':
    case 'q':
    case 'r':
        session_say(session, statement[0] == 'r' ? JOURNAL_ROLLBACK : JOURNAL_COMMIT, NULL);
        play->open = statement[0] == 'q' && play->open;
        break;
    case 'v':
        session_say(session, JOURNAL_SAVEPOINT, value);
        break;
    case 'd':
        session_say(session, JOURNAL_RELEASE, value);
        break;
    case 't':
        session_say(session, JOURNAL_ROLLBACK_TO, value);
        break;
    default:
        break;
    }
}

static void send_segment(struct play *play)
{
    static const char *const some[] = { "s1", "s2", "l3", "l4", "n0", "L1", "L0", "T1",
                                        "T0", "b0", "b0", "c0", "c0", "q0", "r0", "va",
                                        "vb", "da", "db", "ta", "tb", "va", "ta", "x0" };
    struct segment *segment = &play->ahead[play->ahead_count++];
    struct journal *journal = &play->session.journal;

    segment->count = 1 + chance(play, STATEMENTS_MAX);
    segment->ordinal = journal->said;
    for (size_t i = 0; i < segment->count; i++) {
        memcpy(segment->statements[i], some[chance(play, sizeof some / sizeof some[0])], 3);
        journal->at = segment->ordinal + i;
        book(play, segment->statements[i]);
        note(play, segment->statements[i]);
    }
    journal->said += segment->count;
    journal_close(journal, play->open);
    note(play, ";");
}

/* true: some statement of it has failed; without `journal` also: has gone otherwise than it was said. */
static bool run_segment(struct model *model, const struct segment *segment, struct journal *journal)
{
    for (size_t i = 0; i < segment->count; i++) {
        char answer = model_run(model, segment->statements[i]);

        if (answer == 'R' && journal == NULL)
            return true;
        if (answer == 'R')
            journal_answered_rollback(journal, segment->ordinal + i);
        if (answer != 'E')
            continue;
        if (journal != NULL)
            journal_failed(journal, segment->ordinal + i, segment->ordinal + segment->count);
        return true;
    }
    return false;
}

static void answer_segment(struct play *play)
{
    struct segment segment = play->ahead[0];
    struct journal *journal = &play->session.journal;
    bool error = run_segment(&play->model, &segment, journal);
    char status = model_ready(&play->model, error);
    const char word[] = { '=', status, error ? '!' : ' ', '\0' };

    memmove(play->ahead, play->ahead + 1, --play->ahead_count * sizeof segment);
    journal_ready(journal, segment.ordinal + segment.count, status);
    play->misled = play->ahead_count > 0 && (play->misled || error);
    if (play->ahead_count == 0)
        play->open = status != 'I';
    note(play, word);
}

static void compare(struct play *play, const struct model *model, const char *when)
{
    const char *value = "0";
    char x = model->now.local != '0' ? model->now.local : model->now.set;
    int table = belongings_table(&play->session.belongings, slice_of("t"));

    session_value(&play->session, "x", &value);
    if (value[0] != x || (table == 1) != model->now.table)
        fail_msg("%s: x is %c, believed %s; table %d, believed at %d\n%s", when, x, value, model->now.table,
                 table, play->log);
    if (!model->running && play->ahead_count == 0 &&
        channels_hears(&play->session.channels, slice_of("c"), 1) != model->now.listens)
        fail_msg("%s: listens %d\n%s", when, model->now.listens, play->log);
}

static void look(struct play *play)
{
    struct model model = play->model;

    for (size_t i = 0; i < play->ahead_count; i++) {
        bool error = run_segment(&model, &play->ahead[i], NULL);

        if (error)
            return; /* a guess: journal_is_unheard() */
        model_ready(&model, error);
    }
    if (model.failed || play->misled)
        return;
    compare(play, &model, play->ahead_count == 0 ? "answered" : "sent ahead");
    assert_true(play->ahead_count > 0 || !journal_is_unheard(&play->session.journal));
}

static void random_sessions_are_understood(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        static struct play play;

        memset(&play, 0, sizeof play);
        session_init(&play.session);
        play.seed = seed;
        play.model.now = play.model.begun = (struct state){ .set = '0', .local = '0' };
        snprintf(play.log, sizeof play.log, "seed %u: ", seed);
        for (int i = 0; i < STEPS; i++) {
            if (play.ahead_count < AHEAD_MAX && chance(&play, 2) == 0)
                send_segment(&play);
            else if (play.ahead_count > 0)
                answer_segment(&play);
            look(&play);
        }
        while (play.ahead_count > 0)
            answer_segment(&play);
        look(&play);
        session_done(&play.session);
    }
}

/* ---- one by one ---- */

static void set_x(struct session *session, const char *value)
{
    session->journal.at = session->journal.said;
    assert_true(session_set(session, slice_of("x"), slice_of("SET x"), slice_of(value), false));
    session->journal.said++;
}

static void end(struct session *session, enum journal_kind kind)
{
    session->journal.at = session->journal.said;
    session_say(session, kind, NULL);
    session->journal.said++;
}

static const char *x_of(const struct session *session)
{
    const char *value = "none";

    return session_value(session, "x", &value) == SESSION_UNKNOWN ? "?" : value;
}

static void a_commit_in_a_pipeline_that_fails_behind_it_counts(void **state)
{
    struct session session;

    (void)state;
    session_init(&session);
    set_x(&session, "1");
    end(&session, JOURNAL_COMMIT);
    set_x(&session, "2");
    session.journal.said++; /* SELECT 1/0 */
    journal_close(&session.journal, false);
    assert_string_equal(x_of(&session), "2");
    journal_failed(&session.journal, 3, 4);
    journal_ready(&session.journal, 4, 'I');
    assert_string_equal(x_of(&session), "1");
    assert_null(session.journal.steps);
    session_done(&session);
}

static void what_was_sent_behind_a_sync_is_a_guess_until_it_is_answered(void **state)
{
    struct session session;

    (void)state;
    session_init(&session);
    set_x(&session, "1");
    assert_false(journal_is_unheard(&session.journal)); /* an error would take what follows with it */
    journal_close(&session.journal, false);
    assert_true(journal_is_unheard(&session.journal));
    set_x(&session, "2");
    journal_ready(&session.journal, 1, 'I');
    assert_false(journal_is_unheard(&session.journal));
    assert_string_equal(x_of(&session), "2");
    journal_failed(&session.journal, 1, 2);
    journal_ready(&session.journal, 2, 'I');
    assert_string_equal(x_of(&session), "1");
    session_done(&session);
}

static void a_commit_that_is_answered_rollback_undoes(void **state)
{
    struct session session;

    (void)state;
    session_init(&session);
    set_x(&session, "1");
    end(&session, JOURNAL_COMMIT);
    assert_string_equal(x_of(&session), "1");
    journal_answered_rollback(&session.journal, 1);
    assert_string_equal(x_of(&session), "none");
    journal_ready(&session.journal, 2, 'I');
    assert_string_equal(x_of(&session), "none");
    session_done(&session);
}

static void what_is_lost_is_forgotten_or_unknown(void **state)
{
    struct session session;

    (void)state;
    session_init(&session);
    set_x(&session, "1");
    session_lost(&session, false);
    assert_string_equal(x_of(&session), "none");
    set_x(&session, "1");
    session_lost(&session, true);
    assert_string_equal(x_of(&session), "?");
    session_done(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_sessions_are_understood),
        cmocka_unit_test(a_commit_in_a_pipeline_that_fails_behind_it_counts),
        cmocka_unit_test(what_was_sent_behind_a_sync_is_a_guess_until_it_is_answered),
        cmocka_unit_test(a_commit_that_is_answered_rollback_undoes),
        cmocka_unit_test(what_is_lost_is_forgotten_or_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
