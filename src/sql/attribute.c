/* attribute.c - plan + literals + parameters + transaction + settings -> tenant, or none, and by what
 * evidence. Owns:   the order of evidence, contradictions. Leaves: where tenants stand to plan.c, which ones
 * stand there to collect.c. Thread: any.   Start at: attribute(). In doubt a statement is unknown: a wrong
 * tenant is the one mistake that may not happen. */
#include "sql/attribute.h"

#include <stdlib.h>
#include <string.h>

#include "sql/collect.h"
#include "sql/key.h"
#include "sql/quote.h"
#include "sql/type.h"
#include "sql/value.h"

enum { SET_VALUE_BYTES = 8192 /* a longer value of SET is not read */ };

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
        return out->why != NULL ? collect_unknown(out, out->why) : error_no_memory(err);
    out->tenancy = TENANCY_KNOWN;
    if (out->tenant_count == 0) { /* only "no tenant": something to point at, for whoever looks */
        if (!collect_room(out))
            return error_no_memory(err);
        out->tenants[0][0] = '\0';
    }
    return check_around(statement, around, out, err);
}

static bool known(struct attribution *out, const char *tenant, enum evidence evidence, struct error *err)
{
    if (!collect_room(out))
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
        return collect_unknown(out, "its comments name a tenant that cannot be read");
    if (!is_empty(around->comment_tenant)) {
        if (!read_around(statement, around->comment_tenant, transaction))
            return collect_unknown(out,
                                   "the tenant in its comment is not a value of the tenant column's type");
        return known(out, transaction, EVIDENCE_COMMENT, err) && check_around(statement, around, out, err);
    }
    if (!read_around(statement, around->transaction_tenant, transaction) ||
        !read_around(statement, around->setting_tenant, setting) ||
        !read_around(statement, around->user_tenant, user))
        return collect_unknown(
            out, "the tenant that stands around the statement is not a value of the tenant column's type");
    if (transaction[0] != '\0' && !around->transaction_several) {
        if (!known(out, transaction, EVIDENCE_TRANSACTION, err))
            return false;
        if (setting[0] != '\0' && !around->setting_unknown && strcmp(setting, transaction) != 0)
            return conflict(out, around, transaction, setting, "the tenant setting", err);
        return true;
    }
    if (around->setting_unknown)
        return collect_unknown(out, "the tenant setting was changed to something that cannot be read");
    if (setting[0] != '\0')
        return known(out, setting, EVIDENCE_SETTING, err);
    if (user[0] != '\0')
        return known(out, user, around->mapped_database ? EVIDENCE_DATABASE : EVIDENCE_USER, err);
    if (around->transaction_several)
        return collect_unknown(out, "its transaction is about several tenants, and it names none of them");
    return collect_unknown(out, "neither the statement nor anything around it says a tenant");
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
        return collect_reading(&streams->collector, VALUE_TENANT, tenant);
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
    if (around->setting_unknown || around->comment_unknown || !collect_room(out))
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
        if (!collect_room(out))
            return error_no_memory(err);
        out->tenants[0][0] = '\0';
    }
    return check_around(statement, around, out, err);
}

/* ---- the declared pattern ---- */

/* By the pattern, where the statement names streams instead of tenants. *decided false: it finds no tenant in
 * some of their ids; `why`: but in others, so that nothing else may decide. */
static bool from_pattern(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                         const struct parameters *params, const struct surroundings *around,
                         struct attribution *out, bool *decided, struct error *err)
{
    struct collector collector = { .out = out, .statement = statement };
    bool silent = false, fine;
    size_t tenants;

    out->null_tenant = statement->tenant_null;
    fine = collect_all(&collector, statement, text, shape, params);
    tenants = out->tenant_count;
    fine = fine && collect_named(&collector, 0, statement->named_needed, text, shape, params, &silent);
    free(collector.index);
    *decided = fine && !silent;
    if (!fine)
        return out->why != NULL ? (*decided = collect_unknown(out, out->why)) : error_no_memory(err);
    if (silent && out->tenant_count > tenants)
        return *decided = collect_unknown(
                   out, "the declared pattern finds no tenant in the id of one of its streams");
    if (silent)
        return true;
    out->tenancy = TENANCY_KNOWN;
    out->evidence = EVIDENCE_PATTERN;
    if (out->tenant_count == 0) {
        if (!collect_room(out))
            return error_no_memory(err);
        out->tenants[0][0] = '\0';
    }
    return check_around(statement, around, out, err);
}

/* What the ids of streams say must not contradict what is known already. */
static bool check_named(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                        const struct parameters *params, const struct surroundings *around,
                        struct attribution *out, struct error *err)
{
    struct attribution named;
    struct collector collector = { .out = &named, .statement = statement };
    bool silent = false, fine;

    if (statement->named_count == 0 || out->tenancy != TENANCY_KNOWN)
        return true;
    attribution_init(&named);
    fine = collect_named(&collector, 0, statement->named_count, text, shape, params, &silent);
    free(collector.index);
    if (!fine && named.why == NULL)
        error_no_memory(err);
    else
        fine = true; /* what cannot be read says nothing */
    for (size_t i = 0; fine && i < named.tenant_count; i++) {
        size_t known = 0;

        while (known < out->tenant_count && strcmp(out->tenants[known], named.tenants[i]) != 0)
            known++;
        if (known < out->tenant_count)
            continue;
        fine = conflict(out, around, out->tenant_count > 0 ? out->tenants[0] : "", named.tenants[i],
                        "the id of its stream", err);
        break;
    }
    attribution_done(&named);
    return fine;
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

/* By what the statement names: streams, tenants; else by what stands around it. */
static bool find(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                 const struct parameters *params, const struct surroundings *around, struct attribution *out,
                 struct error *err)
{
    const char *why = NULL;
    bool decided;

    if (statement->named_needed > 0) {
        if (!from_pattern(statement, text, shape, params, around, out, &decided, err))
            return false;
        if (decided)
            return true;
        start_again(out);
    }
    if (statement->stream_count > 0 && around->streams != NULL) {
        if (!from_streams(statement, text, shape, params, around, out, &decided, err))
            return false;
        if (decided)
            return true;
        why = out->why;
        start_again(out);
    }
    if (statement->tenants_partial)
        return collect_unknown(
            out, why != NULL ? why
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

bool attribute(const struct plan_statement *statement, struct slice text, const struct shape *shape,
               const struct parameters *params, const struct surroundings *around, struct attribution *out,
               struct error *err)
{
    start_again(out);
    if ((statement->tables & (TABLES_EVENT | TABLES_COMPANION)) == 0)
        return true;
    if (statement->rows_unseen)
        return collect_unknown(out, "the tenants of the rows it writes are not in the statement");
    return find(statement, text, shape, params, around, out, err) &&
           check_named(statement, text, shape, params, around, out, err);
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
