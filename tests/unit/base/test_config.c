/* test_config.c - the configuration file: what is read, what is refused and how that is said, and the
 * example. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/limits.h"

#define EXAMPLE SOURCE_ROOT "/proxy.conf.example"

/* Writes `bytes` of text to a new file and reads it as a configuration. */
static bool read_bytes(const char *text, size_t bytes, char path[64], struct config **config,
                       struct error *err)
{
    bool good;
    int fd;

    strcpy(path, "/tmp/pgshunt-test-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, bytes), bytes);
    close(fd);
    good = config_read(path, config, err);
    unlink(path);
    return good;
}

static bool read_text(const char *text, char path[64], struct config **config, struct error *err)
{
    return read_bytes(text, strlen(text), path, config, err);
}

static struct config *must_read(const char *text)
{
    struct config *config;
    struct error err;
    char path[64];

    if (!read_text(text, path, &config, &err))
        fail_msg("%s", err.message);
    return config;
}

#define AUTH   "[auth]\nauth_type = trust\n"
#define STORES "[stores]\nshared = host=a dbname=e\n"
#define ROUTE  "[routing]\ndefault_store = shared\n"
#define LEAST  AUTH STORES ROUTE /* six lines */

static void gives_defaults_for_what_is_not_said(void **state)
{
    struct config *config = must_read(LEAST);

    (void)state;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_info *info = config_info((enum config_key)i);

        if (i != CONFIG_AUTH_TYPE && i != CONFIG_DEFAULT_STORE)
            assert_string_equal(config_text(config, (enum config_key)i), info->default_value);
    }
    assert_int_equal(config_number(config, CONFIG_WORKERS), 2);
    assert_int_equal(config_number(config, CONFIG_WRITE_HOLD_TIMEOUT_MS), 5000);
    assert_false(config_flag(config, CONFIG_ALLOW_EMPTY));
    assert_true(config_is(config, CONFIG_POSITION_MODE, "auto"));
    assert_false(config_is(config, CONFIG_POSITION_MODE, "preserve"));
    assert_null(config_user_tenant(config, "anybody"));
    config_give(config);
    config_give(NULL);
}

static void reads_what_is_said(void **state)
{
    struct config *config =
        must_read("\xEF\xBB\xBF; a comment\n# another\n\n"
                  "[pgshunt] ; behind a section\n"
                  "   workers=8 ; indented\r\n"
                  "listen = 0.0.0.0:1 , *:65535,[::1]:6432\n"
                  "pid_file =\n"
                  "[auth]\nauth_type = scram-sha-256\nauth_file=/x y/z\n"
                  "[stores]\n"
                  "b = host=b password=se;cret\n"
                  "a = postgresql://u@a/e\n"
                  "[migration]\nallow_empty = Yes\nmax_bulk_copy_rate = 0\n"
                  "[routing]\ndefault_store = a\nuser.bob = tenant:T 1\nuser.x.y = tenant:2\n"
                  "[pgshunt]\nadmin_port = 7\n"
                  "[log]\nlevel = debug");

    (void)state;
    assert_int_equal(config_number(config, CONFIG_WORKERS), 8);
    assert_string_equal(config_text(config, CONFIG_LISTEN), "0.0.0.0:1 , *:65535,[::1]:6432");
    assert_string_equal(config_text(config, CONFIG_PID_FILE), "");
    assert_string_equal(config_text(config, CONFIG_AUTH_FILE), "/x y/z");
    assert_int_equal(config_number(config, CONFIG_ADMIN_PORT), 7);
    assert_true(config_flag(config, CONFIG_ALLOW_EMPTY));
    assert_int_equal(config_number(config, CONFIG_MAX_BULK_COPY_RATE), 0);
    assert_true(config_is(config, CONFIG_LOG_LEVEL, "debug"));
    assert_int_equal(config_store_count(config), 2);
    assert_string_equal(config_store_name(config, 0), "b");
    assert_string_equal(config_store_conninfo(config, 0), "host=b password=se;cret");
    assert_string_equal(config_store_conninfo(config, 1), "postgresql://u@a/e");
    assert_string_equal(config_user_tenant(config, "bob"), "T 1");
    assert_string_equal(config_user_tenant(config, "x.y"), "2");
    assert_null(config_user_tenant(config, "BOB"));
    config_give(config);
}

