/* Rows of COPY, in every format, cut at every position, against what PostgreSQL's rules say of the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "copy_reference.h"
#include "wire/copy_rows.h"

static const struct copy_options text = {
    .format = COPY_TEXT, .delimiter = '\t', .null = "\\N", .null_bytes = 2, .columns = 3, .column = 1
};
static const struct copy_options csv = {
    .format = COPY_CSV, .delimiter = ',', .quote = '"', .escape = '"', .columns = 3, .column = 1
};

/* "1:a 2:b 4:NULL 5?" : lines and values; ? where the row is unread, ! where all behind it is, too. */
struct told {
    char words[4096];
    size_t bytes;
};

static void tell(struct told *told, const struct copy_rows *rows, enum copy_event event)
{
    told->bytes +=
        (size_t)snprintf(told->words + told->bytes, sizeof told->words - told->bytes, "%s%llu%s%.*s",
                         told->bytes == 0 ? "" : " ", (unsigned long long)rows->line,
                         event == COPY_VALUE ? ":"
                         : rows->broken      ? "!"
                                             : "?",
                         event == COPY_UNREAD     ? 0
                         : rows->value.at == NULL ? 4
                                                  : (int)rows->value.bytes,
                         rows->value.at == NULL ? "NULL" : rows->value.at);
}

/* Passes what is not used again, as the proxy does. */
static void feed(struct copy_rows *rows, const char *bytes, size_t count, struct told *told)
{
    size_t at = 0, used;

    while (at < count) {
        enum copy_event event = copy_rows_read(rows, bytes + at, count - at, &used);

        assert_true(used <= count - at && (event != COPY_MORE || used == count - at));
        at += used;
        if (event != COPY_MORE)
            tell(told, rows, event);
    }
}

static void end(struct copy_rows *rows, struct told *told)
{
    enum copy_event event;

    for (int i = 0; (event = copy_rows_end(rows)) != COPY_MORE; i++) {
        assert_true(i < 3);
        tell(told, rows, event);
    }
}

static void check(const struct copy_options *options, const char *data, size_t count, const char *expected)
{
    struct copy_rows rows;

    for (size_t cut = 0; cut <= count; cut++) {
        struct told told = { .bytes = 0 };

        copy_rows_init(&rows, options);
        feed(&rows, data, cut, &told);
        feed(&rows, data + cut, count - cut, &told);
        end(&rows, &told);
        if (strcmp(told.words, expected) != 0)
            fail_msg("cut at %zu: %s instead of %s", cut, told.words, expected);
    }
    for (size_t step = 1; step < 4; step++) {
        struct told told = { .bytes = 0 };

        copy_rows_init(&rows, options);
        for (size_t at = 0; at < count; at += step)
            feed(&rows, data + at, count - at < step ? count - at : step, &told);
        end(&rows, &told);
        assert_string_equal(told.words, expected);
    }
}

