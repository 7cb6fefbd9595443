/* plan.c - a planner: text -> shape -> plan, by the cache or by the grammar.
 * Owns:   the cache's key, calling libpg_query, plans' memory.
 * Leaves: the shape to shape.c, the tree's meaning to walk.c.
 * Thread: one; plans are its own.   Start at: planner_plan().
 *
 * What the grammar gets is the shape itself, in which literals are empty and repeats are cut out: so what is
 * kept under a shape cannot depend on a content, and a huge payload is never parsed. A shape that the grammar
 * refuses is not kept: it may be a newer server's syntax, and it is rare. */
#include "sql/plan.h"

#include <stdlib.h>
#include <string.h>

#include <pg_query.h>

#include "base/clock.h"
#include "base/limits.h"
#include "sql/cache.h"
#include "sql/walk.h"

/* libpg_query's copy of the server's setting, exported but in no header. */
extern __thread bool standard_conforming_strings;

_Static_assert(PG_VERSION_NUM / 10000 == PLAN_GRAMMAR_MAJOR, "libpg_query is of another PostgreSQL");

enum {
    WALK_BUDGET = 1000 * 1000,     /* steps for one text: some 10 ms */
    REFUSED_BYTES_MAX = 64 * 1024, /* a text that is parsed itself, after its shape was refused */
    UNSHAPED_BYTES_MAX = 400 /* the same without a shape: too short to be nested too deeply (reader.c) */
};

struct planner {
    const char *tenant_setting;
    struct cache *cache;
    struct buf key;
    struct planner_counts counts;
};

struct each {
    planner_entry_fn *tell;
    void *who;
};

struct plan *plan_take(struct plan *plan)
{
    plan->refs++;
    return plan;
}

void plan_give(struct plan *plan)
{
    if (plan == NULL || --plan->refs > 0)
        return;
    for (size_t i = 0; i < plan->statement_count; i++) {
        free(plan->statements[i].tenants);
        free(plan->statements[i].lengths);
        free(plan->statements[i].streams);
        free(plan->statements[i].sown);
        free(plan->statements[i].named);
        pattern_give(plan->statements[i].pattern);
        free(plan->statements[i].arguments);
        free(plan->statements[i].types);
        free(plan->statements[i].copy);
        free(plan->statements[i].created);
        free(plan->statements[i].defaults);
        free(plan->statements[i].name);
        free(plan->statements[i].value);
    }
    free(plan->statements);
    free(plan);
}

static struct plan *plan_new(size_t statement_count)
{
    struct plan *plan = calloc(1, sizeof *plan);

    if (plan == NULL)
        return NULL;
    plan->refs = 1;
    plan->statements = calloc(statement_count == 0 ? 1 : statement_count, sizeof *plan->statements);
    if (plan->statements == NULL) {
        free(plan);
        return NULL;
    }
    plan->statement_count = statement_count;
    return plan;
}

struct planner *planner_new(const char *tenant_setting)
{
    struct planner *planner = calloc(1, sizeof *planner);

    if (planner == NULL)
        return NULL;
    planner->tenant_setting = tenant_setting == NULL || tenant_setting[0] == '\0' ? NULL : tenant_setting;
    planner->cache = cache_new();
    buf_init(&planner->key);
    if (planner->cache == NULL) {
        free(planner);
        return NULL;
    }
    return planner;
}

void planner_free(struct planner *planner)
{
    if (planner == NULL)
        return;
    cache_free(planner->cache);
    buf_done(&planner->key);
    free(planner);
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if ((unsigned char)text.at[i] >= 0x80)
            return false;
    return true;
}

/* For a text that is not understood: may it name a declared table? Comments and literals count too, and an
 * identifier written in Unicode escapes may be anything. */
static bool text_touches(struct slice text, const struct schema *schema)
{
    return text.bytes > ATTRIBUTE_BYTES_MAX || schema_is_mentioned(schema, text);
}

/* Whether the grammar refuses the text itself: the server will, too. `bytes_max` keeps what is parsed small,
 * and less deep than libpg_query can bear. */