static const struct refused_case {
    const char *text;
    int line; /* 0: the message has no file and line in front */
    const char *message, *hint;
} refused_cases[] = {
    { LEAST "[pgshunt]\nworker = 2\n", 8, "unknown key \"worker\" in [pgshunt]",
      "Did you mean workers in [pgshunt]?" },
    { LEAST "[pgshunt]\nbatch_size = 2\n", 8, "unknown key \"batch_size\" in [pgshunt]",
      "Did you mean batch_size in [migration]?" },
    { LEAST "[log]\nzzzzzzzzzzzz = 2\n", 8, "unknown key \"zzzzzzzzzzzz\" in [log]",
      "proxy.conf.example has every key." },
    { LEAST "[pgshunts]\nworkers = 2\n", 8, "unknown section [pgshunts]",
      "Sections are [pgshunt], [auth], [stores], [routing], [events], [migration], [control] and [log]." },
    { "workers = 2\n" LEAST, 1, "expected a section before the first key",
      "Sections are [pgshunt], [auth], [stores], [routing], [events], [migration], [control] and [log]." },
    { LEAST "default_store = shared\n", 7, "default_store is given twice", "It stands in line 6 already." },
    { LEAST "[stores]\nshared = x=y\n", 8, "store \"shared\" is given twice", "" },
    { LEAST "[stores]\nb =\n", 8, "store \"b\" has no connection string", "" },
    { LEAST "user.a = tenant:1\nuser.a = tenant:1\n", 8, "the tenant of user \"a\" is given twice", "" },
    { LEAST "user.a = 1\n", 7, "user.a must be tenant:VALUE, not \"1\"", "" },
    { LEAST "user.a = tenant:\n", 7, "user.a must be tenant:VALUE, not \"tenant:\"", "" },
    { LEAST "user. = tenant:1\n", 7, "unknown key \"user.\" in [routing]", NULL },
    { LEAST "[pgshunt]\nworkers = 0\n", 8, "workers must be a number from 1 to 64, not \"0\"", "" },
    { LEAST "[pgshunt]\nworkers = 65\n", 8, "workers must be a number from 1 to 64, not \"65\"", "" },
    { LEAST "[pgshunt]\nworkers = 2x\n", 8, "workers must be a number from 1 to 64, not \"2x\"", "" },
    { LEAST "[pgshunt]\nworkers = +2\n", 8, "workers must be a number from 1 to 64, not \"+2\"", "" },
    { LEAST "[pgshunt]\nworkers =\n", 8, "workers must be a number from 1 to 64, not \"\"", "" },
    { LEAST "[pgshunt]\nworkers = 99999999999999999999\n", 8,
      "workers must be a number from 1 to 64, not \"99999999999999999999\"", "" },
    { LEAST "[pgshunt]\npool_mode = statement\n", 8,
      "pool_mode must be one of session|transaction, not \"statement\"", "" },
    { LEAST "[migration]\nposition_mode = pre\n", 8,
      "position_mode must be one of preserve|assign|auto, not \"pre\"", "" },
    { LEAST "[migration]\nposition_mode =\n", 8, "position_mode must be one of preserve|assign|auto, not \"\"", "" },
    { LEAST "[migration]\nallow_empty = maybe\n", 8, "allow_empty must be on or off, not \"maybe\"", "" },
    { LEAST "[migration]\nwrite_hold_timeout_ms = 1499\n", 8,
      "write_hold_timeout_ms must be at least cutover_timeout_ms + 1000 = 1500, not 1499", "" },
    { LEAST "[migration]\ncutover_timeout_ms = 4001\n", 8,
      "write_hold_timeout_ms must be at least cutover_timeout_ms + 1000 = 5001, not 5000", "" },
    { LEAST "[migration]\ncutover_lock_ms = 501\n", 8,
      "cutover_lock_ms must not be above cutover_timeout_ms = 500, not 501", "" },
    { LEAST "[pgshunt]\nlisten = 6432\n", 8, "listen must be host:port, comma-separated, not \"6432\"",
      "For example 127.0.0.1:6432, *:6432 or [::1]:6432." },
    { LEAST "[pgshunt]\nlisten =\n", 8, "listen is empty, and there is no unix_socket_dir",
      "listen = 127.0.0.1:6432, for example." },
    { LEAST "[pgshunt]\nadmin_socket_dir =\n", 8, "admin_socket_dir must not be empty", "" },
    { LEAST "[events]\nstream_columns = a,,b\n", 8, "stream_columns has an empty name in \"a,,b\"", "" },
    { LEAST "[pgshunt] workers = 2\n", 7,
      "expected the end of the line after the section's name, found \"workers = 2\n\"", NULL },
    { LEAST "[pgshunt\n", 7, "expected ] at the end of the section's name", "" },
    { LEAST "nonsense\n", 7, "expected [section], name = value or a comment", "" },
    { AUTH STORES, 4, "default_store is missing in [routing]", NULL },
    { AUTH ROUTE, 4, "[stores] names no store", "" },
    { AUTH "[routing]\ndefault_store = b\n" STORES, 4, "default_store \"b\" is not in [stores]",
      "The first store there is \"shared\"." },
    { STORES ROUTE, 4, "auth_type scram-sha-256 needs auth_file",
      "Add auth_file = /path/to/users under [auth], or auth_type = trust." },
    { LEAST "[stores]\nb = password=${ENV:PGSHUNT_TEST_UNSET}\n", 8,
      "environment variable \"PGSHUNT_TEST_UNSET\" is not set", "" },
    { LEAST "[stores]\nb = password=${FILE:/nowhere/at/all}\n", 8,
      "cannot open \"/nowhere/at/all\": No such file or directory", "" },
    { LEAST "[stores]\nb = password=${FILE:relative}\n", 8,
      "expected ${ENV:NAME} or ${FILE:/path}, found \"${FILE:relative}\"", "" },
    { LEAST "[stores]\nb = password=${PASSWORD}\n", 8,
      "expected ${ENV:NAME} or ${FILE:/path}, found \"${PASSWORD}\"", "" },
    { LEAST "[stores]\nb = password=${ENV:X\n", 8, "expected } after \"${\"", "" },
    { LEAST "[stores]\nb = password=${FILE:/dev/null}\n", 8, "${FILE:/dev/null} is empty", "" },
    { LEAST "[control]\nconninfo = ${ENV:PGSHUNT_TEST_UNSET}\n", 8,
      "environment variable \"PGSHUNT_TEST_UNSET\" is not set", "" },
    { LEAST "[stores]\naaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee = x=y\n", 8,
      "a name is longer than 48 bytes", "" },
};

