/* attribute.c - plan + literals + parameters + transaction + settings -> tenant, or none, and by what
 * evidence. Owns:   the order of evidence, contradictions, reading a hole's value. Leaves: where tenants
 * stand to plan.c, the canonical form to tenant.c. Thread: any.   Start at: attribute(). In doubt a statement
 * is unknown: a wrong tenant is the one mistake that may not happen. */
#include "sql/attribute.h"

#include <stdlib.h>
#include <string.h>

#include "sql/quote.h"
#include "sql/type.h"

enum {
    TENANTS_MAX = 1024,     /* distinct ones of a statement; beyond, it is unknown */
    SET_VALUE_BYTES = 8192, /* a longer value of SET is not read */
    INDEX_SLOTS = 4096,     /* of the index over them; a power of two, four times as many */
};

/* One value on its way to a tenant. */
enum reading { READING_TENANT, READING_NULL, READING_LATER, READING_BAD };

/* Distinct tenants found so far, by hash where there are many. */
struct collector {
    struct attribution *out;
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
    static const char *const names[] = {
        [EVIDENCE_NONE] = "none",           [EVIDENCE_LITERAL] = "literal",
        [EVIDENCE_PARAMETER] = "parameter", [EVIDENCE_TRANSACTION] = "transaction",
        [EVIDENCE_SETTING] = "setting",     [EVIDENCE_USER] = "user"
    };

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

/* A number in a text column is converted by the server: only one that it would write the same way is
 * understood. */
static bool is_plain_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return text[digits] == '\0' && digits > 0 && digits < 10 && (text[0] != '0' || digits == 1);
}

static enum reading read_literal(const struct tenant_ref *ref, struct slice text, const struct shape *shape,
                                 size_t hole, char tenant[TENANT_BYTES_MAX])
{
    char content[TENANT_BYTES_MAX];

    if (shape->holes[hole].kind == HOLE_BITS || !shape_literal(shape, text, hole, content, sizeof content))
        return READING_BAD;
    if (shape->holes[hole].kind == HOLE_NUMBER && type_family(ref->type_oid) == FAMILY_TEXT &&
        !is_plain_number(content))
        return READING_BAD;
    return tenant_canonical(ref->type_oid, slice_of(content), tenant) ? READING_TENANT : READING_BAD;
}

/* The type that the client writes a parameter in: as declared, else as the statement casts it, else the
 * column's. */
static uint32_t param_type(const struct tenant_ref *ref, const struct parameters *params, size_t index)
{
    uint32_t declared = params->types != NULL && index < params->type_count ? params->types[index] : 0;

    if (declared != 0 && declared != TYPE_UNKNOWN)
        return declared;
    return ref->cast_oid != 0 ? ref->cast_oid : ref->type_oid;
}

static enum reading read_param(const struct tenant_ref *ref, const struct parameters *params, uint32_t number,
                               char tenant[TENANT_BYTES_MAX])
{
    char first[TENANT_BYTES_MAX];
    uint32_t type;
    bool fine;

    if (params == NULL || number == 0 || number > params->count)
        return READING_LATER;
    if (params->values[number - 1].at == NULL)
        return READING_NULL;
    type = param_type(ref, params, number - 1);
    if (params->formats != NULL && params->formats[number - 1] != 0)
        fine =
            params->formats[number - 1] == 1 && tenant_from_binary(type, params->values[number - 1], first);
    else
        fine = tenant_canonical(type, params->values[number - 1], first);
    return fine && tenant_canonical(ref->type_oid, slice_of(first), tenant) ? READING_TENANT : READING_BAD;
}

static bool unknown(struct attribution *out, const char *why)
{
    out->tenancy = TENANCY_UNKNOWN;
    out->evidence = EVIDENCE_NONE;
    out->tenant_count = 0;
    out->why = why;
    return true;
}

/* One hole of a tenant's slot. false: the statement is unknown (out->why), or there is no memory (why NULL).
 */
