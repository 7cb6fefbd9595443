/* portal.c - Parse and Bind of the console.
 * Owns:   every statement and portal of a session.
 * Leaves: grammar to command.c, running to job.c.
 * Thread: the console's.   Start at: portals_prepare(), portals_bind(). */
#include "admin/portal.h"

#include <stdlib.h>
#include <string.h>

#include "admin/encode.h"
#include "wire/read.h"

static char *copy_slice(struct slice slice)
{
    return strndup(slice.bytes == 0 ? "" : slice.at, slice.bytes);
}

/* --- statements --- */

static void prepared_free(struct prepared *prepared)
{
    if (prepared == NULL)
        return;
    free(prepared->name);
    free(prepared->text);
    free(prepared->types);
    free(prepared);
}

static struct prepared *get_prepared(const struct portals *portals, struct slice name)
{
    struct prepared *prepared;

    HASH_FIND(hh, portals->prepared, name.bytes == 0 ? "" : name.at, name.bytes, prepared);
    return prepared;
}

bool portals_find_prepared(const struct portals *portals, struct slice name, const struct prepared **prepared,
                           struct error *err)
{
    *prepared = get_prepared(portals, name);
    return *prepared != NULL || error_set(err, "26000", "prepared statement \"%.*s\" does not exist",
                                          (int)name.bytes, name.at == NULL ? "" : name.at);
}

void portals_close_prepared(struct portals *portals, struct slice name)
{
    struct prepared *prepared = get_prepared(portals, name);

    if (prepared == NULL)
        return;
    HASH_DELETE(hh, portals->prepared, prepared);
    prepared_free(prepared);
}

/* The text of a Parse must be one command, or none. */
static bool check_text(struct prepared *prepared, struct error *err)
{
    struct slice text = slice_of(prepared->text);
    struct command command;
    bool one;

    if (!command_parse(text, 0, NULL, &command, err)) {
        command_done(&command);
        return false;
    }
    one = command_is_blank(text, command.end);
    prepared->info = command.info;
    if (prepared->parameter_count < command.parameter_count)
        prepared->parameter_count = command.parameter_count;
    command_done(&command);
    return one || error_set(err, "42601", "cannot insert multiple commands into a prepared statement");
}

static bool fill_prepared(struct prepared *prepared, struct read *read, struct error *err)
{
    struct slice name = read_text(read), text = read_text(read);
    size_t declared = read_u16(read);

    if (read->bad || read_left(read) != declared * sizeof(uint32_t))
        return error_set(err, "08P01", "invalid Parse message");
    if (declared > COMMAND_PARAMETERS_MAX)
        return error_set(err, "54000", "a command takes at most %d parameters", COMMAND_PARAMETERS_MAX);
    prepared->name = copy_slice(name);
    prepared->text = copy_slice(text);
    prepared->types = calloc(COMMAND_PARAMETERS_MAX, sizeof *prepared->types);
    if (prepared->name == NULL || prepared->text == NULL || prepared->types == NULL)
        return error_no_memory(err);
    for (size_t i = 0; i < declared; i++)
        prepared->types[i] = read_u32(read);
    prepared->parameter_count = declared;
    return check_text(prepared, err);
}

static bool make_room(struct portals *portals, const struct prepared *prepared, struct error *err)
{
    if (prepared->name[0] == '\0') {
        portals_close_prepared(portals, slice_of(""));
        return true;
    }
    if (get_prepared(portals, slice_of(prepared->name)) != NULL)
        return error_set(err, "42P05", "prepared statement \"%s\" already exists", prepared->name);
    if (HASH_COUNT(portals->prepared) >= PREPARED_NAMED_MAX)
        return error_set(err, "54000", "more than %d prepared statements", PREPARED_NAMED_MAX);
    return true;
}

bool portals_prepare(struct portals *portals, const struct msg *msg, struct error *err)
{
    struct read read = read_msg(msg);
    struct prepared *prepared = calloc(1, sizeof *prepared);

    if (prepared == NULL)
        return error_no_memory(err);
    if (!fill_prepared(prepared, &read, err) || !make_room(portals, prepared, err)) {
        prepared_free(prepared);
        return false;
    }
    HASH_ADD_KEYPTR(hh, portals->prepared, prepared->name, strlen(prepared->name), prepared);
    if (prepared->hh.tbl != NULL)
        return true;
    prepared_free(prepared);
    return error_no_memory(err);
}

