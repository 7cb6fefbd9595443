/* collect.c - see collect.h.
 * Leaves: what stands in a hole to value.c.   Thread: any.   Start at: collect_all(). */
#include "sql/collect.h"

#include <stdlib.h>
#include <string.h>

#include "sql/value.h"

enum {
    TENANTS_MAX = 1024, /* distinct ones of a statement; beyond, it is unknown */
    INDEX_SLOTS = 4096, /* of the index over them; a power of two, four times as many */
};

bool collect_room(struct attribution *out)
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
static bool add(struct collector *collector, const char *tenant)
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
    if (out->tenant_count == TENANTS_MAX || !collect_room(out))
        return false;
    strcpy(out->tenants[out->tenant_count++], tenant);
    if (place != NULL)
        *place = (uint16_t)out->tenant_count;
    return true;
}

bool collect_unknown(struct attribution *out, const char *why)
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
bool collect_reading(struct collector *collector, enum value_reading reading, const char *tenant)
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
    if (add(collector, tenant))
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
        return reading == VALUE_NULL || collect_reading(collector, reading, NULL);
    while ((reading = value_next(&array, ref, tenant)) == VALUE_TENANT ||
           (reading == VALUE_NULL && !array.ended)) {
        if (reading == VALUE_NULL && !ref->nulls)
            continue;
        if (!collect_reading(collector, reading, tenant)) {
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
    return collect_reading(collector, reading, tenant);
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
    return collect_reading(collector, reading, tenant);
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
        return collect_reading(collector, reading == VALUE_NULL ? VALUE_BAD : reading, NULL);
    if (others > tenants)
        collector->out->null_tenant = true;
    return true;
}

bool collect_all(struct collector *collector, const struct plan_statement *statement, struct slice text,
                 const struct shape *shape, const struct parameters *params)
{
    struct value_place place = { .text = text, .shape = shape, .params = params };

    for (size_t i = 0; i < statement->tenant_count; i++) {
        if (statement->tenants[i].slot >= shape->slot_count)
            return collect_unknown(collector->out, "the statement and its plan do not fit") && false;
        if (!collect_slot(collector, &place, &statement->tenants[i]))
            return false;
    }
    for (size_t i = 0; i < statement->length_count; i++) {
        const struct tenant_length *length = &statement->lengths[i];

        if (length->slot >= shape->slot_count || length->array >= shape->slot_count)
            return collect_unknown(collector->out, "the statement and its plan do not fit") && false;
        if (!collect_length(collector, &place, length))
            return false;
    }
    return true;
}

/* ---- the declared pattern on ids in columns ---- */

struct named {
    struct collector *collector;
    bool *silent;
};

/* An id that cannot be read, or in which the pattern finds no value of a tenant's, says nothing. */
static bool take_id(struct named *named, enum value_reading reading, const char *id)
{
    const struct plan_statement *statement = named->collector->statement;
    char found[TENANT_BYTES_MAX], tenant[TENANT_BYTES_MAX];

    if (reading == VALUE_NO_MEMORY)
        return false;
    if (reading == VALUE_LATER) {
        named->collector->out->why = "the id of the stream is a parameter whose value is not known yet";
        return false;
    }
    if (reading == VALUE_TENANT && pattern_find(statement->pattern, id, found, sizeof found) &&
        tenant_canonical(statement->tenant_type, slice_of(found), tenant))
        return collect_reading(named->collector, VALUE_TENANT, tenant);
    *named->silent = true;
    return true;
}

static bool take_ids(struct named *named, const struct value_place *place, const struct tenant_ref *ref)
{
    char id[TENANT_BYTES_MAX];
    struct value_array array;
    enum value_reading reading = value_open_array(place, ref, &array);
    bool fine = true;

    if (reading == VALUE_NULL)
        return true;
    if (reading != VALUE_TENANT)
        return take_id(named, reading, NULL);
    while (fine && !array.ended) {
        reading = value_next(&array, ref, id);
        if (reading == VALUE_NULL && (array.ended || !ref->nulls)) /* equals nothing */
            continue;
        fine = take_id(named, reading, id);
        if (reading == VALUE_BAD)
            break;
    }
    value_close_array(&array);
    return fine;
}

bool collect_named(struct collector *collector, size_t from, size_t to, struct slice text,
                   const struct shape *shape, const struct parameters *params, bool *silent)
{
    struct value_place place = { .text = text, .shape = shape, .params = params };
    struct named named = { collector, silent };
    char id[TENANT_BYTES_MAX];

    for (size_t i = from; i < to; i++) {
        const struct tenant_ref *ref = &collector->statement->named[i];

        if (ref->slot >= shape->slot_count)
            return collect_unknown(collector->out, "the statement and its plan do not fit") && false;
        place.hole = shape->slots[ref->slot].first;
        do {
            enum value_reading reading = ref->elements ? VALUE_NULL : value_read(&place, ref, id);

            if (!(ref->elements ? take_ids(&named, &place, ref) : take_id(&named, reading, id)))
                return false;
            place.hole = shape->holes[place.hole].next;
        } while (place.hole != 0);
    }
    return true;
}
