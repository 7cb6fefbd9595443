/* test_session.c - settings by PostgreSQL's own rules for transactions and savepoints, prepared statements,
 * reported parameters. A settings script is what the client said, in order:
 *   set x 1 · local x 1 · set x (a value that cannot be read) · set (a name that cannot be read) · reset x ·
 *   reset all · savepoint · release · rollback to (always the innermost) · ready (autocommit, or COMMIT) ·
 *   failed (ROLLBACK) */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/limits.h"
#include "proxy/session.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct play {
    struct session session;
};

static struct slice slice_or_nothing(const char *text)
{
    return text == NULL ? (struct slice){ 0 } : slice_of(text);
}

static void say(struct play *play, char *text)
{
    struct session *session = &play->session;
    struct journal *journal = &session->journal;
    char said[128], *word, *name, *value;
    struct slice statement;

    snprintf(said, sizeof said, "%s", text);
    statement = slice_of(said);
    word = strsep(&text, " ");
    name = text == NULL ? NULL : strsep(&text, " ");
    value = text;
    journal->at = journal->said++;
    if (strcmp(word, "set") == 0 || strcmp(word, "local") == 0) {
        assert_true(
            session_set(session, slice_or_nothing(name), statement, slice_or_nothing(value), word[0] == 'l'));
    } else if (strcmp(word, "reset") == 0) {
        if (strcmp(name, "all") == 0)
            name = NULL;
        assert_true(session_reset(session, slice_or_nothing(name), statement));
    } else if (strcmp(word, "savepoint") == 0) {
        session_say(session, JOURNAL_SAVEPOINT, "s");
    } else if (strcmp(word, "release") == 0) {
        session_say(session, JOURNAL_RELEASE, "s");
    } else if (strcmp(word, "rollback") == 0) {
        session_say(session, JOURNAL_ROLLBACK_TO, "s");
    } else {
        session_say(session, strcmp(word, "ready") == 0 ? JOURNAL_COMMIT : JOURNAL_ROLLBACK, NULL);
        journal_close(journal, false);
        journal_ready(journal, journal->said, 'I');
    }
}

static void play_script(struct play *play, const char *script)
{
    char copy[512], *rest = copy, *text;

    session_init(&play->session);
    snprintf(copy, sizeof copy, "%s", script);
    while ((text = strsep(&rest, ";")) != NULL)
        say(play, text + strspn(text, " "));
}

#define ABSENT  NULL
#define UNKNOWN "?"

/* The value of x; NULL absent, "?" unknown. */
static const char *value_of_x(const struct session *session)
{
    const char *value = "untouched";

    switch (session_value(session, "x", &value)) {
    case SESSION_FOUND:
        return value;
    case SESSION_ABSENT:
        assert_string_equal(value, "untouched"); /* the caller's default stays */
        return ABSENT;
    default:
        return UNKNOWN;
    }
}

