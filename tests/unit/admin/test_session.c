/* test_session.c - an operator's connection without a socket: bytes in, messages out, a control that we play.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/command.h"
#include "admin/job.h"
#include "admin/job.h"
#include "admin/session.h"
#include "base/clock.h"
#include "admin/show.h"
#include "wire/read.h"
#include "wire/write.h"

static const char config_text_of_test[] = "[auth]\nauth_type = trust\n"
                                          "[routing]\ndefault_store = shared\n"
                                          "[stores]\nshared = host=/nowhere dbname=shop\n"
                                          "[control]\nconninfo = host=/nowhere password=hush\n";

struct fixture {
    struct view view;
    struct stores stores;
    struct stats *stats[2];
    struct session_hooks hooks;
    struct session *session;
    struct control_request *asked; /* what control would have in its mailbox */
    uint64_t wake_ms;              /* 0: no timer runs */
    enum show_what shown;          /* what loops would have been asked for */
    uint64_t show_tag;
    int cancels;
    char types[256],
        text[8192]; /* of the messages that came out: a letter each, and their bytes made readable */
};

static bool fake_ask(void *who, struct control_request *request)
{
    struct fixture *f = who;

    assert_null(f->asked);
    f->asked = request;
    return true;
}

static unsigned fake_ask_loops(void *who, enum show_what what, uint64_t tag)
{
    struct fixture *f = who;

    f->shown = what;
    f->show_tag = tag;
    return 2;
}

static void fake_wake_in(void *who, uint64_t ms)
{
    ((struct fixture *)who)->wake_ms = ms;
}

static void fake_cancel(void *who, uint32_t pid, struct slice key)
{
    struct fixture *f = who;

    f->cancels++;
    assert_int_equal(pid, 7);
    assert_int_equal(key.bytes, 4);
}

static void read_config(struct fixture *f)
{
    char path[] = "/tmp/pgshunt-test-XXXXXX";
    int fd = mkstemp(path);
    struct error err;
    struct config *config;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, config_text_of_test, sizeof config_text_of_test - 1),
                     sizeof config_text_of_test - 1);
    close(fd);
    if (!config_read(path, &config, &err))
        fail_msg("%s", err.message);
    unlink(path);
    f->view.config = config;
}

static void publish_routes(struct fixture *f)
{
    struct route route = {
        .tenant = "acme", .store = &f->stores.at[1], .migration_state = ROUTING_NORMAL, .generation = 3
    };

    f->view.table = route_table_new(1);
    assert_true(route_table_add(f->view.table, &route));
    route_table_seal(f->view.table, &f->stores.at[0]);
    f->view.ready = true;
}

