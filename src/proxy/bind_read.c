/* bind_read.c - see bind_read.h. */
#include "proxy/bind_read.h"

#include <stdlib.h>
#include <string.h>

#include "wire/read.h"

void bind_scratch_done(struct bind_scratch *scratch)
{
    free(scratch->values);
    free(scratch->formats);
    free(scratch->types);
    memset(scratch, 0, sizeof *scratch);
}

static bool scratch_room(struct bind_scratch *scratch, size_t count)
{
    struct slice *values;
    uint16_t *formats;
    uint32_t *types;

    if (count <= scratch->capacity)
        return true;
    values = realloc(scratch->values, count * sizeof *values);
    scratch->values = values == NULL ? scratch->values : values;
    formats = realloc(scratch->formats, count * sizeof *formats);
    scratch->formats = formats == NULL ? scratch->formats : formats;
    types = realloc(scratch->types, count * sizeof *types);
    scratch->types = types == NULL ? scratch->types : types;
    if (values == NULL || formats == NULL || types == NULL)
        return false;
    scratch->capacity = count;
    return true;
}

bool bind_read_parse(struct bind_scratch *scratch, const struct msg *msg, struct parse *parse)
{
    struct read body = read_msg(msg);

    parse->name = read_text(&body);
    parse->text = read_text(&body);
    parse->type_count = read_u16(&body);
    if (!scratch_room(scratch, parse->type_count))
        return false;
    for (size_t i = 0; i < parse->type_count; i++)
        scratch->types[i] = read_u32(&body);
    return read_done(&body);
}

bool bind_read(struct bind_scratch *scratch, const char *bytes, size_t count, bool whole, struct bind *bind)
{
    struct read body = read_bytes_of(bytes, count);
    size_t format_count, value_count;
    uint16_t first;

    memset(bind, 0, sizeof *bind);
    bind->portal = read_text(&body);
    bind->name = read_text(&body);
    format_count = read_u16(&body);
    if (!scratch_room(scratch, 65536))
        return false;
    for (size_t i = 0; i < format_count; i++)
        scratch->formats[i] = read_u16(&body);
    value_count = read_u16(&body);
    if (body.bad || (format_count > 1 && format_count != value_count))
        return false;
    first = format_count > 0 ? scratch->formats[0] : 0;
    for (size_t i = format_count > 1 ? value_count : 0; i < value_count; i++)
        scratch->formats[i] = first;
    for (size_t i = 0; i < value_count; i++) {
        int32_t bytes_here = read_i32(&body);

        scratch->values[i] = (struct slice){ 0 };
        if (bytes_here >= 0)
            scratch->values[i] = read_slice(&body, (size_t)bytes_here);
        if (bytes_here >= 0 && !body.bad && scratch->values[i].at == NULL)
            scratch->values[i].at = ""; /* empty is not NULL */
        if (body.bad)
            break;
        bind->params.count = i + 1;
    }
    bind->params.values = scratch->values;
    bind->params.formats = scratch->formats;
    return !body.bad || !whole;
}