static const struct setting_case {
    const char *script, *x;
} setting_cases[] = {
    { "set y 1", ABSENT },
    { "set x 1", "1" },
    { "set x 1; ready", "1" },
    { "set x 1; failed", ABSENT },
    { "set x 1; ready; set x 2; failed", "1" },
    { "set x 1; ready; set x 2; ready", "2" },
    { "set x one and a half; ready", "one and a half" },
    { "set xx 1; ready", ABSENT },
    /* SET LOCAL ends with its transaction; a SET before it comes to light then */
    { "local x 1", "1" },
    { "local x 1; ready", ABSENT },
    { "local x 1; failed", ABSENT },
    { "set x 1; ready; local x 2", "2" },
    { "set x 1; ready; local x 2; ready", "1" },
    { "set x 1; local x 2; ready", "1" },
    { "local x 1; set x 2", "2" },
    { "local x 1; set x 2; ready", "2" },
    /* RESET goes back to how it was at startup, by the same rules */
    { "set x 1; ready; reset x", ABSENT },
    { "set x 1; ready; reset x; failed", "1" },
    { "set x 1; ready; reset x; ready", ABSENT },
    { "set x 1; ready; reset y; ready", "1" },
    { "set x 1; ready; reset all", ABSENT },
    { "set x 1; ready; reset all; ready", ABSENT },
    { "set x 1; ready; reset all; failed", "1" },
    { "set x 1; ready; reset all; set x 2; ready", "2" },
    { "set x 1; reset all; ready", ABSENT },
    /* savepoints */
    { "savepoint; set x 1; rollback to", ABSENT },
    { "savepoint; set x 1; rollback to; ready", ABSENT },
    { "savepoint; set x 1; release; ready", "1" },
    { "set x 1; savepoint; set x 2; rollback to", "1" },
    { "set x 1; savepoint; set x 2; rollback to; ready", "1" },
    { "set x 1; savepoint; set x 2; release; ready", "2" },
    { "savepoint; savepoint; set x 1; release; rollback to", ABSENT },
    { "savepoint; set x 1; savepoint; set x 2; rollback to", "1" },
    { "savepoint; set x 1; savepoint; set x 2; release; rollback to; ready", ABSENT },
    { "savepoint; local x 1; release", "1" },
    { "savepoint; local x 1; release; ready", ABSENT },
    { "set x 1; ready; savepoint; reset x; rollback to", "1" },
    { "set x 1; ready; savepoint; reset all; rollback to; ready", "1" },
    { "savepoint; release; set x 1; savepoint; rollback to; ready", "1" },
    /* what cannot be read */
    { "set x", UNKNOWN },
    { "set x; ready", UNKNOWN },
    { "set x; failed", ABSENT },
    { "set x; ready; set x 2; ready", "2" },
    { "set x 1; local x", UNKNOWN },
    { "set x 1; local x; ready", "1" },
    { "set x; ready; reset x; ready", ABSENT },
    /* a set_config() of some name may have been of this one */
    { "set", UNKNOWN },
    { "set x 1; ready; set", UNKNOWN },
    { "set x 1; ready; set; failed", "1" },
    { "set x 1; ready; set; ready", UNKNOWN },
    { "set x 1; ready; local", UNKNOWN },
    { "set x 1; ready; local; ready", "1" },
    { "set; ready; set x 2; ready", "2" },
    { "set; ready; reset all; ready", ABSENT },
};

static void the_value_in_force_is_postgresqls(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(setting_cases); i++) {
        struct play play;
        const char *x;

        play_script(&play, setting_cases[i].script);
        x = value_of_x(&play.session);
        if ((x == NULL) != (setting_cases[i].x == NULL) || (x != NULL && strcmp(x, setting_cases[i].x) != 0))
            fail_msg("\"%s\": x is %s", setting_cases[i].script, x == NULL ? "absent" : x);
        session_done(&play.session);
    }
}

static void a_setting_is_found_in_any_case(void **state)
{
    struct session session;
    const char *value = NULL;

    (void)state;
    session_init(&session);
    assert_true(session_set(&session, slice_of("app.tenant"), slice_of("s"), slice_of("t"), false));
    assert_int_equal(session_value(&session, "App.Tenant", &value), SESSION_FOUND);
    assert_string_equal(value, "t");
    session_done(&session);
}

/* What is said to a server that joins: one statement per name, in the order of the last words. */
static const struct base_case {
    const char *script, *base;
    uint64_t version;
} base_cases[] = {
    { "set x 1", "", 0 },
    { "set x 1; failed", "", 0 },
    { "local x 1; ready", "", 0 },
    { "set x 1; ready", "set x 1", 1 },
    { "set x 1; set y 2; ready", "set x 1|set y 2", 2 },
    { "set x 1; ready; set y 2; ready; set x 3; ready", "set y 2|set x 3", 3 },
    { "set x 1; ready; reset x; ready", "", 2 },
    { "set x 1; set y 2; ready; reset all; set z 3; ready", "set z 3", 4 },
    { "set x 1; ready; set; ready", "set x 1|set", 2 },
    { "savepoint; set x 1; rollback to; set y 2; ready", "set y 2", 1 },
};

static void the_base_is_what_a_joining_server_must_be_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(base_cases); i++) {
        const struct setting *setting;
        const struct journal_step *step;
        char base[256] = "";
        struct play play;
        size_t bytes = 0;

        play_script(&play, base_cases[i].script);
        DL_FOREACH(play.session.base, setting) {
            if (base[0] != '\0')
                strcat(base, "|");
            strcat(base, setting->statement);
            bytes += strlen(setting->statement) + 1;
        }
        assert_string_equal(base, base_cases[i].base);
        assert_int_equal(play.session.version, base_cases[i].version);
        step = NULL;
        while ((step = journal_next(&play.session.journal, step, JOURNAL_SETTING, true)) != NULL)
            bytes += strlen(((struct setting *)step)->statement) + 1;
        assert_int_equal(play.session.setting_bytes, bytes);
        session_done(&play.session);
    }
}