static void says_where_what_and_what_to_do(void **state)
{
    (void)state;
    unsetenv("PGSHUNT_TEST_UNSET");
    for (size_t i = 0; i < sizeof refused_cases / sizeof refused_cases[0]; i++) {
        const struct refused_case *row = &refused_cases[i];
        struct config *config;
        struct error err;
        char path[64], expected[600];

        assert_false(read_text(row->text, path, &config, &err));
        assert_null(config);
        snprintf(expected, sizeof expected, "%s:%d: %s", path, row->line, row->message);
        assert_string_equal(err.message, expected);
        assert_string_equal(err.sqlstate, "F0000");
        if (row->hint != NULL)
            assert_string_equal(err.hint, row->hint);
    }
}

static void refuses_a_nul_byte_and_an_endless_line(void **state)
{
    static const char with_nul[] = LEAST "[pgshunt]\nworkers = 2\0 = 3\n",
                      at_end[] = LEAST "[log]\nlevel = info\0x";
    static char endless[2 * CONFIG_LINE_BYTES_MAX];
    struct config *config;
    struct error err;
    char path[64];

    (void)state;
    assert_false(read_bytes(with_nul, sizeof with_nul - 1, path, &config, &err));
    assert_non_null(strstr(err.message, ":8: the line has a NUL byte"));
    assert_false(read_bytes(at_end, sizeof at_end - 1, path, &config, &err));
    assert_non_null(strstr(err.message, ":8: the line has a NUL byte"));
    strcpy(endless, LEAST "[pgshunt]\npid_file = ");
    memset(endless + strlen(endless), 'x', sizeof endless - strlen(endless));
    assert_false(read_bytes(endless, sizeof endless, path, &config, &err));
    assert_non_null(strstr(err.message, ":8: the line is longer than 8190 bytes"));
    assert_false(config_read("/nowhere/at/all", &config, &err));
    assert_non_null(strstr(err.message, "cannot open configuration file \"/nowhere/at/all\": No such file"));
    assert_false(config_read("/tmp", &config, &err));
    assert_non_null(strstr(err.message, "cannot read: Is a directory"));
}

