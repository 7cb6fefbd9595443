/* test_hba.c - PostgreSQL's pg_hba.conf: which line decides, and what is refused when it is read. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/hba.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char folder[] = "/tmp/pgshunt_test_hba.XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool read_text(const char *text, struct hba **hba, struct error *err)
{
    char path[128];

    write_file("hba.conf", text);
    snprintf(path, sizeof path, "%s/hba.conf", folder);
    return hba_read(path, hba, err);
}

/* "[local]", an address, or an address with " tls" behind. */
static unsigned line_for(const struct hba *hba, const char *from, const char *database, const char *user,
                         struct hba_verdict *verdict)
{
    struct sockaddr_storage address = { .ss_family = AF_UNIX };
    char text[64];

    snprintf(text, sizeof text, "%s", from);
    text[strcspn(text, " ")] = '\0';
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&address)->sin_addr) == 1)
        address.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&address)->sin6_addr) == 1)
        address.ss_family = AF_INET6;
    return hba_match(hba,
                     &(struct hba_ask){ .address = (struct sockaddr *)&address,
                                        .encrypted = strstr(from, "tls") != NULL,
                                        .replication = strcmp(database, "(replication)") == 0,
                                        .database = database,
                                        .user = user },
                     verdict)
               ? verdict->line
               : 0;
}

static const char rules[] = "# type database user address method\n"                            /* 1 */
                            "local   all        admin                    peer map=ops\n"       /* 2 */
                            "local   all        all                      md5\n"                /* 3 */
                            "host    shop       mallory  all             reject\n"             /* 4 */
                            "hostssl shop       app      10.0.0.0/8      cert\n"               /* 5 */
                            "host    shop,other app      10.1.0.0 255.255.0.0 scram-sha-256\n" /* 6 */
                            "hostnossl sameuser all      192.168.1.7/32  password # why not\n" /* 7 */
                            "host    \"all\"    \"quoted user\" 2001:db8::/32 trust\n"         /* 8 */
                            "host    all        @users.txt ::1/128       md5\n"                /* 9 */
                            "host    replication walrus  all             trust\n"              /* 10 */
                            "host    \"replication\" app 172.16.0.0/12 \\\n"                   /* 11 … */
                            "        trust\n"                                                  /* 12 */
                            "hostnogssenc all last 0.0.0.0/0 scram-sha-256\n";                 /* 13 */

static const struct match_case {
    const char *from, *database, *user;
    unsigned line; /* 0: none */
    enum auth_type method;
} match_cases[] = {
    { "[local]", "shop", "admin", 2, AUTH_PEER },
    { "[local]", "shop", "app", 3, AUTH_MD5 },
    { "10.0.0.1", "shop", "mallory", 4, AUTH_REJECT },
    { "10.0.0.1", "other", "mallory", 0, 0 },
    { "10.0.0.1 tls", "shop", "app", 5, AUTH_CERT },
    { "10.1.2.3 tls", "shop", "app", 5, AUTH_CERT }, /* the first that matches */
    { "10.1.2.3", "shop", "app", 6, AUTH_SCRAM },
    { "10.1.2.3", "other", "app", 6, AUTH_SCRAM },
    { "10.2.2.3", "shop", "app", 0, 0 },
    { "10.1.2.3", "shop", "App", 0, 0 },
    { "192.168.1.7", "joe", "joe", 7, AUTH_PASSWORD },
    { "192.168.1.7", "shop", "joe", 0, 0 },
    { "192.168.1.7 tls", "joe", "joe", 0, 0 },
    { "192.168.1.8", "joe", "joe", 0, 0 },
    { "2001:db8::5", "all", "quoted user", 8, AUTH_TRUST }, /* a database of that name, not every one */
    { "2001:db8::5", "shop", "quoted user", 0, 0 },
    { "2001:db9::5", "all", "quoted user", 0, 0 },
    { "::1", "shop", "one", 9, AUTH_MD5 },
    { "::1", "shop", "two words", 9, AUTH_MD5 },
    { "::1", "shop", "three", 9, AUTH_MD5 },
    { "::1", "shop", "four", 0, 0 },
    { "127.0.0.1", "shop", "one", 0, 0 },
    { "10.9.9.9", "(replication)", "walrus", 10, AUTH_TRUST },
    { "10.9.9.9", "replication", "walrus", 0, 0 }, /* a database of that name is not replication */
    { "172.16.5.5", "replication", "app", 12, AUTH_TRUST },
    { "172.16.5.5", "(replication)", "app", 0, 0 },
    { "203.0.113.5", "any", "last", 13, AUTH_SCRAM },
    { "[local]", "(replication)", "app", 0, 0 }, /* "all" does not mean replication */
};