static void begin(struct fixture *f, const struct error *refusal)
{
    struct session_setup setup = { .view = &f->view,
                                   .hooks = &f->hooks,
                                   .operator_name = "ada",
                                   .pid = 7,
                                   .key = "\1\2\3\4",
                                   .refusal = refusal };

    f->session = session_new(&setup);
    assert_non_null(f->session);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    read_config(f);
    f->stores.count = 2;
    strcpy(f->stores.at[0].name, "shared");
    strcpy(f->stores.at[1].name, "dedicated");
    f->stores.at[1].index = 1;
    f->stores.at[0].conninfo_public = f->stores.at[1].conninfo_public = (char *)"dbname=shop";
    f->stats[0] = stats_new();
    f->stats[1] = stats_new();
    stats_add(f->stats[0], STAT_STATEMENTS, 40);
    stats_add(f->stats[1], STAT_STATEMENTS, 2);
    f->view.stores = &f->stores;
    f->view.loop_stats = f->stats;
    f->view.loop_count = 2;
    f->hooks = (struct session_hooks){ fake_ask, fake_ask_loops, fake_wake_in, fake_cancel, f };
    publish_routes(f);
    begin(f, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    session_free(f->session);
    if (f->asked != NULL)
        letter_drop(&f->asked->letter);
    route_table_give(f->view.table);
    stats_free(f->stats[0]);
    stats_free(f->stats[1]);
    config_give((struct config *)f->view.config);
    free(f);
    return 0;
}

/* Takes what the session has said into f->types and f->text. */
static void collect(struct fixture *f)
{
    struct buf *out = session_out(f->session);
    size_t types = 0, text = 0;
    struct error err;
    struct msg msg;

    while (buf_bytes(out) > 0) {
        assert_int_equal(msg_next(out, &msg, &err), WIRE_MSG);
        assert_true(types < sizeof f->types - 1 && text + msg.body_bytes < sizeof f->text - 2);
        f->types[types++] = msg.type;
        for (size_t i = 0; i < msg.body_bytes; i++)
            f->text[text++] = msg.body[i] >= ' ' && msg.body[i] <= '~' ? msg.body[i] : '.';
        f->text[text++] = '\n';
        buf_consume(out, msg.total_bytes);
    }
    f->types[types] = f->text[text] = '\0';
}

static void send_startup(struct fixture *f)
{
    static const char *const pairs[] = { "user", "ada", "database", "admin" };

    write_startup(session_in(f->session), 0, pairs, 2);
    session_run(f->session);
    collect(f);
}

static void query(struct fixture *f, const char *text)
{
    write_query(session_in(f->session), slice_of(text));
    session_run(f->session);
    collect(f);
}

static void assert_said(const struct fixture *f, const char *types, const char *text)
{
    if (strcmp(f->types, types) != 0 || strstr(f->text, text) == NULL)
        fail_msg("expected %s with \"%s\", got %s:\n%s", types, text, f->types, f->text);
}

static struct rows *found_row(const char *state_name, const char *lag)
{
    struct rows *rows = rows_new();

    rows_column(rows, "id", ROWS_UUID);
    rows_column(rows, "tenant_id", ROWS_TEXT);
    rows_column(rows, "state", ROWS_TEXT);
    rows_column(rows, "progress_percentage", ROWS_FLOAT8);
    rows_column(rows, "events_copied", ROWS_INT8);
    rows_column(rows, "total_events", ROWS_INT8);
    rows_column(rows, "sync_lag_events", ROWS_INT8);
    rows_column(rows, "error_message", ROWS_TEXT);
    rows_text(rows, "0d9c4f8e-7a2b-4c1d-9e3f-123456789abc");
    rows_text(rows, "acme");
    rows_text(rows, state_name);
    rows_text(rows, "50");
    rows_text(rows, "100");
    rows_text(rows, "200");
    rows_text(rows, lag);
    rows_text(rows, NULL);
    return rows;
}

/* Control answers what it was asked. */
static void answer(struct fixture *f, struct rows *rows, const char *sqlstate)
{
    struct control_request *request = f->asked;

    assert_non_null(request);
    f->asked = NULL;
    request->ok = sqlstate == NULL;
    request->rows = rows;
    if (sqlstate != NULL)
        error_set(&request->err, sqlstate, "as control says");
    session_answer(f->session, request);
    collect(f);
}

/* --- startup --- */

static void says_no_to_ssl_and_then_welcomes(void **state)
{
    struct fixture *f = *state;
    static const unsigned char ssl[] = { 0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f };

    buf_append(session_in(f->session), ssl, sizeof ssl);
    session_run(f->session);
    assert_int_equal(buf_bytes(session_out(f->session)), 1);
    assert_int_equal(*buf_at(session_out(f->session)), 'N');
    buf_clear(session_out(f->session));
    send_startup(f);
    assert_int_equal(f->types[0], 'R');
    assert_string_equal(f->types + strlen(f->types) - 2, "KZ");
    assert_non_null(strstr(f->text, "server_version.15.0 (pgshunt "));
    assert_non_null(strstr(f->text, "standard_conforming_strings.on"));
}

static void tells_a_refused_peer_why_after_its_startup_packet(void **state)
{
    struct fixture *f = *state;
    struct error err;

    session_free(f->session);
    error_set(&err, "28000", "system user \"eve\" may not use the admin socket");
    begin(f, &err);
    session_run(f->session);
    assert_int_equal(buf_bytes(session_out(f->session)), 0);
    send_startup(f);
    assert_said(f, "E", "eve");
    assert_true(session_is_over(f->session));
}

static void passes_a_cancel_request_on_and_ends(void **state)
{
    struct fixture *f = *state;

    write_cancel(session_in(f->session), 7, "\1\2\3\4", 4);
    session_run(f->session);
    assert_int_equal(f->cancels, 1);
    assert_int_equal(buf_bytes(session_out(f->session)), 0);
    assert_true(session_is_over(f->session));
}

static void ends_on_garbage_with_an_error(void **state)
{
    struct fixture *f = *state;

    buf_append(session_in(f->session), "GET / HTTP/1.1\r\n\r\n", 18);
    session_run(f->session);
    collect(f);
    assert_said(f, "E", "FATAL");
    assert_true(session_is_over(f->session));
}

static void understands_a_stream_that_comes_byte_by_byte(void **state)
{
    static const char *const pairs[] = { "user", "ada" };
    struct fixture *f = *state;
    struct buf bytes;

    buf_init(&bytes);
    write_startup(&bytes, 0, pairs, 1);
    write_query(&bytes, slice_of("SHOW VERSION"));
    for (size_t i = 0; i < buf_bytes(&bytes); i++) {
        buf_append(session_in(f->session), buf_at(&bytes) + i, 1);
        session_run(f->session);
    }
    buf_done(&bytes);
    collect(f);
    assert_string_equal(f->types + strlen(f->types) - 4, "TDCZ");
}

/* --- simple query --- */

static void answers_several_commands_of_one_message(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "SHOW VERSION; SHOW ROUTE 'acme'");
    assert_said(f, "TDCTDCZ", "dedicated");
    query(f, "");
    assert_said(f, "IZ", "");
    query(f, " ; ");
    assert_said(f, "IZ", "");
}

