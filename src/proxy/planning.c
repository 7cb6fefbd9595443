/* planning.c - see planning.h.
 * Owns:   what of a session is a part of plans' keys.   Start at: look(). */
#include "proxy/planning.h"

#include <string.h>
#include <strings.h>

#include "proxy/loop.h"

/* Encodings in which a byte of a multi-byte character may look like ASCII (src/backend/utils/mb/README). */
static bool encoding_is_safe(const char *name)
{
    static const char *const unsafe[] = {
        "SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"
    };

    if (name == NULL || strcmp(name, "UTF8") == 0)
        return true;
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++)
        if (strcasecmp(name, unsafe[i]) == 0)
            return false;
    return true;
}

const struct schema *planning_schema(const struct client *client)
{
    return client->loop->catalogue->schemas[stores_default(client->loop->shared->stores)->index];
}

static void look(const struct client *client, struct plan_context *context)
{
    const struct session *session = &client->session;
    const char *strings = report_slot(&session->reported, REPORT_STANDARD_CONFORMING_STRINGS), *path = NULL;

    *context = (struct plan_context){
        .schema = planning_schema(client),
        .standard_conforming_strings = strings == NULL || strcmp(strings, "off") != 0,
        .encoding_safe = encoding_is_safe(report_slot(&session->reported, REPORT_CLIENT_ENCODING)),
        .temp_shadows = session->temp_shadows,
    };
    switch (session_value(session, "search_path", &path)) {
    case SESSION_FOUND:
        context->search_path = slice_of(path);
        break;
    case SESSION_UNKNOWN:
        context->path_unknown = true;
        break;
    case SESSION_ABSENT:
        context->path_unknown = client->startup_path_unknown;
        if (client->startup_path != NULL)
            context->search_path = slice_of(client->startup_path);
        break;
    }
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u; /* FNV-1a */
    return hash;
}

/* A number for what names mean. How a text is read (strings, encoding) was decided when it was sent, for
 * good. */
static uint64_t stamp(const struct plan_context *context)
{
    uint64_t hash = 14695981039346656037u;
    unsigned char flags = (unsigned char)((context->temp_shadows ? 1 : 0) | (context->path_unknown ? 2 : 0) |
                                          (context->search_path.at != NULL ? 4 : 0));

    hash = mix(hash, &context->schema, sizeof context->schema);
    hash = mix(hash, &context->schema->generation, sizeof context->schema->generation);
    hash = mix(hash, &flags, sizeof flags);
    return mix(hash, context->search_path.at, context->search_path.bytes);
}

bool planning_plan(struct client *client, struct slice text, struct plan **plan)
{
    struct plan_context context;

    look(client, &context);
    stats_add(client->loop->stats, STAT_STATEMENTS, 1);
    return planner_plan(client->loop->planner, text, &context, &client->shape, plan);
}

void planning_note(const struct client *client, struct prepared *prepared)
{
    struct plan_context context;

    look(client, &context);
    prepared->planned_by = stamp(&context);
    prepared->backslashes = !context.standard_conforming_strings;
    prepared->encoding_safe = context.encoding_safe;
}

bool planning_refresh(struct client *client, struct prepared *prepared)
{
    struct plan_context context;
    struct shape shape;
    struct plan *plan;

    look(client, &context);
    if (prepared->planned_by == stamp(&context))
        return true;
    context.standard_conforming_strings = !prepared->backslashes;
    context.encoding_safe = prepared->encoding_safe;
    shape_init(&shape);
    if (!planner_plan(client->loop->planner, prepared->text, &context, &shape, &plan)) {
        shape_done(&shape);
        return false;
    }
    plan_give(prepared->plan);
    shape_done(&prepared->shape);
    prepared->plan = plan;
    prepared->shape = shape;
    buf_done(&prepared->shape.text);
    prepared->planned_by = stamp(&context);
    return true;
}