static const struct secret_case {
    const char *conninfo, *secret, *expected;
} secret_cases[] = {
    { "host=a password=${ENV:PGSHUNT_TEST} dbname=e", "plain", "host=a password=plain dbname=e" },
    { "password=${ENV:PGSHUNT_TEST} dbname=e", "a b'c\\d\te", "password=a\\ b\\'c\\\\d\\\te dbname=e" },
    { "password='${ENV:PGSHUNT_TEST}'", "a' host='evil", "password='a\\'\\ host=\\'evil'" },
    { "postgresql://u:${ENV:PGSHUNT_TEST}@h/d", "p@ss/w:rd ?", "postgresql://u:p%40ss%2Fw%3Ard%20%3F@h/d" },
    { "postgres://u:${ENV:PGSHUNT_TEST}@h/d", "\xC3\xA9", "postgres://u:%C3%A9@h/d" },
    { "${ENV:PGSHUNT_TEST}", "host=h password='x y'", "host=h password='x y'" },
    { "user=${ENV:PGSHUNT_TEST} password=${ENV:PGSHUNT_TEST}", "x", "user=x password=x" },
    { "password=$x}{", "unused", "password=$x}{" },
};

static void any_secret_is_one_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof secret_cases / sizeof secret_cases[0]; i++) {
        struct config *config;
        char text[512];

        setenv("PGSHUNT_TEST", secret_cases[i].secret, 1);
        snprintf(text, sizeof text, LEAST "[stores]\nb = %s\n[control]\nconninfo = %s\n",
                 secret_cases[i].conninfo, secret_cases[i].conninfo);
        config = must_read(text);
        assert_string_equal(config_store_conninfo(config, 1), secret_cases[i].expected);
        assert_string_equal(config_text(config, CONFIG_CONTROL_CONNINFO), secret_cases[i].expected);
        config_give(config);
    }
    unsetenv("PGSHUNT_TEST");
    assert_true(config_info(CONFIG_CONTROL_CONNINFO)->secret);
}

static void a_secret_may_come_from_a_file(void **state)
{
    char path[] = "/tmp/pgshunt-test-XXXXXX", text[256];
    int fd = mkstemp(path);
    struct config *config;

    (void)state;
    assert_int_equal(write(fd, "s ecret\r\n", 9), 9);
    close(fd);
    snprintf(text, sizeof text, LEAST "[stores]\nb = password=${FILE:%s}\n", path);
    config = must_read(text);
    unlink(path);
    assert_string_equal(config_store_conninfo(config, 1), "password=s\\ ecret");
    config_give(config);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_info *info = config_info((enum config_key)i);
        enum config_key found;
        struct error err;

        assert_non_null(info->name); /* a key of the enum without a row */
        assert_non_null(info->help);
        assert_true(config_find(info->name, &found));
        assert_int_equal(found, i); /* START … WITH names a key without its section */
        if (info->default_value != NULL)
            assert_true(config_check((enum config_key)i, info->default_value, &err));
        assert_int_equal(info->choices != NULL, info->type == CONFIG_TYPE_CHOICE);
        assert_int_equal(info->max > info->min, info->type == CONFIG_TYPE_NUMBER);
    }
}