static void does_nothing_of_a_script_with_a_mistake(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "START MIGRATION TENANT 'x' TO 'dedicated'; NONSENSE");
    assert_said(f, "EZ", "C42601");
    assert_null(f->asked);
}

static void sums_the_loops_counters(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "SHOW TOTALS");
    assert_non_null(strstr(f->text, "statements....42"));
}

static void masks_passwords(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "SHOW CONFIG");
    assert_null(strstr(f->text, "hush"));
    assert_non_null(strstr(f->text, "control.conninfo....********"));
}

static void a_tenant_without_an_entry_lives_in_the_default_store(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "SHOW ROUTE 'nobody'");
    assert_said(f, "TDCZ", "shared");
    f->view.ready = false;
    query(f, "SHOW ROUTE 'nobody'");
    assert_said(f, "EZ", "C57P03");
}

static void follows_a_transaction_politely(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "BEGIN");
    assert_said(f, "CZ", "BEGIN.\nT");
    query(f, "SET x = 'y'; SELECT 1; SHOW TRANSACTION ISOLATION LEVEL");
    assert_said(f, "CTDCTDCZ", "read committed");
    query(f, "ROLLBACK");
    assert_said(f, "CZ", "ROLLBACK.\nI");
}

static void asks_control_and_gives_its_rows(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "START MIGRATION TENANT 'acme' FROM shared TO 'dedicated' WITH (batch_size = 10); SHOW VERSION");
    assert_string_equal(f->types, "");
    assert_int_equal(f->asked->verb, CONTROL_START);
    assert_string_equal(f->asked->operator_name, "ada");
    assert_string_equal(f->asked->tenant, "acme");
    assert_string_equal(f->asked->from, "shared");
    assert_string_equal(f->asked->to, "dedicated");
    assert_int_equal(f->asked->option_count, 1);
    assert_string_equal(f->asked->options[0].name, "batch_size");
    assert_string_equal(f->asked->options[0].value, "10");
    answer(f, found_row("bulk_copy", "0"), NULL);
    assert_said(f, "TDCTDCZ", "START MIGRATION");
}