static void finds_the_column_of_text_rows(void **state)
{
    static const struct {
        const char *data, *expected;
    } cases[] = {
        { "", "" },
        { "x\ta\ty\nx\tb\ty\n", "1:a 2:b" },
        { "x\ta\ty\nx\tb\ty", "1:a 2:b" },
        { "x\ta\nx\tb", "1:a 2:b" }, /* too few for the server, enough for us */
        { "x\t\\N\ty\nx\t\ty\nx\t\\\\N\ty\n", "1:NULL 2: 3:\\N" },
        { "x\t\\x61\\142c\\q\\t\ty\n", "1:abcq\t" },
        { "x\\\tq\ta\ty\n", "1:a" },           /* an escaped delimiter */
        { "x\\\nq\ta\ty\nz\tb\n", "1:a 3:b" }, /* an escaped line end is in the row */
        { "x\\\\\ta\ty\n", "1:a" },
        { "x\ta\ty\r\nx\tb\ty\r\n", "1:a 2:b" },
        { "x\ta\ty\rx\tb\ty\r", "1:a 2:b" },
        { "x\ta\ty\rx\tb\ty", "1:a 2:b" },
        { "x\ta\ty\nx\tb\ty\r\nx\tc\t\n", "1:a 2:b 2!" }, /* mixed line ends: the server refuses */
        { "x\ta\ty\r\nx\tb\ty\nx\tc\t\n", "1:a 2:b 2!" },
        { "x\ta\ty\r\nx\tb\ty\rx\tc\t\n", "1:a 2:b 2!" },
        { "x\nx\tb\n\nx\td\n", "1? 2:b 3? 4:d" }, /* too few columns */
        { "x\ta\n\\.\nx\tb\n", "1:a" },           /* the end marker */
        { "\\.\nx\tb\n", "" },
        { "x\ta\\.\nx\tb\n", "1:a" },
        { "x\ta\tb\\.\nx\tb\n", "1:a" },
        { "x\\.\nx\tb\n", "1?" },
        { "x\ta\r\n\\.\r\nx\tb\n", "1:a" },
        { "x\ta\n\\.x\nx\tb\n", "1:a 2!" },
        { "x\ta\n\\.", "1:a 2!" },
        { "x\ta\n\\.\r", "1:a 2!" },
        { "x\ta\\", "1:a\\" },
        { "x\ta\ty\tz\tmore\n", "1:a" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(&text, cases[i].data, strlen(cases[i].data), cases[i].expected);
}

static void finds_the_column_of_csv_rows(void **state)
{
    static const struct {
        const char *data, *expected;
    } cases[] = {
        { "x,a,y\nx,b,y\n", "1:a 2:b" },
        { "x,\"a\",y\nx,\"b\"\"c\",y\nx,d\"e\"f,\n", "1:a 2:b\"c 3:def" },
        { "\"x\n,\n\",a,\"y\n\"\nx,b\n", "1:a 5:b" }, /* line ends in quotes */
        { "x,\"a\nb\",y\nx,c,\n", "1:a\nb 3:c" },
        { "x,,y\nx,\"\",y\n", "1:NULL 2:" },
        { "x,\"\"\"\",y\n", "1:\"" },
        { "x,\"a,b\",y\r\nx,c,y\r\n", "1:a,b 2:c" },
        { "\\.\nx,b,\n", "2:b" },
        { "\\.x,b,\n", "1:b" },
        { "\\x,b,\n", "1:b" },
        { "x\\,b\\,\n", "1:b\\" },
        { "x,a\n\\.", "1:a 2?" },
        { "x,\"a", "1!" },
        { "x,a,\"b", "1:a 1!" },
        { "x,\"a\"\n", "1:a" },
        { "x,a\"", "1!" },
        { "x,a\rx,b\nc,d\r", "1:a 2:b 2!" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(&csv, cases[i].data, strlen(cases[i].data), cases[i].expected);
}

static void obeys_the_options(void **state)
{
    struct copy_options options = csv;

    (void)state;
    options.header = true;
    check(&options, "h,i,j\nx,a,y\n", 12, "2:a");
    check(&options, "\"h\nh\",i,j\nx,a,y\n", 16, "3:a");
    check(&options, "h,i,j", 5, "");
    options = csv;
    options.escape = '\\';
    check(&options, "\"x\\\",\",\"a\\\"b\\\\\",y\n", 18, "1:a\"b\\");
    check(&options, "x\\,\"a\\n\",y\n", 11, "1:a\\n");
    options = csv;
    options.force_not_null = true;
    check(&options, "x,,y\n", 5, "1:");
    options.force_not_null = false;
    options.force_null = true;
    check(&options, "x,\"\",y\n", 7, "1:NULL");
    options = text;
    options.delimiter = '|';
    memcpy(options.null, "nil", 3);
    options.null_bytes = 3;
    check(&options, "x|nil|y\nx|\\N|\n", 14, "1:NULL 2:N");
    options.count = true;
    check(&options, "x|a|y\nx|b\nx|c|y|z\n|d|\n", 22, "1:a 2:b 2? 3:c 3? 4:d");
    options.column = 0;
    check(&options, "a\n\n", 3, "1:a 1? 2: 2?");
    options = csv;
    options.columns = 1;
    options.column = 0;
    check(&options, "a\n\\.\nb\n", 7, "1:a 2? 3:b");
}

#define HEADER     "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"
#define ROWS(rest) HEADER rest, sizeof(HEADER rest) - 1

static void finds_the_column_of_binary_rows(void **state)
{
    struct copy_options options = { .format = COPY_BINARY, .columns = 2, .column = 1 };

    (void)state;
    check(&options, ROWS(""), "");
    check(&options, ROWS("\377\377"), "");
    check(&options, ROWS("\0\2\0\0\0\1x\0\0\0\3abc\0\2\377\377\377\377\377\377\377\377\377\377"),
          "1:abc 2:NULL");
    check(&options, ROWS("\0\2\0\0\0\1x\0\0\0\0\377\377\0\2"), "1:");
    check(&options, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\3abc\0\2\0\0\0\0\0\0\0\1z\377\377", 35, "1:z");
    check(&options, ROWS("\0\3\0\0\0\1x"), "1!");
    check(&options, ROWS("\0\2\0\0\0\1x\377\377\377\376"), "1!");
    check(&options, "PGCOPY\n\377\r\n\0\0\1\0\0\0\0\0\0", 19, "1!");
    check(&options, "x,a,y\nx,b,y\nx,c,y\nx,d,y\n", 24, "1!");
    options.column = 0;
    check(&options, ROWS("\0\2\0\0\0\1x\0\0\0\3abc\0\2\0\0\0\1y\0\0\0\0\377\377"), "1:x 2:y");
}

/* A row is spoken of before its last byte is used, whatever the cut; a value that is too long is none. */
static void speaks_before_the_row_is_complete(void **state)
{
    static char data[4000];
    struct copy_rows rows;
    size_t used;

    (void)state;
    copy_rows_init(&rows, &text);
    assert_int_equal(copy_rows_read(&rows, "x\ta\nx\tb\n", 8, &used), COPY_VALUE);
    assert_int_equal(used, 3);
    assert_int_equal(copy_rows_read(&rows, "\nx\tb\n", 5, &used), COPY_VALUE);
    assert_int_equal(used, 4);
    memset(data, 'z', sizeof data);
    memcpy(data, "x\t", 2);
    memcpy(data + 2000, "\ty\nx\tb\n", 7);
    check(&text, data, 2007, "1? 2:b");
    memcpy(data, HEADER "\0\2\377\377\377\377\0\0\4\1", sizeof HEADER - 1 + 10);
    check(&(struct copy_options){ .format = COPY_BINARY, .columns = 2, .column = 1 }, data,
          sizeof HEADER - 1 + 10 + 1025, "1?");
}

/* Random data of the characters that matter, every cut, both formats. */
static void agrees_with_the_rules_written_down_once_more(void **state)
{
    static const char alphabet[] = "a,|\t\n\n\r\\\\.\"\"x1N";
    unsigned seed = 7;
    char data[24];

    (void)state;
    for (int round = 0; round < 200000; round++) {
        struct copy_options options = round % 2 ? text : csv;
        size_t count = 0;
        const char *wrong;

        seed = seed * 1103515245 + 12345;
        options.header = seed >> 20 & 1;
        options.column = seed >> 21 & 1;
        if (options.format == COPY_CSV && (seed >> 22 & 1))
            options.escape = '\\';
        for (size_t length = seed >> 8 & 15; count < length + 4;) {
            seed = seed * 1103515245 + 12345;
            data[count++] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        wrong = reference_compare(&options, data, count, 1 + (seed >> 16) % 5);
        if (wrong != NULL) {
            for (size_t i = 0; i < count; i++)
                print_message(data[i] < ' ' || data[i] == '\\' ? "\\x%02x" : "%c", data[i]);
            fail_msg(": %s (%s, header %d, column %u, escape %c)", wrong,
                     options.format == COPY_CSV ? "csv" : "text", options.header, options.column,
                     options.escape);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_column_of_text_rows),
        cmocka_unit_test(finds_the_column_of_csv_rows),
        cmocka_unit_test(obeys_the_options),
        cmocka_unit_test(finds_the_column_of_binary_rows),
        cmocka_unit_test(speaks_before_the_row_is_complete),
        cmocka_unit_test(agrees_with_the_rules_written_down_once_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
