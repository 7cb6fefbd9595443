/* test_log.c - what a line looks like, and that input cannot look like a line. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"

/* A log onto a file that read_back() reads and empties. */
struct sink {
    FILE *file;
    struct log *log;
    char text[4 * LOG_LINE_BYTES_MAX];
};

static struct sink sink_open(enum log_level level, enum log_format format)
{
    struct sink sink = { .file = tmpfile() };

    assert_non_null(sink.file);
    sink.log = log_new(level, format, fileno(sink.file));
    return sink;
}

static const char *read_back(struct sink *sink)
{
    ssize_t bytes = pread(fileno(sink->file), sink->text, sizeof sink->text - 1, 0);

    assert_true(bytes >= 0);
    sink->text[bytes] = '\0';
    assert_int_equal(ftruncate(fileno(sink->file), 0), 0);
    lseek(fileno(sink->file), 0, SEEK_SET);
    return sink->text;
}

static void sink_close(struct sink *sink)
{
    log_free(sink->log);
    fclose(sink->file);
}

/* Turns digits of the time stamp into 0, so that lines can be compared. */
static const char *without_time(char *line, size_t stamp_at)
{
    for (size_t i = stamp_at; i < stamp_at + 23 && line[i] != '\0'; i++) {
        if (line[i] >= '0' && line[i] <= '9')
            line[i] = '0';
    }
    return line;
}

static const struct escape_case {
    const char *message, *text, *json;
} escape_cases[] = {
    { "plain", "plain", "plain" },
    { "one\ntwo\r\tthree", "one\\ntwo\\x0d\\tthree", "one\\ntwo\\u000d\\tthree" },
    { "\x1b[2J\x7f", "\\x1b[2J\\x7f", "\\u001b[2J\\u007f" },
    { "say \"hi\" \\ there", "say \"hi\" \\ there", "say \\\"hi\\\" \\\\ there" },
    { "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9A\x82", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9A\x82",
      "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9A\x82" },
    { "C1 \xC2\x9B", "C1 \\x9b", "C1 \\u009b" },
    { "bad \xFF \xC3", "bad \\xff \\xc3", "bad \\ufffd \\ufffd" },
    { "overlong \xC0\xAF \xE0\x80\xAF", "overlong \\xc0\\xaf \\xe0\\x80\\xaf",
      "overlong \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd" },
    { "surrogate \xED\xA0\x80", "surrogate \\xed\\xa0\\x80", "surrogate \\ufffd\\ufffd\\ufffd" },
};

static void a_message_cannot_forge_a_line(void **state)
{
    char expected[512];

    (void)state;
    for (size_t i = 0; i < sizeof escape_cases / sizeof escape_cases[0]; i++) {
        struct sink text = sink_open(LOG_DEBUG, LOG_TEXT), json = sink_open(LOG_DEBUG, LOG_JSON);

        log_line(text.log, LOG_WARN, "proxy", "%s", escape_cases[i].message);
        snprintf(expected, sizeof expected, "0000-00-00 00:00:00.000 WARNING proxy: %s\n",
                 escape_cases[i].text);
        read_back(&text);
        assert_string_equal(without_time(text.text, 0), expected);

        log_line(json.log, LOG_WARN, "proxy", "%s", escape_cases[i].message);
        snprintf(expected, sizeof expected,
                 "{\"time\":\"0000-00-00T00:00:00.000Z\",\"level\":\"warning\",\"module\":\"proxy\","
                 "\"message\":\"%s\"}\n",
                 escape_cases[i].json);
        read_back(&json);
        assert_string_equal(without_time(json.text, 9), expected);
        sink_close(&text);
        sink_close(&json);
    }
}