static void passes_controls_error_on(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "CUTOVER MIGRATION '0d9c' FORCE; SHOW VERSION");
    assert_int_equal(f->asked->verb, CONTROL_CUTOVER);
    assert_true(f->asked->force);
    answer(f, NULL, "55000");
    assert_said(f, "EZ", "C55000");
}

static void refuses_a_command_that_is_too_long_and_goes_on(void **state)
{
    struct fixture *f = *state;
    size_t bytes = 2 * COMMAND_BYTES_MAX;
    char *text = malloc(bytes + 1);

    memset(text, 'x', bytes);
    text[bytes] = '\0';
    send_startup(f);
    query(f, text);
    assert_said(f, "EZ", "C42601");
    free(text);
    query(f, "SHOW VERSION");
    assert_said(f, "TDCZ", "pgshunt");
}

static void ends_at_a_message_of_no_known_type(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    buf_append(session_in(f->session), "!\0\0\0\4", 5);
    session_run(f->session);
    collect(f);
    assert_said(f, "E", "C08P01");
    assert_true(session_is_over(f->session));
}

/* What main does is asked like what control does; hooks->ask() knows whose it is. */
static void asks_main_to_reload_and_to_shut_down(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "RELOAD");
    assert_int_equal(f->asked->verb, CONTROL_RELOAD);
    answer(f, NULL, "F0000");
    assert_said(f, "EZ", "F0000");
    query(f, "SHUTDOWN");
    assert_int_equal(f->asked->verb, CONTROL_SHUTDOWN);
    assert_string_equal(f->asked->operator_name, "ada");
    answer(f, NULL, NULL);
    assert_said(f, "CZ", "SHUTDOWN");
}

/* --- what loops know --- */

static struct show_letter *told(struct fixture *f, const char *store, int active, int wait_us)
{
    struct show_letter *letter = show_letter_new(f->shown, f->show_tag, NULL);
    struct rows *rows = rows_new();

    for (int i = 0; i < 11; i++)
        rows_column(rows, "x", i < 3 || i == 10 ? ROWS_TEXT : ROWS_INT8);
    rows_text(rows, store);
    rows_text(rows, "shop");
    rows_text(rows, "ada");
    rows_number(rows, active);
    for (int i = 0; i < 5; i++)
        rows_number(rows, 0);
    rows_number(rows, wait_us);
    rows_text(rows, "session");
    letter->rows = rows;
    return letter;
}

static void sums_what_the_loops_say_of_their_pools(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "SHOW POOLS");
    assert_int_equal(f->shown, SHOW_POOLS);
    session_told(f->session, told(f, "shared", 3, 500));
    assert_int_equal(buf_bytes(session_out(f->session)), 0);
    session_told(f->session, told(f, "shared", 4, 200));
    collect(f);
    assert_said(f, "TDCZ", "7");
    assert_non_null(strstr(f->text, "500"));
}

static void shows_what_it_has_when_a_loop_does_not_answer(void **state)
{
    struct fixture *f = *state;
    uint64_t tag;

    send_startup(f);
    query(f, "SHOW POOLS");
    session_told(f->session, told(f, "shared", 3, 0));
    tag = f->show_tag;
    session_tick(f->session); /* too early: goes on waiting */
    assert_int_equal(buf_bytes(session_out(f->session)), 0);
    clock_sleep_ms(JOB_LOOPS_MS + 10);
    session_tick(f->session);
    collect(f);
    assert_said(f, "NTDCZ", "1 event loops have not answered");
    f->show_tag = tag;
    session_told(f->session, told(f, "shared", 3, 0)); /* too late: meets nobody */
    assert_int_equal(buf_bytes(session_out(f->session)), 0);
}