/* --- portals --- */

static void portal_free(struct portal *portal)
{
    if (portal == NULL)
        return;
    command_done(&portal->command);
    buf_done(&portal->bytes);
    rows_free(portal->rows);
    free(portal->name);
    free(portal->values);
    free(portal->value_formats);
    free(portal->types);
    free(portal->result_formats);
    free(portal);
}

static struct portal *get_bound(const struct portals *portals, struct slice name)
{
    struct portal *portal;

    HASH_FIND(hh, portals->bound, name.bytes == 0 ? "" : name.at, name.bytes, portal);
    return portal;
}

bool portals_find_bound(const struct portals *portals, struct slice name, struct portal **portal,
                        struct error *err)
{
    *portal = get_bound(portals, name);
    return *portal != NULL || error_set(err, "34000", "portal \"%.*s\" does not exist", (int)name.bytes,
                                        name.at == NULL ? "" : name.at);
}

void portals_close_bound(struct portals *portals, struct slice name)
{
    struct portal *portal = get_bound(portals, name);

    if (portal == NULL)
        return;
    HASH_DELETE(hh, portals->bound, portal);
    portal_free(portal);
}

void portals_close_all_bound(struct portals *portals)
{
    struct portal *portal, *next;

    HASH_ITER(hh, portals->bound, portal, next) {
        HASH_DELETE(hh, portals->bound, portal);
        portal_free(portal);
    }
}

void portals_done(struct portals *portals)
{
    struct prepared *prepared, *next;

    portals_close_all_bound(portals);
    HASH_ITER(hh, portals->prepared, prepared, next) {
        HASH_DELETE(hh, portals->prepared, prepared);
        prepared_free(prepared);
    }
}

/* "count, then count codes" as Bind has it twice; `count` may be 0, 1 or `wanted`. */
static bool read_formats(struct read *read, uint16_t **formats, size_t *count, size_t wanted,
                         const char *what, struct error *err)
{
    *count = read_u16(read);
    if (read->bad || read_left(read) < *count * sizeof(uint16_t))
        return error_set(err, "08P01", "invalid Bind message");
    if (*count > 1 && *count != wanted)
        return error_set(err, "08P01", "bind message has %zu %s formats but %zu %ss", *count, what, wanted,
                         what);
    *formats = calloc(*count + 1, sizeof **formats);
    if (*formats == NULL)
        return error_no_memory(err);
    for (size_t i = 0; i < *count; i++) {
        (*formats)[i] = read_u16(read);
        if ((*formats)[i] > 1)
            return error_set(err, "22023", "unsupported format code: %u", (*formats)[i]);
    }
    return true;
}

/* The format of every parameter. What we have described as text and comes as binary is text all the same. */
static bool expand_formats(struct portal *portal, const struct prepared *prepared, size_t given,
                           struct error *err)
{
    size_t count = prepared->parameter_count;
    uint16_t *formats = calloc(count + 1, sizeof *formats);

    portal->types = calloc(count + 1, sizeof *portal->types);
    if (formats == NULL || portal->types == NULL) {
        free(formats);
        return error_no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        portal->types[i] = prepared->types[i];
        if (given > 0)
            formats[i] = portal->value_formats[given == 1 ? 0 : i];
        if (portal->types[i] == 0)
            formats[i] = 0;
    }
    free(portal->value_formats);
    portal->value_formats = formats;
    return true;
}

/* Appends one value as the command wants it: EXPLAIN ROUTE as it came, for the others as text. */
static bool append_value(struct portal *portal, size_t index, struct slice value, bool raw, struct error *err)
{
    size_t before = buf_bytes(&portal->bytes);

    if (raw || portal->value_formats[index] == 0)
        buf_append_slice(&portal->bytes, value);
    else if (!encode_text_of(portal->types[index], value, &portal->bytes))
        return error_set(err, "22P03", "incorrect binary data format in bind parameter %zu", index + 1);
    portal->values[index].bytes = buf_bytes(&portal->bytes) - before;
    return true;
}