static const struct address_case {
    const char *address, *host; /* NULL: refused */
    int port;
} address_cases[] = {
    { "127.0.0.1:6432", "127.0.0.1", 6432 },
    { "*:1", "*", 1 },
    { "[::1]:65535", "::1", 65535 },
    { "host.name:5", "host.name", 5 },
    { ":5", NULL, 0 },
    { "a:", NULL, 0 },
    { "a:0", NULL, 0 },
    { "a:65536", NULL, 0 },
    { "a:1x", NULL, 0 },
    { "::1:5", NULL, 0 },
    { "[]:5", NULL, 0 },
    { "[::1:5", NULL, 0 },
    { "", NULL, 0 },
    { "5", NULL, 0 },
};

static void addresses_are_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof address_cases / sizeof address_cases[0]; i++) {
        struct slice host;
        int port;

        assert_int_equal(config_parse_address(slice_of(address_cases[i].address), &host, &port),
                         address_cases[i].host != NULL);
        if (address_cases[i].host != NULL) {
            assert_true(slice_is(host, address_cases[i].host));
            assert_int_equal(port, address_cases[i].port);
        }
    }
}

static void lists_are_walked(void **state)
{
    static const char list[] = " a , b b,,c";
    static const char *const expected[] = { "a", "b b", "", "c" };
    struct slice item;
    size_t at = 0, count = 0;

    (void)state;
    while (config_next_item(list, &at, &item))
        assert_true(slice_is(item, expected[count++]));
    assert_int_equal(count, 4);
    at = 0;
    assert_false(config_next_item("", &at, &item));
}

/* The example has every key, under its section, with its default, and works once it has a password file. */
static void the_example_shows_every_key_with_its_default(void **state)
{
    char text[65536], section[64] = "", name[64], value[256];
    bool seen[CONFIG_KEYS] = { false };
    FILE *file = fopen(EXAMPLE, "r");

    (void)state;
    assert_non_null(file);
    while (fgets(text, sizeof text, file) != NULL) {
        enum config_key key;

        value[0] = '\0';
        if (sscanf(text, "[%63[a-z]]", section) == 1 ||
            sscanf(text, "%63[a-z0-9_-] = %255[^\n]", name, value) < 1)
            continue;
        if (text[0] == ';' || strcmp(section, "stores") == 0)
            continue;
        assert_true(config_find(name, &key));
        assert_string_equal(section, config_info(key)->section);
        assert_false(seen[key]);
        seen[key] = true;
        if (key != CONFIG_DEFAULT_STORE && key != CONFIG_AUTH_FILE) /* these cannot work with their default */
            assert_string_equal(value, config_info(key)->default_value);
    }
    fclose(file);
    for (int i = 0; i < CONFIG_KEYS; i++) {
        if (!seen[i])
            fail_msg("proxy.conf.example lacks %s", config_info((enum config_key)i)->name);
    }
}

static void the_example_is_a_configuration(void **state)
{
    struct config *config;
    struct error err;

    (void)state;
    if (!config_read(EXAMPLE, &config, &err))
        fail_msg("%s", err.message);
    assert_string_equal(config_text(config, CONFIG_DEFAULT_STORE), config_store_name(config, 0));
    config_give(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_defaults_for_what_is_not_said),
        cmocka_unit_test(reads_what_is_said),
        cmocka_unit_test(says_where_what_and_what_to_do),
        cmocka_unit_test(refuses_a_nul_byte_and_an_endless_line),
        cmocka_unit_test(any_secret_is_one_value),
        cmocka_unit_test(a_secret_may_come_from_a_file),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(addresses_are_split),
        cmocka_unit_test(lists_are_walked),
        cmocka_unit_test(the_example_shows_every_key_with_its_default),
        cmocka_unit_test(the_example_is_a_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
