/* verifier_report.c - what a verification has found, counted and, up to a bound, named.
 * Thread: the runner's.   Start at: verifier_add(). */
#include <stdio.h>
#include <string.h>

#include "migrate/settings.h"
#include "migrate/verifier_impl.h"

enum { LISTED_BYTES_MAX = 256 * 1024 }; /* keys may be long */

static const char *const level_names[] = {
    [VERIFIER_COUNT] = "count", [VERIFIER_HASH] = "hash", [VERIFIER_FULL] = "full"
};
static const char *const kind_names[] = { [VERIFIER_MISSING] = "missing",
                                          [VERIFIER_EXTRA] = "extra",
                                          [VERIFIER_DIFFERENT] = "different",
                                          [VERIFIER_REORDERED] = "reordered" };
static const char *const kind_texts[] = { [VERIFIER_MISSING] = "is missing in the target",
                                          [VERIFIER_EXTRA] = "is in the target only",
                                          [VERIFIER_DIFFERENT] = "is different in the target",
                                          [VERIFIER_REORDERED] = "has another place in the target" };

const char *verifier_level_name(enum verifier_level level)
{
    return level_names[level];
}

bool verifier_level_parse(const char *name, enum verifier_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) != 0)
            continue;
        *level = (enum verifier_level)i;
        return true;
    }
    return false;
}

void verifier_report_done(struct verifier_report *report)
{
    buf_done(&report->listed);
    memset(report, 0, sizeof *report);
}

/* A text that was cut must not end in the middle of a character: it goes into JSON. */
static void trim(char *text)
{
    size_t end = strlen(text), start = end;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0xc0) {
        unsigned char lead = (unsigned char)text[start - 1];
        size_t needs = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

        if (end - (start - 1) < needs)
            text[start - 1] = '\0';
    }
}

static void say_first(struct verifier_report *report, const struct verifier_found *found)
{
    char *text = report->first;
    size_t size = sizeof report->first;
    size_t at = (size_t)snprintf(text, size, "%s%sstream ", found->table == NULL ? "" : found->table,
                                 found->table == NULL ? "" : ": ");

    for (size_t i = 0; i < found->suspect->columns && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%s", i == 0 ? "" : "/",
                               found->suspect->values[i] == NULL ? "null" : found->suspect->values[i]);
    if (at < size)
        at += (size_t)snprintf(text + at, size - at, ": version %s (%s) %s", found->version, found->key,
                               kind_texts[found->kind]);
    if (at < size && found->columns != NULL)
        snprintf(text + at, size - at, ": %s", found->columns);
    trim(text);
}

static void list(struct verifier_report *report, const struct verifier_found *found)
{
    struct buf *out = &report->listed;

    if (report->listed_count == VERIFIER_LISTED_MAX || buf_bytes(out) > LISTED_BYTES_MAX)
        return;
    buf_append_text(out, report->listed_count++ == 0 ? "{" : ", {");
    if (found->table != NULL) {
        buf_append_text(out, "\"table\": ");
        json_text(out, found->table);
        buf_append_text(out, ", ");
    }
    buf_append_text(out, "\"stream\": [");
    for (size_t i = 0; i < found->suspect->columns; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        if (found->suspect->values[i] == NULL)
            buf_append_text(out, "null");
        else
            json_text(out, found->suspect->values[i]);
    }
    buf_append_text(out, "], \"version\": ");
    json_text(out, found->version);
    buf_append_text(out, ", \"key\": ");
    json_text(out, found->key);
    buf_append_format(out, ", \"kind\": \"%s\"", kind_names[found->kind]);
    if (found->columns != NULL) {
        buf_append_text(out, ", \"columns\": ");
        json_text(out, found->columns);
    }
    buf_append_text(out, "}");
}

void verifier_add(struct verifier_report *report, const struct verifier_found *found)
{
    report->kinds[found->kind]++;
    if (report->violations++ == 0)
        say_first(report, found);
    list(report, found);
}

static int hex_value(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

void verifier_add_digest(struct verifier_report *report, int side, const char *hex)
{
    unsigned char *sum = report->digest[side];
    unsigned carry = 0;

    if (strlen(hex) != 2 * sizeof report->digest[side])
        return;
    for (size_t i = sizeof report->digest[side]; i-- > 0;) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return;
        carry += sum[i] + (unsigned)(high * 16 + low);
        sum[i] = (unsigned char)carry;
        carry >>= 8;
    }
}