static bool is_refused(struct slice text, size_t bytes_max, const struct plan_context *context)
{
    PgQueryProtobufParseResult result;
    struct buf copy;
    bool refused;

    if (text.bytes > bytes_max || (text.bytes > 0 && memchr(text.at, '\0', text.bytes) != NULL) ||
        !(context->encoding_safe || is_ascii(text)))
        return false;
    buf_init(&copy);
    buf_append_slice(&copy, text);
    if (buf_failed(&copy)) {
        buf_done(&copy);
        return false;
    }
    standard_conforming_strings = context->standard_conforming_strings;
    result = pg_query_parse_protobuf(buf_text(&copy));
    refused = result.error != NULL;
    pg_query_free_protobuf_parse_result(result);
    buf_done(&copy);
    return refused;
}

static bool plan_unparsed(struct slice text, const struct plan_context *context, size_t refused_bytes_max,
                          struct plan **plan)
{
    struct plan_statement *statement;

    *plan = plan_new(1);
    if (*plan == NULL)
        return false;
    (*plan)->touches = text_touches(text, context->schema);
    (*plan)->refused = is_refused(text, refused_bytes_max, context);
    statement = &(*plan)->statements[0];
    statement->class = CLASS_WRITE;
    statement->value_slot = -1;
    statement->tables = (*plan)->touches ? TABLES_EVENT : TABLES_DEFAULT;
    statement->tenants_partial = (*plan)->touches;
    return true;
}

static void write_key(struct buf *key, const struct plan_context *context, const struct shape *shape)
{
    uint64_t generation = context->schema == NULL ? 0 : context->schema->generation;
    uint8_t flags = (uint8_t)((context->standard_conforming_strings ? 1 : 0) |
                              (context->encoding_safe ? 2 : 0) | (context->temp_shadows ? 4 : 0) |
                              (context->search_path.at != NULL ? 8 : 0) | (context->path_unknown ? 16 : 0));
    uint64_t path_bytes = context->search_path.at == NULL ? 0 : context->search_path.bytes;

    buf_clear(key);
    buf_append(key, &context->schema, sizeof context->schema);
    buf_append(key, &generation, sizeof generation);
    buf_append(key, &flags, sizeof flags);
    buf_append(key, &path_bytes, sizeof path_bytes);
    if (path_bytes > 0)
        buf_append_slice(key, context->search_path);
    buf_append_slice(key, buf_slice(&shape->text));
}

/* The kinds of places where tenants stand: the shape shows them. */
static void note_places(struct plan_statement *statement, const struct shape *shape)
{
    for (size_t i = 0; i < statement->tenant_count; i++) {
        uint32_t slot = statement->tenants[i].slot;

        if (slot < shape->slot_count && buf_slice(&shape->text).at[shape->slots[slot].at] == '$')
            statement->by_parameter = true;
        else
            statement->by_literal = true;
    }
}

static bool may_set_path(const struct plan_statement *statement)
{
    return statement->name == NULL || strcmp(statement->name, "search_path") == 0 || statement->sets;
}

/* What a statement changes for those behind it in the same message. Those of COMMIT and ROLLBACK may give
 * back an earlier search_path. */
static void look_ahead(const struct plan_statement *statement, struct plan_context *context)
{
    bool changes = false;

    switch (statement->kind) {
    case STATEMENT_SET:
    case STATEMENT_SET_LOCAL:
    case STATEMENT_RESET:
        changes = may_set_path(statement);
        break;
    case STATEMENT_RESET_ALL:
    case STATEMENT_DISCARD_ALL:
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
    case STATEMENT_ROLLBACK_TO:
    case STATEMENT_EXECUTE:
        changes = true;
        break;
    default:
        changes = statement->sets;
        break;
    }
    context->path_unknown = context->path_unknown || changes;
    context->temp_shadows = context->temp_shadows || statement->shadows;
}

/* The statements of a tree. *plan NULL: the tree does not fit the shape. false: no memory. */
static bool plan_tree(struct planner *planner, const PgQuery__ParseResult *tree,
                      const struct plan_context *context, const struct shape *shape, struct plan **plan)
{
    struct plan_context now = *context;
    struct walk walk = { .context = &now,
                         .tenant_setting = planner->tenant_setting,
                         .shape = shape,
                         .budget = WALK_BUDGET,
                         .stream_budget = WALK_BUDGET };
    bool fine = true;

    *plan = NULL;
    if (tree->n_stmts != shape->begin_count)
        return true;
    *plan = plan_new(tree->n_stmts);
    if (*plan == NULL)
        return false;
    (*plan)->parsed = true;
    for (size_t i = 0; i < tree->n_stmts && fine; i++) {
        struct walk one = walk;

        one.out = &(*plan)->statements[i];
        one.out->shape_at = (uint32_t)tree->stmts[i]->stmt_location;
        one.out->shape_bytes = tree->stmts[i]->stmt_len > 0
                                   ? (uint32_t)tree->stmts[i]->stmt_len
                                   : (uint32_t)(buf_bytes(&shape->text) - one.out->shape_at);
        fine = tree->stmts[i]->stmt != NULL && walk_statement(&one, tree->stmts[i]->stmt);
        note_places(one.out, shape);
        walk.budget = one.budget;
        walk.stream_budget = one.stream_budget;
        look_ahead(one.out, &now);
        walk_done(&one);
    }
    if (!fine) {
        plan_give(*plan);
        *plan = NULL;
    }
    return fine;
}

