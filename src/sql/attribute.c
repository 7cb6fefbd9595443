/* attribute.c - plan + literals + parameters + transaction + settings -> tenant, or none, and by what
 * evidence. Owns:   the order of evidence, contradictions, reading a hole's value. Leaves: where tenants
 * stand to plan.c, the canonical form to tenant.c. Thread: any.   Start at: attribute(). In doubt a statement
 * is unknown: a wrong tenant is the one mistake that may not happen. */
#include "sql/attribute.h"

#include <stdlib.h>
#include <string.h>

#include "sql/key.h"
#include "sql/quote.h"
#include "sql/type.h"
#include "sql/value.h"

enum {
    TENANTS_MAX = 1024,     /* distinct ones of a statement; beyond, it is unknown */
    SET_VALUE_BYTES = 8192, /* a longer value of SET is not read */
    INDEX_SLOTS = 4096,     /* of the index over them; a power of two, four times as many */
};

/* Distinct tenants found so far, by hash where there are many. */
struct collector {
    struct attribution *out;
    const struct plan_statement *statement;
    uint16_t *index; /* INDEX_SLOTS of 1 + place in out->tenants; NULL: not needed yet */
};

void attribution_init(struct attribution *attribution)
{
    *attribution = (struct attribution){ 0 };
}

void attribution_done(struct attribution *attribution)
{
    free(attribution->tenants);
    attribution_init(attribution);
}

const char *evidence_name(enum evidence evidence)
{
    static const char *const names[] = { [EVIDENCE_NONE] = "none",
                                         [EVIDENCE_LITERAL] = "literal",
                                         [EVIDENCE_PARAMETER] = "parameter",
                                         [EVIDENCE_STREAM] = "stream",
                                         [EVIDENCE_COMMENT] = "comment",
                                         [EVIDENCE_TRANSACTION] = "transaction",
                                         [EVIDENCE_SETTING] = "setting",
                                         [EVIDENCE_USER] = "user",
                                         [EVIDENCE_DATABASE] = "database",
                                         [EVIDENCE_PATTERN] = "stream pattern",
                                         [EVIDENCE_ROW] = "row" };

    return names[evidence];
}

static bool reserve_tenant(struct attribution *out)
{
    size_t more = out->tenant_capacity == 0 ? 4 : out->tenant_capacity * 2;
    char(*grown)[TENANT_BYTES_MAX];

    if (out->tenant_count < out->tenant_capacity)
        return true;
    grown = realloc(out->tenants, more * sizeof *grown);
    if (grown == NULL)
        return false;
    out->tenants = grown;
    out->tenant_capacity = more;
    return true;
}

