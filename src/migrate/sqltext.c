/* sqltext.c - placeholders in the texts of sql/. Pure; any thread.   Start at: sqltext_expand(). */
#include "migrate/sqltext.h"

#include <string.h>

static const char our_schema[] = "pgshunt.";
static const char our_setting[] = "pgshunt.copier"; /* a setting of sessions, not an object */

bool sqltext_schema_ok(const char *schema, struct error *err)
{
    size_t bytes = strlen(schema);

    if (bytes > 0 && bytes < 64 && strspn(schema, "abcdefghijklmnopqrstuvwxyz0123456789_") == bytes &&
        (schema[0] < '0' || schema[0] > '9'))
        return true;
    return error_set(err, "42602", "schema \"%.64s\" is not a plain lower-case name", schema);
}

/* The value whose {name} stands at `at`, or NULL. */
static const struct sqltext_value *placeholder(const char *at, const struct sqltext_value *values,
                                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strlen(values[i].name);

        if (strncmp(at + 1, values[i].name, bytes) == 0 && at[1 + bytes] == '}')
            return &values[i];
    }
    return NULL;
}

void sqltext_expand(struct buf *out, const char *sql, const char *schema, const struct sqltext_value *values,
                    size_t count)
{
    const size_t schema_bytes = sizeof our_schema - 1;

    while (*sql != '\0') {
        size_t plain = strcspn(sql, "{p");
        const struct sqltext_value *value = NULL;

        buf_append(out, sql, plain);
        sql += plain;
        if (*sql == '{')
            value = placeholder(sql, values, count);
        if (value != NULL) {
            buf_append_text(out, value->text);
            sql += strlen(value->name) + 2;
        } else if (strncmp(sql, our_schema, schema_bytes) == 0 &&
                   strncmp(sql, our_setting, sizeof our_setting - 1) != 0) {
            buf_append_format(out, "%s.", schema);
            sql += schema_bytes;
        } else if (*sql != '\0') {
            buf_append(out, sql++, 1);
        }
    }
}

void sqltext_literal(struct buf *out, const char *text)
{
    bool backslash = strchr(text, '\\') != NULL;

    buf_append_text(out, backslash ? " E'" : "'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_append(out, text, 1);
        buf_append(out, text, 1);
    }
    buf_append_text(out, "'");
}

void sqltext_array_add(struct buf *array, const char *element)
{
    buf_append_text(array, buf_bytes(array) == 0 ? "{\"" : ",\"");
    for (; *element != '\0'; element++) {
        if (*element == '"' || *element == '\\')
            buf_append_text(array, "\\");
        buf_append(array, element, 1);
    }
    buf_append_text(array, "\"");
}

void sqltext_array_end(struct buf *array)
{
    buf_append_text(array, buf_bytes(array) == 0 ? "{}" : "}");
}