/* --- WATCH, WAIT, cancel --- */

static void watches_until_the_end(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "WATCH MIGRATION '0d9c'");
    assert_int_equal(f->asked->verb, CONTROL_FIND);
    answer(f, found_row("bulk_copy", NULL), NULL);
    assert_said(f, "N", "bulk_copy: 100 of 200 events copied (50.0 %)");
    assert_int_equal(f->wake_ms, JOB_POLL_MS);
    session_tick(f->session);
    answer(f, found_row("bulk_copy", NULL), NULL);
    assert_string_equal(f->types, ""); /* nothing new */
    session_tick(f->session);
    answer(f, NULL, "08006"); /* the control database is away for a moment */
    assert_said(f, "N", "as control says");
    session_tick(f->session);
    answer(f, found_row("migrated", "0"), NULL);
    assert_said(f, "NTDCZ", "WATCH MIGRATION");
}

static void a_watch_ends_with_a_cutover_that_was_rolled_back(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "WATCH MIGRATION '0d9c'");
    answer(f, found_row("dual_write", "3"), NULL);
    session_tick(f->session);
    answer(f, found_row("cutover_paused", "0"), NULL);
    assert_said(f, "N", "cutover_paused");
    session_tick(f->session);
    answer(f, found_row("dual_write", "0"), NULL);
    assert_said(f, "NTDCZ", "dual_write");
}

static void waits_for_a_state(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "WAIT MIGRATION '0d9c' FOR Dual_Write TIMEOUT 60");
    answer(f, found_row("bulk_copy", NULL), NULL);
    assert_string_equal(f->types, "");
    session_tick(f->session);
    answer(f, found_row("dual_write", "1"), NULL);
    assert_said(f, "TDCZ", "WAIT MIGRATION");
}

static void a_wait_ends_when_its_time_is_over_or_its_state_cannot_come(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "WAIT MIGRATION '0d9c' FOR migrated TIMEOUT 0");
    answer(f, found_row("bulk_copy", NULL), NULL);
    assert_said(f, "EZ", "C57014");
    query(f, "WAIT MIGRATION '0d9c' FOR migrated");
    answer(f, found_row("rolled_back", NULL), NULL);
    assert_said(f, "EZ", "C55000");
    query(f, "WAIT MIGRATION '0d9c' FOR migrated");
    answer(f, NULL, "42704");
    assert_said(f, "EZ", "C42704");
    query(f, "WAIT MIGRATION '0d9c' FOR nirvana");
    assert_said(f, "EZ", "C22023");
    query(f, "WAIT MIGRATION '0d9c' FOR migrated TIMEOUT soon");
    assert_said(f, "EZ", "C22023");
}

static void a_cancel_with_the_right_key_ends_a_watch(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    query(f, "WATCH MIGRATION '0d9c'");
    answer(f, found_row("dual_write", "3"), NULL);
    session_cancel(f->session, (struct slice){ "\1\2\3\5", 4 });
    collect(f);
    assert_string_equal(f->types, "");
    session_cancel(f->session, (struct slice){ "\1\2\3\4", 4 });
    collect(f);
    assert_said(f, "EZ", "C57014");
    session_tick(f->session); /* its timer may still fire */
    assert_null(f->asked);
    query(f, "SHOW VERSION");
    assert_said(f, "TDCZ", "pgshunt");
}