static uint32_t hash_text(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

/* Where `tenant` is or would be in the index. */
static uint16_t *index_place(struct collector *collector, const char *tenant)
{
    uint32_t at = hash_text(tenant) % INDEX_SLOTS;

    while (collector->index[at] != 0 &&
           strcmp(collector->out->tenants[collector->index[at] - 1], tenant) != 0)
        at = (at + 1) % INDEX_SLOTS;
    return &collector->index[at];
}

static bool make_index(struct collector *collector)
{
    collector->index = calloc(INDEX_SLOTS, sizeof *collector->index);
    for (size_t i = 0; collector->index != NULL && i < collector->out->tenant_count; i++)
        *index_place(collector, collector->out->tenants[i]) = (uint16_t)(i + 1);
    return collector->index != NULL;
}

/* false: no memory, or too many (then tenant_count is TENANTS_MAX). */
static bool collect(struct collector *collector, const char *tenant)
{
    struct attribution *out = collector->out;
    uint16_t *place = NULL;

    if (out->tenant_count > 0 && strcmp(out->tenants[out->tenant_count - 1], tenant) == 0)
        return true;
    if (collector->index == NULL) {
        for (size_t i = 0; i < out->tenant_count; i++)
            if (strcmp(out->tenants[i], tenant) == 0)
                return true;
        if (out->tenant_count == 16 && !make_index(collector))
            return false;
    }
    if (collector->index != NULL) {
        place = index_place(collector, tenant);
        if (*place != 0)
            return true;
    }
    if (out->tenant_count == TENANTS_MAX || !reserve_tenant(out))
        return false;
    strcpy(out->tenants[out->tenant_count++], tenant);
    if (place != NULL)
        *place = (uint16_t)out->tenant_count;
    return true;
}

static bool unknown(struct attribution *out, const char *why)
{
    out->tenancy = TENANCY_UNKNOWN;
    out->evidence = EVIDENCE_NONE;
    out->tenant_count = 0;
    out->why = why;
    return true;
}

static bool bad(struct attribution *out)
{
    out->why = "the tenant's value cannot be read as the tenant column's type";
    return false;
}

/* What was read at a place. false: the statement is unknown (out->why), or there is no memory (why NULL). */
static bool take_reading(struct collector *collector, enum value_reading reading, const char *tenant)
{
    struct attribution *out = collector->out;

    switch (reading) {
    case VALUE_NULL:
        out->null_tenant = true;
        return true;
    case VALUE_LATER:
        out->why = "the tenant is a parameter whose value is not known yet";
        return false;
    case VALUE_BAD:
        return bad(out);
    case VALUE_NO_MEMORY:
        return false;
    case VALUE_TENANT:
        break;
    }
    if (collect(collector, tenant))
        return true;
    if (out->tenant_count == TENANTS_MAX)
        out->why = "the statement names too many tenants";
    return false;
}

/* The elements of an array. NULL, an empty array: no element. */
static bool take_array(struct collector *collector, const struct value_place *place,
                       const struct tenant_ref *ref)
{
    char tenant[TENANT_BYTES_MAX];
    struct value_array array;
    enum value_reading reading = value_open_array(place, ref, &array);

    if (reading != VALUE_TENANT)
        return reading == VALUE_NULL || take_reading(collector, reading, NULL);
    while ((reading = value_next(&array, ref, tenant)) == VALUE_TENANT ||
           (reading == VALUE_NULL && !array.ended)) {
        if (reading == VALUE_NULL && !ref->nulls)
            continue;
        if (!take_reading(collector, reading, tenant)) {
            value_close_array(&array);
            return false;
        }
    }
    value_close_array(&array);
    return array.ended || bad(collector->out);
}

/* The id of a stream: the tenant is what the declared pattern finds in it. */
static bool take_stream(struct collector *collector, enum value_reading reading,
                        char tenant[TENANT_BYTES_MAX])
{
    const struct plan_statement *statement = collector->statement;
    char found[TENANT_BYTES_MAX];

    if (reading != VALUE_TENANT || !pattern_find(statement->pattern, tenant, found, sizeof found) ||
        !tenant_canonical(statement->tenant_type, slice_of(found), tenant)) {
        collector->out->why = "the declared pattern finds no tenant in the id of the stream";
        return false;
    }
    collector->out->evidence = EVIDENCE_PATTERN;
    return take_reading(collector, reading, tenant);
}

static bool take_hole(struct collector *collector, const struct value_place *place,
                      const struct tenant_ref *ref)
{
    char tenant[TENANT_BYTES_MAX];
    enum value_reading reading;

    if (place->shape->holes[place->hole].kind == HOLE_PARAM)
        collector->out->evidence = EVIDENCE_PARAMETER;
    if (ref->elements)
        return take_array(collector, place, ref);
    reading = value_read(place, ref, tenant);
    if (ref->stream && reading != VALUE_LATER)
        return take_stream(collector, reading, tenant);
    return take_reading(collector, reading, tenant);
}

/* The same literal once more: the same tenants. */
static bool is_alike(struct slice text, const struct hole *a, const struct hole *b)
{
    return a->kind == b->kind && a->bytes == b->bytes &&
           memcmp(text.at + a->begin, text.at + b->begin, a->bytes) == 0;
}

static bool collect_slot(struct collector *collector, struct value_place *place, const struct tenant_ref *ref)
{
    const struct shape *shape = place->shape;

    size_t before;

    place->hole = shape->slots[ref->slot].first;
    if (!take_hole(collector, place, ref))
        return false;
    for (before = place->hole; shape->holes[before].next != 0; before = place->hole) {
        place->hole = shape->holes[before].next;
        if (!is_alike(place->text, &shape->holes[before], &shape->holes[place->hole]) &&
            !take_hole(collector, place, ref))
            return false;
    }
    return true;
}

/* unnest($1, $2) with a longer $2: rows without a tenant. */
static bool collect_length(struct collector *collector, const struct value_place *place,
                           const struct tenant_length *length)
{
    struct value_place other = *place;
    struct value_place array = *place;
    size_t others, tenants;
    enum value_reading reading;

    other.hole = place->shape->slots[length->slot].first;
    array.hole = place->shape->slots[length->array].first;
    reading = value_count(&other, &others);
    if (reading == VALUE_TENANT)
        reading = value_count(&array, &tenants);
    if (reading != VALUE_TENANT)
        return take_reading(collector, reading == VALUE_NULL ? VALUE_BAD : reading, NULL);
    if (others > tenants)
        collector->out->null_tenant = true;
    return true;
}

static bool collect_all(struct collector *collector, const struct plan_statement *statement,
                        struct slice text, const struct shape *shape, const struct parameters *params)
{
    struct value_place place = { .text = text, .shape = shape, .params = params };

    for (size_t i = 0; i < statement->tenant_count; i++) {
        if (statement->tenants[i].slot >= shape->slot_count)
            return unknown(collector->out, "the statement and its plan do not fit") && false;
        if (!collect_slot(collector, &place, &statement->tenants[i]))
            return false;
    }
    for (size_t i = 0; i < statement->length_count; i++) {
        const struct tenant_length *length = &statement->lengths[i];

        if (length->slot >= shape->slot_count || length->array >= shape->slot_count)
            return unknown(collector->out, "the statement and its plan do not fit") && false;
        if (!collect_length(collector, &place, length))
            return false;
    }
    return true;
}

/* Canonical form of what stands around, in the tenant column's type. "" where there is nothing. false:
 * unreadable. */
static bool read_around(const struct plan_statement *statement, const char *text,
                        char tenant[TENANT_BYTES_MAX])
{
    tenant[0] = '\0';
    if (text == NULL || text[0] == '\0')
        return true;
    return tenant_canonical(statement->tenant_type != 0 ? statement->tenant_type : TYPE_TEXT, slice_of(text),
                            tenant);
}

static bool conflict(struct attribution *out, const struct surroundings *around, const char *here,
                     const char *there, const char *what, struct error *err)
{
    out->contradicted = true;
    if (!around->strict)
        return true;
    error_set(err, "0A000", "statement is about tenant \"%s\", but %s says \"%s\"", here, what, there);
    return error_hint(err, "Let statement and %s name the same tenant.", what);
}

static bool is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* Every tenant found against one piece of evidence around. */
static bool check_one(const struct plan_statement *statement, const struct surroundings *around,
                      const char *text, const char *what, struct attribution *out, struct error *err)
{
    char tenant[TENANT_BYTES_MAX];

    if (is_empty(text))
        return true;
    if (!read_around(statement, text, tenant))
        tenant[0] = '\0';
    for (size_t i = 0; i < out->tenant_count; i++)
        if (strcmp(out->tenants[i], tenant) != 0)
            return conflict(out, around, out->tenants[i], text, what, err);
    return true;
}

/* What the statement says against its comment, and against the setting (or, without one, the user's mapping).
 */
static bool check_around(const struct plan_statement *statement, const struct surroundings *around,
                         struct attribution *out, struct error *err)
{
    if (!around->comment_unknown &&
        !check_one(statement, around, around->comment_tenant, "its comment", out, err))
        return false;
    if (around->setting_unknown)
        return true;
    if (is_empty(around->setting_tenant))
        return check_one(statement, around, around->user_tenant,
                         around->mapped_database ? "the database's mapping" : "the user's mapping", out, err);
    return check_one(statement, around, around->setting_tenant, "the tenant setting", out, err);
}

static bool from_statement(const struct plan_statement *statement, struct slice text,
                           const struct shape *shape, const struct parameters *params,
                           const struct surroundings *around, struct attribution *out, struct error *err)
{
    struct collector collector = { .out = out, .statement = statement };
    bool fine;

    out->evidence = EVIDENCE_LITERAL;
    out->null_tenant = statement->tenant_null;
    fine = collect_all(&collector, statement, text, shape, params);
    free(collector.index);
    if (!fine)
        return out->why != NULL ? unknown(out, out->why) : error_no_memory(err);
    out->tenancy = TENANCY_KNOWN;
    if (out->tenant_count == 0) { /* only "no tenant": something to point at, for whoever looks */
        if (!reserve_tenant(out))
            return error_no_memory(err);
        out->tenants[0][0] = '\0';
    }
    return check_around(statement, around, out, err);
}

static bool known(struct attribution *out, const char *tenant, enum evidence evidence, struct error *err)
{
    if (!reserve_tenant(out))
        return error_no_memory(err);
    strcpy(out->tenants[out->tenant_count++], tenant);
    out->tenancy = TENANCY_KNOWN;
    out->evidence = evidence;
    return true;
}

/* The comment's tenant, else the transaction's, else the setting, else the user's mapping. */
static bool from_around(const struct plan_statement *statement, const struct surroundings *around,
                        struct attribution *out, struct error *err)
{
    char transaction[TENANT_BYTES_MAX];
    char setting[TENANT_BYTES_MAX];
    char user[TENANT_BYTES_MAX];

    if (around->comment_unknown)
        return unknown(out, "its comments name a tenant that cannot be read");
    if (!is_empty(around->comment_tenant)) {
        if (!read_around(statement, around->comment_tenant, transaction))
            return unknown(out, "the tenant in its comment is not a value of the tenant column's type");
        return known(out, transaction, EVIDENCE_COMMENT, err) && check_around(statement, around, out, err);
    }
    if (!read_around(statement, around->transaction_tenant, transaction) ||
        !read_around(statement, around->setting_tenant, setting) ||
        !read_around(statement, around->user_tenant, user))
        return unknown(
            out, "the tenant that stands around the statement is not a value of the tenant column's type");
    if (transaction[0] != '\0' && !around->transaction_several) {
        if (!known(out, transaction, EVIDENCE_TRANSACTION, err))
            return false;
        if (setting[0] != '\0' && !around->setting_unknown && strcmp(setting, transaction) != 0)
            return conflict(out, around, transaction, setting, "the tenant setting", err);
        return true;
    }
    if (around->setting_unknown)
        return unknown(out, "the tenant setting was changed to something that cannot be read");
    if (setting[0] != '\0')
        return known(out, setting, EVIDENCE_SETTING, err);
    if (user[0] != '\0')
        return known(out, user, around->mapped_database ? EVIDENCE_DATABASE : EVIDENCE_USER, err);
    if (around->transaction_several)
        return unknown(out, "its transaction is about several tenants, and it names none of them");
    return unknown(out, "neither the statement nor anything around it says a tenant");
}

/* ---- streams ---- */

/* What the directory says of all streams of a statement, added up. */
struct streams {
    struct collector collector;
    const struct stream_finder *finder;
    unsigned count;
    bool found, asked, failed, mixed;
};

static bool on_key(void *who, struct slice key)
{
    struct streams *streams = who;
    char tenant[TENANT_BYTES_MAX];

    streams->count++;
    switch (streams->finder->find(streams->finder->who, key, tenant)) {
    case STREAM_TENANT:
        streams->found = true;
        return take_reading(&streams->collector, VALUE_TENANT, tenant);
    case STREAM_NULL:
        streams->found = streams->collector.out->null_tenant = true;
        return true;
    case STREAM_NOBODY:
        return true;
    case STREAM_MIXED:
        streams->mixed = true;
        return true;
    case STREAM_ASKED:
        streams->asked = true;
        return true;
    case STREAM_FAILED:
        streams->failed = true;
        return true;
    }
    return true;
}

static void start_again(struct attribution *out)
{
    out->tenancy = TENANCY_NONE;
    out->evidence = EVIDENCE_NONE;
    out->null_tenant = out->nobodys = out->contradicted = false;
    out->tenant_count = 0;
    out->why = NULL;
}

/* Nobody has them, or nobody could be asked: then what stands around says it, if anything does. */
static bool without_streams(const struct plan_statement *statement, const struct surroundings *around,
                            bool failed, struct attribution *out, struct error *err)
{
    start_again(out);
    if (!from_around(statement, around, out, err))
        return false;
    if (out->tenancy == TENANCY_KNOWN)
        return true;
    if (failed) {
        out->tenancy = TENANCY_FAILED;
        return true;
    }
    if (around->setting_unknown || around->comment_unknown || !reserve_tenant(out))
        return true;
    start_again(out);
    out->tenants[0][0] = '\0';
    out->tenancy = TENANCY_KNOWN;
    out->evidence = EVIDENCE_STREAM;
    out->null_tenant = out->nobodys = true;
    return true;
}

/* By the streams that it names, and by the tenants where it names those. *decided false: they do not tell. */
static bool from_streams(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                         const struct parameters *params, const struct surroundings *around,
                         struct attribution *out, bool *decided, struct error *err)
{
    struct streams streams = { .collector = { .out = out, .statement = statement },
                               .finder = around->streams };
    const char *why = NULL;
    bool named = statement->tenant_count > 0 || statement->tenant_null;
    bool fine;

    *decided = true;
    out->evidence = EVIDENCE_LITERAL;
    out->null_tenant = statement->tenant_null;
    fine = collect_all(&streams.collector, statement, text, shape, params);
    if (!named)
        out->evidence = EVIDENCE_STREAM;
    fine = fine && key_each(statement, text, shape, params, on_key, &streams, &why);
    free(streams.collector.index);
    if (!fine && why == NULL && out->why == NULL)
        return error_no_memory(err);
    if (fine && streams.asked) {
        out->tenancy = TENANCY_ASKED;
        return true;
    }
    if (!fine || streams.mixed) {
        why = out->why != NULL ? out->why : why != NULL ? why : "the stream has events of several tenants";
        start_again(out);
        out->why = why;
        *decided = false;
        return true;
    }
    if (streams.failed && !named && !streams.found)
        return without_streams(statement, around, true, out, err);
    if (streams.failed) {
        out->tenancy = TENANCY_FAILED;
        return true;
    }
    if (!named && !streams.found)
        return without_streams(statement, around, false, out, err);
    out->tenancy = TENANCY_KNOWN;
    if (out->tenant_count == 0) {
        if (!reserve_tenant(out))
            return error_no_memory(err);
        out->tenants[0][0] = '\0';
    }
    return check_around(statement, around, out, err);
}

/* Why nothing is known: the streams' reason, where the statement names some. */
static const char *stream_reason(const struct plan_statement *statement, const struct surroundings *around,
                                 const char *why)
{
    if (statement->stream_why_not != NULL)
        return statement->stream_why_not;
    if (statement->stream_count > 0 && around->streams == NULL)
        return "it names a stream: while a tenant lives elsewhere, the stream directory is asked whose it is";
    return why;
}

bool attribute(const struct plan_statement *statement, struct slice text, const struct shape *shape,
               const struct parameters *params, const struct surroundings *around, struct attribution *out,
               struct error *err)
{
    const char *why = NULL;

    start_again(out);
    if ((statement->tables & (TABLES_EVENT | TABLES_COMPANION)) == 0)
        return true;
    if (statement->rows_unseen)
        return unknown(out, "the tenants of the rows it writes are not in the statement");
    if (statement->stream_count > 0 && around->streams != NULL) {
        bool decided;

        if (!from_streams(statement, text, shape, params, around, out, &decided, err))
            return false;
        if (decided)
            return true;
        why = out->why;
        start_again(out);
    }
    if (statement->tenants_partial)
        return unknown(out, why != NULL
                                ? why
                                : stream_reason(statement, around,
                                                "not every reference to an event or companion table is "
                                                "restricted to tenants"));
    if (statement->tenant_count > 0 || statement->tenant_null)
        return from_statement(statement, text, shape, params, around, out, err);
    if (!from_around(statement, around, out, err))
        return false;
    if (out->tenancy == TENANCY_UNKNOWN)
        out->why = why != NULL ? why : stream_reason(statement, around, out->why);
    return true;
}

bool attribute_before_rows(const struct plan_statement *statement, const struct surroundings *around,
                           struct attribution *out, struct error *err)
{
    struct surroundings before = *around;

    start_again(out);
    before.transaction_tenant = "";
    before.transaction_several = false;
    return from_around(statement, &before, out, err);
}

bool attribute_row(const struct plan_statement *statement, const char *tenant,
                   const struct surroundings *around, struct attribution *out, struct error *err)
{
    start_again(out);
    if (!known(out, tenant == NULL ? "" : tenant, EVIDENCE_ROW, err))
        return false;
    out->null_tenant = tenant == NULL;
    out->tenant_count = tenant != NULL;
    return check_around(statement, around, out, err);
}

/* SET x TO 1: the server writes a whole number its own way, others as they came. */
static bool read_set_literal(const struct shape *shape, struct slice text, size_t hole, char *out,
                             size_t bytes)
{
    if (shape->holes[hole].kind == HOLE_BITS || !shape_literal(shape, text, hole, out, bytes))
        return false;
    return shape->holes[hole].kind != HOLE_NUMBER || value_is_plain_number(out);
}

bool attribute_set_value(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                         const struct parameters *params, struct buf *value)
{
    char content[SET_VALUE_BYTES];
    size_t hole;

    if (statement->value != NULL) {
        buf_append_text(value, statement->value);
        return !buf_failed(value);
    }
    if (statement->value_slot < 0 || (uint64_t)statement->value_slot >= shape->slot_count)
        return false;
    hole = shape->slots[statement->value_slot].first;
    if (shape->holes[hole].kind == HOLE_PARAM) {
        uint32_t number = shape_param(shape, text, hole);

        if (params == NULL || number == 0 || number > params->count || params->values[number - 1].at == NULL)
            return false;
        buf_append_slice(value, params->values[number - 1]); /* text is the same in both formats */
        return !buf_failed(value);
    }
    if (!read_set_literal(shape, text, hole, content, sizeof content))
        return false;
    if (statement->value_is_element)
        quote_identifier(value, content);
    else
        buf_append_text(value, content);
    return !buf_failed(value);
}
