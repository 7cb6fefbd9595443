/* What START … WITH may say, and that it comes back from the control database as it went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "migrate/settings.h"

static struct config *config_of(const char *text)
{
    char path[] = "/tmp/test_settings.XXXXXX";
    int fd = mkstemp(path);
    struct config *config = NULL;
    struct error err;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    if (!config_read(path, &config, &err))
        fail_msg("%s", err.message);
    unlink(path);
    return config;
}

static const char plain[] = "[auth]\nauth_type = trust\n[routing]\ndefault_store = a\n[stores]\na = host=x\n";

static void starts_with_the_configuration(void **unused)
{
    struct config *config =
        config_of("[auth]\nauth_type = trust\n[routing]\ndefault_store = a\n[stores]\na = host=x\n"
                  "[migration]\nbatch_size = 17\nallow_empty = on\nposition_mode = preserve\n");
    struct migration_settings settings;

    (void)unused;
    settings_init(&settings, config);
    assert_int_equal(settings.batch_size, 17);
    assert_int_equal(settings.cutover_timeout_ms, 500);
    assert_true(settings.allow_empty);
    assert_string_equal(settings.position_mode, "preserve");
    config_give(config);
}

static void refuses_what_is_not_a_migrations_setting(void **unused)
{
    static const struct {
        const char *name, *value, *sqlstate;
    } refused[] = {
        { "nonsense", "1", "42601" },
        { "listen", "*:1", "42601" },                  /* a key, but not of [migration] */
        { "max_concurrent_migrations", "9", "42601" }, /* of [migration], but not of one */
        { "batch_size", "0", NULL },
        { "batch_size", "many", NULL },
        { "batch_size", "", NULL },
        { "batch_size", "10; DROP", NULL },
        { "position_mode", "guess", NULL },
        { "allow_empty", "perhaps", NULL },
    };
    struct config *config = config_of(plain);
    struct migration_settings settings, before;
    struct error err;

    (void)unused;
    settings_init(&settings, config);
    before = settings;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        error_clear(&err);
        assert_false(settings_set(&settings, refused[i].name, refused[i].value, &err));
        assert_true(error_is_set(&err));
        if (refused[i].sqlstate != NULL)
            assert_string_equal(err.sqlstate, refused[i].sqlstate);
        assert_memory_equal(&settings, &before, sizeof settings);
    }
    config_give(config);
}

static void holds_writes_longer_than_a_cutover_may_take(void **unused)
{
    struct config *config = config_of(plain);
    struct migration_settings settings;
    struct error err;

    (void)unused;
    settings_init(&settings, config);
    assert_true(settings_set(&settings, "cutover_timeout_ms", "30000", &err));
    settings_settle(&settings);
    assert_int_equal(settings.write_hold_timeout_ms, 31000);
    config_give(config);
}

static void comes_back_as_it_went_in(void **unused)
{
    struct config *config = config_of(plain);
    struct migration_settings settings, back;
    struct error err;
    struct buf json;

    (void)unused;
    settings_init(&settings, config);
    assert_true(settings_set(&settings, "batch_size", "5000", &err));
    assert_true(settings_set(&settings, "allow_empty", "yes", &err));
    assert_true(settings_set(&settings, "position_mode", "preserve", &err));
    settings_settle(&settings);
    buf_init(&json);
    settings_write(&settings, &json);
    settings_init(&back, config);
    assert_true(settings_read(&back, buf_text(&json), &err));
    assert_memory_equal(&back, &settings, sizeof settings);
    buf_done(&json);
    config_give(config);
}

static void reads_what_it_does_not_know(void **unused)
{
    static const char *const fine[] = { "{}", " { \"a newer key\" : \"x\", \"batch_size\": \"9\" } ",
                                        "{\"x\": \"with \\\" and \\\\\"}" };
    static const char *const broken[] = { "",
                                          "[]",
                                          "{",
                                          "{\"a\"}",
                                          "{\"a\": 1}",
                                          "{\"a\": \"",
                                          "{\"a\": \"b\"",
                                          "{\"a\": \"b\" \"c\": \"d\"}",
                                          "{a: b}" };
    struct config *config = config_of(plain);
    struct migration_settings settings;
    struct error err;

    (void)unused;
    settings_init(&settings, config);
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_true(settings_read(&settings, fine[i], &err));
    assert_int_equal(settings.batch_size, 9);
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_false(settings_read(&settings, broken[i], &err));
    config_give(config);
}

static void splits_the_names_of_events(void **unused)
{
    struct config *config =
        config_of("[auth]\nauth_type = trust\n[routing]\ndefault_store = a\n[stores]\na = host=x\n"
                  "[events]\ntable = shop.happenings\nstream_columns = kind , id\n"
                  "event_id_column =\n");
    struct event_names *names;
    struct error err;

    (void)unused;
    assert_true(event_names_new(config, &names, &err));
    assert_string_equal(names->schema, "shop");
    assert_string_equal(names->table, "happenings");
    assert_string_equal(names->event_id, "");
    assert_int_equal(names->stream_count, 2);
    assert_string_equal(names->stream[0], "kind");
    assert_string_equal(names->stream[1], "id");
    event_names_free(names);
    config_give(config);
}

static void escapes_text_for_json(void **unused)
{
    struct buf out;

    (void)unused;
    buf_init(&out);
    json_text(&out, "a \"b\" \\ \n\x01 ü");
    assert_string_equal(buf_text(&out), "\"a \\\"b\\\" \\\\ \\u000a\\u0001 ü\"");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_the_configuration),
        cmocka_unit_test(refuses_what_is_not_a_migrations_setting),
        cmocka_unit_test(holds_writes_longer_than_a_cutover_may_take),
        cmocka_unit_test(comes_back_as_it_went_in),
        cmocka_unit_test(reads_what_it_does_not_know),
        cmocka_unit_test(splits_the_names_of_events),
        cmocka_unit_test(escapes_text_for_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