static bool take_hole(struct collector *collector, const struct tenant_ref *ref, struct slice text,
                      const struct shape *shape, const struct parameters *params, size_t hole)
{
    struct attribution *out = collector->out;
    bool parameter = shape->holes[hole].kind == HOLE_PARAM;
    char tenant[TENANT_BYTES_MAX];
    enum reading reading = parameter ? read_param(ref, params, shape_param(shape, text, hole), tenant)
                                     : read_literal(ref, text, shape, hole, tenant);

    if (parameter)
        out->evidence = EVIDENCE_PARAMETER;
    switch (reading) {
    case READING_NULL:
        out->null_tenant = true;
        return true;
    case READING_LATER:
        out->why = "the tenant is a parameter whose value is not known yet";
        return false;
    case READING_BAD:
        out->why = "the tenant's value cannot be read as the tenant column's type";
        return false;
    case READING_TENANT:
        break;
    }
    if (collect(collector, tenant))
        return true;
    if (out->tenant_count == TENANTS_MAX)
        out->why = "the statement names too many tenants";
    return false;
}

static bool collect_all(struct collector *collector, const struct plan_statement *statement,
                        struct slice text, const struct shape *shape, const struct parameters *params)
{
    for (size_t i = 0; i < statement->tenant_count; i++) {
        const struct tenant_ref *ref = &statement->tenants[i];
        size_t hole;

        if (ref->slot >= shape->slot_count)
            return unknown(collector->out, "the statement and its plan do not fit") && false;
        hole = shape->slots[ref->slot].first;
        do {
            if (!take_hole(collector, ref, text, shape, params, hole))
                return false;
            hole = shape->holes[hole].next;
        } while (hole != 0);
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

/* What the statement says against the setting (or, without one, the user's mapping). */
static bool check_around(const struct plan_statement *statement, const struct surroundings *around,
                         struct attribution *out, struct error *err)
{
    const char *what = "the tenant setting";
    const char *text = around->setting_tenant;
    char tenant[TENANT_BYTES_MAX];

    if (around->setting_unknown)
        return true;
    if (text == NULL || text[0] == '\0') {
        what = "the user's mapping";
        text = around->user_tenant;
    }
    if (text == NULL || text[0] == '\0')
        return true;
    if (!read_around(statement, text, tenant))
        tenant[0] = '\0';
    for (size_t i = 0; i < out->tenant_count; i++)
        if (strcmp(out->tenants[i], tenant) != 0)
            return conflict(out, around, out->tenants[i], text, what, err);
    return true;
}

static bool from_statement(const struct plan_statement *statement, struct slice text,
                           const struct shape *shape, const struct parameters *params,
                           const struct surroundings *around, struct attribution *out, struct error *err)
{
    struct collector collector = { .out = out };
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

/* The transaction's tenant, else the setting, else the user's mapping. */
static bool from_around(const struct plan_statement *statement, const struct surroundings *around,
                        struct attribution *out, struct error *err)
{
    char transaction[TENANT_BYTES_MAX];
    char setting[TENANT_BYTES_MAX];
    char user[TENANT_BYTES_MAX];

    if (!read_around(statement, around->transaction_tenant, transaction) ||
        !read_around(statement, around->setting_tenant, setting) ||
        !read_around(statement, around->user_tenant, user))
        return unknown(
            out, "the tenant that stands around the statement is not a value of the tenant column's type");
    if (transaction[0] != '\0') {
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
        return known(out, user, EVIDENCE_USER, err);
    return unknown(out, "neither the statement nor anything around it says a tenant");
}

bool attribute(const struct plan_statement *statement, struct slice text, const struct shape *shape,
               const struct parameters *params, const struct surroundings *around, struct attribution *out,
               struct error *err)
{
    out->tenancy = TENANCY_NONE;
    out->evidence = EVIDENCE_NONE;
    out->null_tenant = out->contradicted = false;
    out->tenant_count = 0;
    out->why = NULL;
    if ((statement->tables & (TABLES_EVENT | TABLES_COMPANION)) == 0)
        return true;
    if (statement->rows_unseen)
        return unknown(out, "the tenants of the rows it writes are not in the statement");
    if (statement->tenants_partial)
        return unknown(out, "not every reference to an event or companion table is restricted to tenants");
    if (statement->tenant_count > 0 || statement->tenant_null)
        return from_statement(statement, text, shape, params, around, out, err);
    return from_around(statement, around, out, err);
}

/* SET x TO 1: the server writes a whole number its own way, others as they came. */
static bool read_set_literal(const struct shape *shape, struct slice text, size_t hole, char *out,
                             size_t bytes)
{
    if (shape->holes[hole].kind == HOLE_BITS || !shape_literal(shape, text, hole, out, bytes))
        return false;
    return shape->holes[hole].kind != HOLE_NUMBER || is_plain_number(out);
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
