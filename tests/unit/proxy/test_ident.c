/* test_ident.c - maps of system users to database users, and what is not one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/ident.h"

static bool read_text(const char *text, struct ident **ident, struct error *err)
{
    char path[] = "/tmp/pgshunt_test_ident.XXXXXX";
    int fd = mkstemp(path);
    bool ok;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    ok = ident_read(path, ident, err);
    unlink(path);
    return ok;
}

static void maps_say_who_may_be_whom(void **state)
{
    struct ident *ident;
    struct error err;

    (void)state;
    assert_true(read_text("# map  system  user\n"
                          "ops root app\n"
                          "ops \"web server\" app\n"
                          "ops root \"all\"\n"
                          "any backup all\n",
                          &ident, &err));
    assert_true(ident_allows(ident, "ops", "root", "app"));
    assert_true(ident_allows(ident, "ops", "web server", "app"));
    assert_true(ident_allows(ident, "ops", "root", "all")); /* quoted: a name */
    assert_false(ident_allows(ident, "ops", "root", "other"));
    assert_false(ident_allows(ident, "ops", "app", "app")); /* a map is all there is */
    assert_false(ident_allows(ident, "Ops", "root", "app"));
    assert_true(ident_allows(ident, "any", "backup", "whoever"));
    assert_false(ident_allows(ident, "none", "root", "app"));
    assert_true(ident_allows(ident, NULL, "app", "app"));
    assert_false(ident_allows(ident, NULL, "root", "app"));
    ident_free(ident);
    ident_free(NULL);
}

static void what_is_no_map_is_an_error_with_its_line(void **state)
{
    static const char *const texts[] = { "\nops root\n",          "\nops root app more\n",
                                         "\nops /^(.*)@x$ app\n", "\nops root +group\n",
                                         "\nops root, app app\n", "\nops \"root app\n" };
    struct ident *ident;
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(read_text(texts[i], &ident, &err));
        assert_null(ident);
        assert_string_equal(err.sqlstate, "F0000");
        assert_non_null(strstr(err.message, ":2: "));
    }
    assert_false(ident_read("/nowhere/at/all", &ident, &err));
    assert_non_null(strstr(err.message, "ident_file \"/nowhere/at/all\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_say_who_may_be_whom),
        cmocka_unit_test(what_is_no_map_is_an_error_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