static void an_answer_that_comes_after_the_cancel_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct control_request *late;

    send_startup(f);
    query(f, "CUTOVER MIGRATION '0d9c'");
    late = f->asked;
    f->asked = NULL;
    session_cancel(f->session, (struct slice){ "\1\2\3\4", 4 });
    collect(f);
    assert_said(f, "EZ", "What was asked for goes on.");
    query(f, "SHOW STORES");
    assert_non_null(f->asked);
    late->ok = true;
    late->rows = found_row("migrated", "0");
    session_answer(f->session, late); /* not the answer to SHOW STORES */
    collect(f);
    assert_string_equal(f->types, "");
    answer(f, found_row("x", "0"), NULL);
    assert_said(f, "TDCZ", "SHOW");
}

/* --- extended query --- */

static void bind(struct fixture *f, const char *value, uint16_t result_format)
{
    struct buf *in = session_in(f->session);
    size_t mark = write_begin(in, FE_BIND);

    write_text(in, "");
    write_text(in, "s");
    write_u16(in, 0);
    write_u16(in, value == NULL ? 0 : 1);
    if (value != NULL) {
        write_u32(in, (uint32_t)strlen(value));
        buf_append_text(in, value);
    }
    write_u16(in, 1);
    write_u16(in, result_format);
    write_end(in, mark);
}

static void describe(struct fixture *f, char what, const char *name)
{
    struct buf *in = session_in(f->session);
    size_t mark = write_begin(in, FE_DESCRIBE);

    write_u8(in, (uint8_t)what);
    write_text(in, name);
    write_end(in, mark);
}

static void execute(struct fixture *f, uint32_t limit)
{
    struct buf *in = session_in(f->session);
    size_t mark = write_begin(in, FE_EXECUTE);

    write_text(in, "");
    write_u32(in, limit);
    write_end(in, mark);
}

static void run(struct fixture *f)
{
    session_run(f->session);
    collect(f);
}

static void answers_the_extended_protocol_in_binary(void **state)
{
    struct fixture *f = *state;
    struct buf *in = session_in(f->session);

    send_startup(f);
    write_parse(in, slice_of("s"), slice_of("SHOW ROUTE $1"), NULL, 0);
    describe(f, 'S', "s");
    write_flush(in);
    run(f);
    assert_said(f, "1tT", "migration_state");
    bind(f, "acme", 1);
    describe(f, 'P', "");
    execute(f, 0);
    write_sync(in);
    run(f);
    assert_said(f, "2TDCZ", "dedicated");
    assert_null(strchr(f->text, '3')); /* the generation is a number of eight bytes */
    bind(f, "acme", 0);
    execute(f, 0);
    write_sync(in);
    run(f);
    assert_said(f, "2DCZ", "3");
}

static void describes_before_it_asks_and_fits_the_answer_to_that(void **state)
{
    struct fixture *f = *state;
    struct rows *rows = rows_new();

    send_startup(f);
    write_parse(session_in(f->session), slice_of("s"), slice_of("SHOW MIGRATIONS"), NULL, 0);
    describe(f, 'S', "s");
    bind(f, NULL, 0);
    execute(f, 0);
    write_sync(session_in(f->session));
    run(f);
    assert_said(f, "1tT2", "tenant_id");
    rows_column(rows, "state", ROWS_TEXT);
    rows_column(rows, "of a later version", ROWS_TEXT);
    rows_text(rows, "pending");
    rows_text(rows, "unseen");
    answer(f, rows, NULL);
    assert_said(f, "DCZ", "pending");
    assert_null(strstr(f->text, "unseen"));
}

static void gives_rows_in_portions(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    write_parse(session_in(f->session), slice_of("s"), slice_of("SHOW TOTALS"), NULL, 0);
    bind(f, NULL, 0);
    execute(f, 3);
    execute(f, 2);
    execute(f, 0);
    write_sync(session_in(f->session));
    run(f);
    assert_memory_equal(f->types, "12DDDsDDsD", 10);
    assert_string_equal(f->types + strlen(f->types) - 3, "DCZ");
    assert_int_equal(strlen(f->types), 2 + STAT_COUNT + 2 + 2);
}