static void the_first_line_that_matches_decides(void **state)
{
    struct hba *hba;
    struct error err;

    (void)state;
    write_file("users.txt", "one, \"two words\"\n# a comment\n@more.txt\n");
    write_file("more.txt", "three\n");
    if (!read_text(rules, &hba, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < COUNT(match_cases); i++) {
        const struct match_case *row = &match_cases[i];
        struct hba_verdict verdict = { 0 };
        unsigned line = line_for(hba, row->from, row->database, row->user, &verdict);

        if (line != row->line || (line != 0 && verdict.method != row->method))
            fail_msg("row %zu: line %u", i, line);
        if (line == 2)
            assert_string_equal(verdict.map, "ops");
        else
            assert_null(verdict.map);
    }
    hba_free(hba);
    hba_free(NULL);
}

static const struct bad_case {
    const char *text, *words;
} bad_cases[] = {
    { "hots all all all trust", "invalid connection type \"hots\"" },
    { "hostgssenc all all all trust", "invalid connection type" },
    { "local all all", "ends too early" },
    { "host all all trust", "ends too early" },
    { "host all all 10.0.0.1 trust", "no mask" },
    { "host all all 10.0.0.1 255.0.0.0", "ends before the authentication method" },
    { "host all all 10.0.0.1/33 trust", "invalid address" },
    { "host all all 10.0.0/8 trust", "invalid address" },
    { "host all all ::1/129 trust", "invalid address" },
    { "host all all ::1 255.0.0.0 trust", "no mask" },
    { "host all all localhost trust", "invalid address \"localhost\"" },
    { "host all all samehost trust", "invalid address" },
    { "host all all 10.0.0.1/ trust", "invalid address" },
    { "host all all 10.0.0.1/8,10.0.0.2/8 trust", "expected one address" },
    { "host all all all ldap", "invalid authentication method \"ldap\"" },
    { "host all all all peer", "only supported on local sockets" },
    { "local all all cert", "only supported on hostssl" },
    { "host all all all cert", "only supported on hostssl" },
    { "host all +staff all md5", "known to the server only" },
    { "host samerole all all md5", "known to the server only" },
    { "host /^db all all md5", "regular expressions" },
    { "host all all all md5 map=ops", "needs the method peer or cert" },
    { "local all all peer map=", "invalid option" },
    { "local all all peer clientcert=verify-ca", "invalid option" },
    { "host all \"app all all md5", "not closed" },
    { "host all @nowhere.txt all md5", "nowhere.txt" },
    { "host all @self.txt all md5", "deep" },
    { "host all @empty.txt all md5", "an empty list of users" },
};

static void what_cannot_be_decided_is_an_error_with_its_line(void **state)
{
    (void)state;
    write_file("self.txt", "@self.txt\n");
    write_file("empty.txt", "# nobody\n");
    for (size_t i = 0; i < COUNT(bad_cases); i++) {
        struct error err = { 0 };
        struct hba *hba;
        char text[256];

        snprintf(text, sizeof text, "local all all trust\n%s\n", bad_cases[i].text);
        if (read_text(text, &hba, &err))
            fail_msg("row %zu is read", i);
        assert_null(hba);
        assert_string_equal(err.sqlstate, "F0000");
        if (strstr(err.message, bad_cases[i].words) == NULL)
            fail_msg("row %zu: %s", i, err.message);
        if (strstr(err.message, "hba.conf:2: ") == NULL && strchr(bad_cases[i].text, '@') == NULL)
            fail_msg("row %zu: %s", i, err.message);
    }
}

static void an_empty_file_lets_nobody_in(void **state)
{
    struct hba_verdict verdict;
    struct error err;
    struct hba *hba;

    (void)state;
    assert_true(read_text("\n  # nothing\n", &hba, &err));
    assert_int_equal(line_for(hba, "[local]", "shop", "app", &verdict), 0);
    hba_free(hba);
    assert_false(hba_read("/nowhere/at/all", &hba, &err));
    assert_non_null(strstr(err.message, "hba_file \"/nowhere/at/all\""));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "hba.conf", "users.txt", "more.txt", "self.txt", "empty.txt" };
    char path[128];

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_line_that_matches_decides),
        cmocka_unit_test(what_cannot_be_decided_is_an_error_with_its_line),
        cmocka_unit_test(an_empty_file_lets_nobody_in),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