static void what_could_not_be_remembered_makes_every_value_unknown(void **state)
{
    struct session session;
    char *text = malloc(JOURNAL_BYTES_MAX + 1);

    (void)state;
    memset(text, 'x', JOURNAL_BYTES_MAX + 1);
    session_init(&session);
    assert_true(session_set(&session, slice_of("x"), slice_of("set x 1"), slice_of("1"), false));
    journal_ready(&session.journal, 1, 'I');
    assert_false(session.overflow);
    assert_true(session_set(&session, slice_of("x"), (struct slice){ text, JOURNAL_BYTES_MAX + 1 },
                            slice_of("2"), false));
    assert_true(session.overflow);
    assert_string_equal(value_of_x(&session), UNKNOWN); /* "1" would be another tenant's */
    session_lost(&session, false);
    assert_string_equal(value_of_x(&session), UNKNOWN);
    session_done(&session);
    free(text);
}

/* ---- prepared statements ---- */

/* A plan with one reference more than it is lent, so that the test can see it come back. */
static struct plan *a_plan(void)
{
    struct plan *plan = calloc(1, sizeof *plan);

    plan->refs = 1;
    return plan;
}

static struct prepared *prepare(struct session *session, const char *name, const char *text,
                                struct plan *plan)
{
    static const uint32_t types[] = { 2950, 0, 23 };
    struct shape shape;
    struct prepared *prepared;

    shape_init(&shape);
    assert_true(shape_read(&shape, slice_of(text), true));
    prepared = session_prepare(session, slice_of(name), slice_of(text), types, 3, plan_take(plan), &shape);
    assert_non_null(prepared);
    assert_int_equal(shape.hole_count, 0); /* taken over */
    shape_done(&shape);
    return prepared;
}

static void a_prepared_statement_is_kept_whole(void **state)
{
    const char *text = "insert into events (tenant_id, n) values ($1, 'x')";
    struct plan *plan = a_plan();
    struct session session;
    const struct prepared *found;

    (void)state;
    session_init(&session);
    assert_null(session_find(&session, slice_of("s1")));
    prepare(&session, "s1", text, plan);
    found = session_find(&session, slice_of("s1"));
    assert_non_null(found);
    assert_string_equal(found->name, "s1");
    assert_true(slice_is(found->text, text));
    assert_ptr_not_equal(found->text.at, text);
    assert_int_equal(found->type_count, 3);
    assert_int_equal(found->types[0], 2950);
    assert_int_equal(found->types[2], 23);
    assert_int_equal(found->shape.hole_count, 2);
    assert_int_equal(shape_param(&found->shape, found->text, 0), 1);
    assert_ptr_equal(found->plan, plan);
    assert_int_equal(plan->refs, 2);
    assert_int_not_equal(found->serial, 0);
    assert_null(session_find(&session, slice_of("s")));
    assert_null(session_find(&session, slice_of("S1")));
    session_done(&session);
    assert_int_equal(plan->refs, 1);
    plan_give(plan);
}

static void a_name_that_is_used_again_is_replaced(void **state)
{
    struct plan *first = a_plan(), *second = a_plan();
    struct session session;
    uint64_t serial;

    (void)state;
    session_init(&session);
    serial = prepare(&session, "", "select 1", first)->serial; /* the unnamed one */
    assert_true(prepare(&session, "", "select 2", second)->serial > serial);
    assert_int_equal(first->refs, 1);
    assert_int_equal(second->refs, 2);
    assert_int_equal(HASH_COUNT(session.prepared), 1);
    assert_true(slice_is(session_find(&session, slice_of(""))->text, "select 2"));
    assert_true(slice_is(session_find(&session, (struct slice){ 0 })->text, "select 2"));
    session_done(&session);
    plan_give(first);
    plan_give(second);
}