static void skips_to_sync_after_an_error(void **state)
{
    struct fixture *f = *state;
    struct buf *in = session_in(f->session);

    send_startup(f);
    write_parse(in, slice_of("s"), slice_of("NONSENSE"), NULL, 0);
    bind(f, NULL, 0);
    execute(f, 0);
    write_sync(in);
    run(f);
    assert_said(f, "EZ", "C42601");
    bind(f, NULL, 0);
    write_sync(in);
    run(f);
    assert_said(f, "EZ", "C26000");
    write_parse(in, slice_of("s"), slice_of("SHOW ROUTE $1"), NULL, 0);
    bind(f, NULL, 0);
    write_sync(in);
    run(f);
    assert_said(f, "1EZ", "C08P01");
    write_parse(in, slice_of("s"), slice_of("SHOW VERSION"), NULL, 0);
    write_sync(in);
    run(f);
    assert_said(f, "EZ", "C42P05");
    write_parse(in, slice_of(""), slice_of("SHOW VERSION; SHOW HELP"), NULL, 0);
    write_sync(in);
    run(f);
    assert_said(f, "EZ", "C42601");
}

static void runs_a_portal_once(void **state)
{
    struct fixture *f = *state;

    send_startup(f);
    write_parse(session_in(f->session), slice_of("s"), slice_of("ABORT MIGRATION 'x'"), NULL, 0);
    bind(f, NULL, 0);
    execute(f, 0);
    execute(f, 0);
    write_sync(session_in(f->session));
    run(f);
    assert_said(f, "12", "");
    answer(f, found_row("rolled_back", NULL), NULL);
    assert_said(f, "DCCZ", "ABORT MIGRATION");
    assert_null(f->asked);
}

static void closes_and_forgets(void **state)
{
    struct fixture *f = *state;
    struct buf *in = session_in(f->session);

    send_startup(f);
    write_parse(in, slice_of("s"), slice_of("SHOW VERSION"), NULL, 0);
    write_close(in, 'S', slice_of("s"));
    write_close(in, 'S', slice_of("never there"));
    describe(f, 'S', "s");
    write_sync(in);
    write_terminate(in);
    run(f);
    assert_said(f, "133EZ", "C26000");
    assert_true(session_is_over(f->session));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(says_no_to_ssl_and_then_welcomes),
        TEST(tells_a_refused_peer_why_after_its_startup_packet),
        TEST(passes_a_cancel_request_on_and_ends),
        TEST(ends_on_garbage_with_an_error),
        TEST(understands_a_stream_that_comes_byte_by_byte),
        TEST(answers_several_commands_of_one_message),
        TEST(does_nothing_of_a_script_with_a_mistake),
        TEST(sums_the_loops_counters),
        TEST(masks_passwords),
        TEST(a_tenant_without_an_entry_lives_in_the_default_store),
        TEST(follows_a_transaction_politely),
        TEST(asks_control_and_gives_its_rows),
        TEST(passes_controls_error_on),
        TEST(refuses_a_command_that_is_too_long_and_goes_on),
        TEST(ends_at_a_message_of_no_known_type),
        TEST(asks_main_to_reload_and_to_shut_down),
        TEST(sums_what_the_loops_say_of_their_pools),
        TEST(shows_what_it_has_when_a_loop_does_not_answer),
        TEST(watches_until_the_end),
        TEST(a_watch_ends_with_a_cutover_that_was_rolled_back),
        TEST(waits_for_a_state),
        TEST(a_wait_ends_when_its_time_is_over_or_its_state_cannot_come),
        TEST(a_cancel_with_the_right_key_ends_a_watch),
        TEST(an_answer_that_comes_after_the_cancel_is_dropped),
        TEST(answers_the_extended_protocol_in_binary),
        TEST(describes_before_it_asks_and_fits_the_answer_to_that),
        TEST(gives_rows_in_portions),
        TEST(skips_to_sync_after_an_error),
        TEST(runs_a_portal_once),
        TEST(closes_and_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
