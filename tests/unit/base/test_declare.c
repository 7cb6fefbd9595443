/* test_declare.c - the lists of [events], and the presets that fill them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/declare.h"

/* A list as it was understood: schema.name(key=value;…) with a blank between; "!…": the error. */
static const struct list_case {
    const char *list, *read;
} lists[] = {
    { "", "" },
    { "  ", "" },
    { "a", "a" },
    { " a , b.c ", "a b.c" },
    { "a,", "a" },
    { "Events, es.\"Q\"", "Events es.\"Q\"" },
    { "f(tenant_arg=10)", "f(tenant_arg=10;)" },
    { "f ( tenant_arg = 10 , stream_arg=s ) , g", "f(tenant_arg=10;stream_arg=s;) g" },
    { "a b", "a b" }, /* one name with a space: no server has it */
    { "a.b.c", "a.b.c" },
    { ",a", "!" },
    { "a,,b", "!" },
    { "f(", "!" },
    { "f()", "!" },
    { "f(x)", "!" },
    { "f(x=)", "!" },
    { "f(=1)", "!" },
    { "f(x=1", "!" },
    { "f(x=1) g", "!" },
    { "f(x=1))", "!" },
    { "f(a=1,b=2,c=3,d=4,e=5,f=6,g=7)", "!" },
    { ".a", "!" },
    { "a.", "!" },
    { "f(x=1,)", "!" },
    { "0123456789012345678901234567890123456789012345678901234567890123", "!" },
};

static void read_list(const char *list, char *out, size_t bytes)
{
    enum declare_result result;
    struct declared item;
    struct error err;
    size_t at = 0, used = 0;

    out[0] = '\0';
    while ((result = declare_next(list, &at, &item, &err)) == DECLARE_ITEM) {
        used += (size_t)snprintf(out + used, bytes - used, "%s%.*s%s%.*s", used > 0 ? " " : "",
                                 (int)item.schema.bytes, item.schema.at == NULL ? "" : item.schema.at,
                                 item.schema.at == NULL ? "" : ".", (int)item.name.bytes, item.name.at);
        for (size_t i = 0; i < item.option_count; i++)
            used += (size_t)snprintf(out + used, bytes - used, "%s%.*s=%.*s;", i == 0 ? "(" : "",
                                     (int)item.options[i].key.bytes, item.options[i].key.at,
                                     (int)item.options[i].value.bytes, item.options[i].value.at);
        if (item.option_count > 0)
            used += (size_t)snprintf(out + used, bytes - used, ")");
    }
    if (result == DECLARE_BAD)
        snprintf(out, bytes, "!");
}

static void lists_are_read(void **state)
{
    char read[512];

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        read_list(lists[i].list, read, sizeof read);
        if (strcmp(read, lists[i].read) != 0)
            print_error("%s\n", lists[i].list);
        assert_string_equal(read, lists[i].read);
    }
}

static const struct check_case {
    enum config_key key;
    const char *value;
    bool good;
} checks[] = {
    { CONFIG_EVENT_TABLE, "a.b", true },
    { CONFIG_EVENT_TABLE, "a, b", false },
    { CONFIG_EVENT_TABLE, "a(tenant_column=x)", false },
    { CONFIG_COMPANION_TABLES, "a, b(tenant_column=x)", true },
    { CONFIG_COMPANION_TABLES, "a(tenant_arg=1)", false },
    { CONFIG_COMPANION_TABLES, "a(key=x y, position=z), b(parent=a, on=x y:z)", true },
    { CONFIG_EVENT_VIEWS, "v(tenant_column=x)", false },
    { CONFIG_WRITE_FUNCTIONS, "f(tenant_arg=1), s.g(stream_arg=name), h", true },
    { CONFIG_WRITE_FUNCTIONS, "f(tenant=1)", false },
    { CONFIG_READ_FUNCTIONS, "f(tenant_arg=1, tenant_arg=2)", false },
    { CONFIG_STREAM_PATTERN, "^[^-]+-([0-9a-f-]{36})", true },
    { CONFIG_STREAM_PATTERN, "^tenant", false },
    { CONFIG_STREAM_PATTERN, "^(a)(b)", false },
    { CONFIG_STREAM_PATTERN, "(", false },
    { CONFIG_PRESET, "emmett", true },
    { CONFIG_PRESET, "Emmett", false },
};

static void values_are_checked(void **state)
{
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        if (config_check(checks[i].key, checks[i].value, &err) != checks[i].good)
            fail_msg("%s", checks[i].value);
        if (!checks[i].good)
            assert_true(err.message[0] != '\0');
    }
}

static const char *const presets[] = { "eventsource-py",
                                       "emmett",
                                       "marten",
                                       "message-db",
                                       "rails-event-store",
                                       "elixir-eventstore",
                                       "python-eventsourcing",
                                       "akka-persistence-jdbc",
                                       "axon" };

/* What a key says in a configuration with that preset and those lines; must be freed. */
static const struct config *with_preset(const char *preset, const char *more)
{
    char path[] = "/tmp/pgshunt-test-XXXXXX";
    const struct config *config = NULL;
    struct error err;
    FILE *file = fdopen(mkstemp(path), "w");

    fprintf(
        file,
        "[auth]\nauth_type = trust\n[stores]\na = host=a\n[routing]\ndefault_store = a\n[events]\n%s%s%s\n%s",
        preset == NULL ? "" : "preset = ", preset == NULL ? "" : preset, "", more);
    fclose(file);
    if (!config_read(path, (struct config **)&config, &err))
        fail_msg("%s: %s", preset, err.message);
    remove(path);
    return config;
}

static void every_preset_is_a_configuration(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        config_give(with_preset(presets[i], ""));
}

static void what_is_given_wins_over_a_preset(void **state)
{
    const struct config *config = with_preset(
        "emmett", "companion_tables =\ntable = es.emt_messages\nversion_column = stream_position\n");

    (void)state;
    assert_string_equal(config_text(config, CONFIG_EVENT_TABLE), "es.emt_messages");
    assert_string_equal(config_text(config, CONFIG_COMPANION_TABLES), "");
    assert_string_equal(config_text(config, CONFIG_TENANT_COLUMN), "partition");
    assert_string_equal(config_text(config, CONFIG_WRITE_FUNCTIONS), "emt_append_to_stream(tenant_arg=10)");
    assert_string_equal(config_text(config, CONFIG_EVENT_ID_COLUMN), "");
    config_give(config);
    config = with_preset("elixir-eventstore", ""); /* a key that a preset says nothing of has its default */
    assert_string_equal(config_text(config, CONFIG_POSITION_COLUMN), "global_position");
    config_give(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(every_preset_is_a_configuration),
        cmocka_unit_test(what_is_given_wins_over_a_preset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