/* As plan_tree(); *plan NULL also where the grammar refuses the shape. */
static bool plan_shape(struct planner *planner, const struct plan_context *context, struct shape *shape,
                       struct plan **plan)
{
    PgQueryProtobufParseResult result;
    PgQuery__ParseResult *tree = NULL;
    bool fine = true;

    *plan = NULL;
    standard_conforming_strings = context->standard_conforming_strings;
    result = pg_query_parse_protobuf(buf_text(&shape->text));
    if (result.error == NULL) {
        tree = pg_query__parse_result__unpack(NULL, result.parse_tree.len,
                                              (const uint8_t *)result.parse_tree.data);
        fine = tree != NULL && plan_tree(planner, tree, context, shape, plan);
    }
    if (tree != NULL)
        pg_query__parse_result__free_unpacked(tree, NULL);
    pg_query_free_protobuf_parse_result(result);
    return fine;
}

static bool plan_miss(struct planner *planner, struct slice text, const struct plan_context *context,
                      struct shape *shape, struct plan **plan)
{
    uint64_t begin_us = clock_us();
    bool fine = plan_shape(planner, context, shape, plan);

    uint64_t took_us = clock_us() - begin_us;

    planner->counts.misses++;
    planner->counts.parse_us += took_us;
    if (!fine)
        return false;
    if (*plan == NULL)
        return plan_unparsed(text, context, REFUSED_BYTES_MAX, plan);
    (*plan)->parse_us = took_us;
    if (!buf_failed(&planner->key))
        cache_add(planner->cache, buf_slice(&planner->key), *plan, (struct schema *)context->schema);
    return true;
}

bool planner_plan(struct planner *planner, struct slice text, const struct plan_context *context,
                  struct shape *shape, struct plan **plan)
{
    bool safe = context->encoding_safe || is_ascii(text);
    struct plan *kept;

    *plan = NULL;
    if (!safe)
        shape_read(shape, (struct slice){ "", 0 }, true); /* empties it */
    if (!safe || !shape_read(shape, text, context->standard_conforming_strings))
        return !buf_failed(&shape->text) && plan_unparsed(text, context, UNSHAPED_BYTES_MAX, plan);
    write_key(&planner->key, context, shape);
    kept = buf_failed(&planner->key) ? NULL : cache_find(planner->cache, buf_slice(&planner->key));
    if (kept == NULL)
        return plan_miss(planner, text, context, shape, plan);
    planner->counts.hits++;
    *plan = plan_take(kept);
    return true;
}

/* A key, read as write_key() has written it. */
static void each_entry(void *who, struct slice key, const struct cache_use *use, const struct plan *plan)
{
    const struct each *each = who;
    struct planner_entry entry = {
        .plan = plan, .hits = use->hits, .parse_us = plan->parse_us, .used_s = use->used_s
    };
    size_t at = sizeof(struct schema *) + sizeof(uint64_t);
    uint64_t path_bytes;

    entry.standard_conforming_strings = key.at[at] & 1;
    at += sizeof(uint8_t);
    memcpy(&path_bytes, key.at + at, sizeof path_bytes);
    at += sizeof path_bytes + path_bytes;
    entry.shape = (struct slice){ key.at + at, key.bytes - at };
    each->tell(each->who, &entry);
}

void planner_each(const struct planner *planner, planner_entry_fn *tell, void *who)
{
    struct each each = { tell, who };

    cache_each(planner->cache, each_entry, &each);
}

struct planner_counts planner_count(const struct planner *planner)
{
    struct planner_counts counts = planner->counts;

    counts.entries = cache_count(planner->cache);
    return counts;
}