static void events_have_named_fields(void **state)
{
    const struct log_field fields[] = {
        { "migration_id", "6f1c" }, { "tenant_id", "a b" }, { "phase", "" },
        { "note", "x=\"y\"" },      { "gone", NULL },
    };
    struct sink text = sink_open(LOG_INFO, LOG_TEXT), json = sink_open(LOG_INFO, LOG_JSON);

    (void)state;
    log_event(text.log, LOG_INFO, "runner", "Migration started", fields, 5);
    log_event(json.log, LOG_INFO, "runner", "Migration started", fields, 5);
    assert_non_null(strstr(read_back(&text),
                           " INFO runner: Migration started migration_id=6f1c tenant_id=\"a b\" "
                           "phase=\"\" note=\"x=\\\"y\\\"\" gone=\"\"\n"));
    assert_non_null(strstr(read_back(&json), "\"message\":\"Migration started\",\"migration_id\":\"6f1c\","
                                             "\"tenant_id\":\"a b\",\"phase\":\"\",\"note\":\"x=\\\"y\\\"\","
                                             "\"gone\":\"\"}\n"));
    sink_close(&text);
    sink_close(&json);
}

static void errors_bring_state_detail_and_hint(void **state)
{
    struct sink text = sink_open(LOG_INFO, LOG_TEXT);
    struct error err;

    (void)state;
    error_set(&err, "08001", "no route");
    error_detail(&err, "to b");
    log_error(text.log, LOG_ERROR, "runner", &err, "connecting to %s", "b");
    assert_non_null(strstr(read_back(&text),
                           " ERROR runner: connecting to b: no route sqlstate=08001 detail=\"to b\"\n"));
    sink_close(&text);
}

static void lines_below_the_level_are_not_written(void **state)
{
    struct sink text = sink_open(LOG_WARN, LOG_TEXT);

    (void)state;
    log_line(text.log, LOG_INFO, "m", "no");
    assert_string_equal(read_back(&text), "");
    log_set_level(text.log, LOG_DEBUG);
    log_line(text.log, LOG_DEBUG, "m", "yes");
    assert_non_null(strstr(read_back(&text), "DEBUG m: yes"));
    log_line(NULL, LOG_ERROR, "m", "nowhere");
    sink_close(&text);
}

/* Whatever does not fit: one line, within the bound, closed, and said to be cut. */
static void long_lines_are_cut_and_stay_whole_lines(void **state)
{
    static char value[2 * LOG_LINE_BYTES_MAX];
    const struct log_field fields[] = { { "first", value }, { "second", "x" } };

    (void)state;
    for (size_t bytes = LOG_LINE_BYTES_MAX - 300; bytes < LOG_LINE_BYTES_MAX + 100; bytes++) {
        for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
            struct sink sink = sink_open(LOG_INFO, (enum log_format)format);
            size_t length;

            memset(value, bytes % 2 == 0 ? 'a' : '\n', bytes);
            value[bytes] = '\0';
            log_event(sink.log, LOG_INFO, "m", "event", fields, 2);
            length = strlen(read_back(&sink));
            assert_true(length > 1000 && length <= LOG_LINE_BYTES_MAX);
            assert_ptr_equal(strchr(sink.text, '\n'), sink.text + length - 1);
            if (format == LOG_JSON)
                assert_memory_equal(sink.text + length - 3, strstr(sink.text, "cut") ? "e}\n" : "\"}\n", 3);
            sink_close(&sink);
        }
    }
}

static void levels_have_names(void **state)
{
    enum log_level level;

    (void)state;
    assert_true(log_level_parse("debug", &level) && level == LOG_DEBUG);
    assert_true(log_level_parse("info", &level) && level == LOG_INFO);
    assert_true(log_level_parse("warning", &level) && level == LOG_WARN);
    assert_true(log_level_parse("error", &level) && level == LOG_ERROR);
    assert_false(log_level_parse("INFO", &level));
    assert_false(log_level_parse("", &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_cannot_forge_a_line),
        cmocka_unit_test(events_have_named_fields),
        cmocka_unit_test(errors_bring_state_detail_and_hint),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(long_lines_are_cut_and_stay_whole_lines),
        cmocka_unit_test(levels_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