static void statements_are_forgotten_by_name_by_serial_and_all(void **state)
{
    struct plan *plan = a_plan();
    struct session session;
    uint64_t serials[4], unnamed;

    (void)state;
    session_init(&session);
    serials[0] = prepare(&session, "a", "select 1", plan)->serial;
    serials[1] = prepare(&session, "b", "select 1", plan)->serial;
    serials[2] = prepare(&session, "c", "select 1", plan)->serial;
    unnamed = prepare(&session, "", "select 1", plan)->serial;
    session_forget(&session, slice_of("a"));
    session_forget(&session, slice_of("a")); /* none of that name: fine, as PostgreSQL's Close */
    assert_null(session_find(&session, slice_of("a")));
    session_forget_serial(&session, serials[1]);
    session_forget_serial(&session, serials[0]); /* has gone already */
    assert_null(session_find(&session, slice_of("b")));
    assert_non_null(session_find(&session, slice_of("c")));
    serials[3] = prepare(&session, "c", "select 2", plan)->serial;
    session_forget_serial(&session, serials[2]); /* its failure concerns the one that was replaced */
    assert_int_equal(session_find(&session, slice_of("c"))->serial, serials[3]);
    assert_int_equal(session_find(&session, slice_of(""))->serial, unnamed);
    session_forget_all(&session);
    assert_null(session_find(&session, slice_of("c")));
    assert_null(session_find(&session, slice_of("")));
    assert_int_equal(plan->refs, 1);
    assert_true(prepare(&session, "a", "select 1", plan)->serial > serials[3]); /* never used twice */
    session_done(&session);
    plan_give(plan);
}

static void more_statements_than_a_client_may_hold_are_refused(void **state)
{
    struct plan *plan = a_plan();
    struct session session;
    struct shape shape;
    char name[16];

    (void)state;
    session_init(&session);
    for (int i = 0; i < PREPARED_MAX; i++) {
        snprintf(name, sizeof name, "s%d", i);
        prepare(&session, name, "select 1", plan);
    }
    shape_init(&shape);
    assert_true(shape_read(&shape, slice_of("select $1"), true));
    assert_null(
        session_prepare(&session, slice_of("one more"), slice_of("select $1"), NULL, 0, plan, &shape));
    assert_int_equal(shape.hole_count, 1); /* refused: still the caller's */
    assert_int_equal(plan->refs, PREPARED_MAX + 1);
    shape_done(&shape);
    prepare(&session, "s7", "select 2", plan); /* replacing needs no room */
    session_forget(&session, slice_of("s8"));
    prepare(&session, "one more", "select 1", plan);
    session_done(&session);
    assert_int_equal(plan->refs, 1);
    plan_give(plan);
}

/* ---- reported parameters ---- */

static const struct report_case {
    const char *name, *value;
    bool news;
} report_cases[] = {
    { "TimeZone", "UTC", true },
    { "client_encoding", "UTF8", true },
    { "TimeZone", "UTC", false },
    { "TimeZone", "Europe/Berlin", true },
    { "TimeZone", "Europe/Berlin", false },
    { "TimeZone", "UTC", true },
    { "timezone", "UTC", true }, /* names are what the server said */
    { "application_name", "", true },
    { "application_name", "", false },
};

static void a_parameter_is_reported_when_it_is_news(void **state)
{
    struct session session;

    (void)state;
    session_init(&session);
    assert_null(session_reported(&session, "TimeZone"));
    for (size_t i = 0; i < COUNT(report_cases); i++) {
        const struct report_case *row = &report_cases[i];

        assert_int_equal(session_report(&session, slice_of(row->name), slice_of(row->value)), row->news);
        assert_string_equal(session_reported(&session, row->name), row->value);
    }
    assert_int_equal(session.reported.count, 4);
    assert_string_equal(session.reported.pairs[1].name, "client_encoding"); /* in the order they came */
    assert_null(session_reported(&session, "Time"));
    session_done(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_value_in_force_is_postgresqls),
        cmocka_unit_test(a_setting_is_found_in_any_case),
        cmocka_unit_test(the_base_is_what_a_joining_server_must_be_told),
        cmocka_unit_test(what_could_not_be_remembered_makes_every_value_unknown),
        cmocka_unit_test(a_prepared_statement_is_kept_whole),
        cmocka_unit_test(a_name_that_is_used_again_is_replaced),
        cmocka_unit_test(statements_are_forgotten_by_name_by_serial_and_all),
        cmocka_unit_test(more_statements_than_a_client_may_hold_are_refused),
        cmocka_unit_test(a_parameter_is_reported_when_it_is_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