static bool read_values(struct portal *portal, const struct prepared *prepared, struct read *read,
                        struct error *err)
{
    size_t count = read_u16(read), at = 0;
    bool raw = prepared->info->verb == COMMAND_EXPLAIN_ROUTE;

    if (read->bad)
        return error_set(err, "08P01", "invalid Bind message");
    if (count != prepared->parameter_count)
        return error_set(err, "08P01",
                         "bind message supplies %zu parameters, but prepared statement \"%s\" requires %zu",
                         count, prepared->name, prepared->parameter_count);
    portal->values = calloc(count + 1, sizeof *portal->values);
    if (portal->values == NULL)
        return error_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        int32_t bytes = read_i32(read);

        if (bytes < 0) {
            portal->values[i].bytes = SIZE_MAX; /* NULL, until the addresses are known */
            continue;
        }
        if (read->bad || (size_t)bytes > read_left(read))
            return error_set(err, "08P01", "invalid Bind message");
        if (!append_value(portal, i, read_slice(read, (size_t)bytes), raw, err))
            return false;
    }
    buf_text(&portal->bytes); /* memory also where every value is empty: .at NULL means SQL NULL */
    if (buf_failed(&portal->bytes))
        return error_no_memory(err);
    for (size_t i = 0; i < count; i++) { /* only now does the buf stay where it is */
        if (portal->values[i].bytes == SIZE_MAX) {
            portal->values[i] = (struct slice){ NULL, 0 };
            continue;
        }
        portal->values[i].at = buf_at(&portal->bytes) + at;
        at += portal->values[i].bytes;
    }
    return true;
}

static bool fill_portal(struct portal *portal, const struct prepared *prepared, struct read *read,
                        struct error *err)
{
    size_t columns = answer_column_count(prepared->info->columns), given, results;
    struct command_values values;

    if (!read_formats(read, &portal->value_formats, &given, prepared->parameter_count, "parameter", err) ||
        !expand_formats(portal, prepared, given, err) || !read_values(portal, prepared, read, err) ||
        !read_formats(read, &portal->result_formats, &results, columns, "column", err))
        return false;
    if (!read_done(read))
        return error_set(err, "08P01", "invalid Bind message");
    portal->formats = (struct answer_formats){ results, portal->result_formats };
    portal->params = (struct parameters){ .count = prepared->parameter_count,
                                          .values = portal->values,
                                          .formats = portal->value_formats,
                                          .type_count = prepared->parameter_count,
                                          .types = portal->types };
    values = (struct command_values){ prepared->parameter_count, portal->values };
    return command_parse(slice_of(prepared->text), 0, &values, &portal->command, err);
}

bool portals_bind(struct portals *portals, const struct msg *msg, struct error *err)
{
    struct read read = read_msg(msg);
    struct slice name = read_text(&read), statement = read_text(&read);
    const struct prepared *prepared;
    struct portal *portal;

    if (read.bad)
        return error_set(err, "08P01", "invalid Bind message");
    if (!portals_find_prepared(portals, statement, &prepared, err))
        return false;
    if (name.bytes == 0)
        portals_close_bound(portals, name);
    else if (get_bound(portals, name) != NULL)
        return error_set(err, "42P03", "portal \"%.*s\" already exists", (int)name.bytes, name.at);
    else if (HASH_COUNT(portals->bound) >= PORTALS_MAX)
        return error_set(err, "54000", "more than %d portals", PORTALS_MAX);
    portal = calloc(1, sizeof *portal);
    if (portal == NULL)
        return error_no_memory(err);
    portal->name = copy_slice(name);
    if (portal->name == NULL || !fill_portal(portal, prepared, &read, err)) {
        if (portal->name == NULL)
            error_no_memory(err);
        portal_free(portal);
        return false;
    }
    HASH_ADD_KEYPTR(hh, portals->bound, portal->name, strlen(portal->name), portal);
    if (portal->hh.tbl != NULL)
        return true;
    portal_free(portal);
    return error_no_memory(err);
}
