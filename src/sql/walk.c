/* walk.c - one statement's tree -> a plan_statement.
 * Owns:   the walk's memory and budget, and the sum of what was found.
 * Leaves: queries to query.c, all other statements to utility.c.
 * Thread: the planner's.   Start at: walk_statement(). */
#include "sql/walk.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sql/stream.h"

enum { ARENA_BLOCK_BYTES = 16 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t used, capacity;
    max_align_t bytes[];
};

void *walk_alloc(struct walk *walk, size_t bytes)
{
    struct arena_block *block = walk->arena;
    void *at;

    bytes = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (block == NULL || block->capacity - block->used < bytes) {
        size_t capacity = bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;

        block = calloc(1, sizeof *block + capacity);
        if (block == NULL) {
            walk->failed = true;
            return NULL;
        }
        block->capacity = capacity;
        block->next = walk->arena;
        walk->arena = block;
    }
    at = (char *)block->bytes + block->used;
    block->used += bytes;
    return at;
}

void walk_done(struct walk *walk)
{
    buf_done(&walk->defaults);
    while (walk->arena != NULL) {
        struct arena_block *next = walk->arena->next;

        free(walk->arena);
        walk->arena = next;
    }
}

bool walk_spend(struct walk *walk)
{
    if (walk->budget > 0 && !walk->failed) {
        walk->budget--;
        return true;
    }
    walk->unclear = true;
    return false;
}

/* The same place read the same way, if it is there already. */
static struct tenant_ref *find_ref(struct walk *walk, const struct tenant_ref *ref)
{
    struct plan_statement *out = walk->out;

    for (size_t i = 0; i < out->tenant_count && walk_spend(walk); i++)
        if (out->tenants[i].slot == ref->slot && out->tenants[i].type_oid == ref->type_oid &&
            out->tenants[i].cast_oid == ref->cast_oid && out->tenants[i].stream == ref->stream)
            return &out->tenants[i];
    return NULL;
}

static bool add_ref(struct walk *walk, const struct tenant_ref *ref, size_t *capacity)
{
    struct plan_statement *out = walk->out;

    if (out->tenant_count == *capacity) {
        size_t more = *capacity == 0 ? 2 : *capacity * 2;
        struct tenant_ref *grown = realloc(out->tenants, more * sizeof *grown);

        if (grown == NULL)
            return !(walk->failed = true);
        out->tenants = grown;
        *capacity = more;
    }
    out->tenants[out->tenant_count++] = *ref;
    return true;
}

/* Every slot of every reference's evidence, once each. */
static void collect_tenants(struct walk *walk)
{
    unsigned char *seen = walk_alloc(walk, walk->shape->slot_count / 8 + 1);
    size_t capacity = 0;

    for (const struct reference *r = walk->references; r != NULL && seen != NULL; r = r->next)
        for (const struct restriction_slot *s = r->evidence.slots; s != NULL; s = s->next) {
            unsigned bit = 1u << (s->ref.slot % 8);
            struct tenant_ref *same = seen[s->ref.slot / 8] & bit ? find_ref(walk, &s->ref) : NULL;

            seen[s->ref.slot / 8] |= (unsigned char)bit;
            if (same != NULL) {
                same->nulls = same->nulls || s->ref.nulls;
                same->untyped = same->untyped || s->ref.untyped;
            } else if (!add_ref(walk, &s->ref, &capacity)) {
                return;
            }
            if (s->ref.stream && walk->out->pattern == NULL) /* the argument of a function */
                walk->out->pattern = pattern_take(walk->context->schema->pattern);
        }
}

static void collect_lengths(struct walk *walk)
{
    struct plan_statement *out = walk->out;

    for (const struct reference *r = walk->references; r != NULL; r = r->next)
        for (const struct restriction_length *l = r->evidence.lengths; l != NULL; l = l->next) {
            struct tenant_length *grown;

            if (!walk_spend(walk))
                return;
            grown = realloc(out->lengths, (out->length_count + 1) * sizeof *grown);
            if (grown == NULL) {
                walk->failed = true;
                return;
            }
            out->lengths = grown;
            out->lengths[out->length_count++] = l->length;
        }
}

/* Every reference must be restricted, or none may be and nothing may speak of tenants. */
static void sum_references(struct walk *walk)
{
    struct plan_statement *out = walk->out;
    bool some = false;
    bool open = false;

    collect_tenants(walk);
    collect_lengths(walk);
    for (const struct reference *r = walk->references; r != NULL; r = r->next) {
        some = some || r->evidence.found;
        open = open || (!r->evidence.found && !r->assigned);
        out->tenant_null = out->tenant_null || r->evidence.null;
    }
    if ((open && (some || walk->says)) || walk->unclear)
        out->tenants_partial = (out->tables & (TABLES_EVENT | TABLES_COMPANION)) != 0 || walk->unclear;
}

/* A list of names only where they are all. */
static void sum_defaults(struct walk *walk)
{
    struct plan_statement *out = walk->out;

    if (walk->defaults_cut || buf_bytes(&walk->defaults) == 0 || buf_failed(&walk->defaults))
        return;
    buf_append(&walk->defaults, "", 1);
    out->defaults = malloc(buf_bytes(&walk->defaults));
    if (out->defaults == NULL)
        walk->failed = true;
    else
        memcpy(out->defaults, buf_at(&walk->defaults), buf_bytes(&walk->defaults));
}

static void sum_class(struct walk *walk)
{
    struct plan_statement *out = walk->out;

    out->only_locks_returned = walk->locks_returned && walk->locking == 1 && !walk->calls_writer &&
                               !walk->writes && !walk->stays && walk->set_count == 0 && !out->locks &&
                               !out->advisory && !out->unlocks && !out->snapshot;
    out->locks = out->locks || walk->locking > 0;
    if (walk->calls_writer || walk->writes || walk->locking > 0) {
        out->class = CLASS_WRITE;
        if (out->tables == 0)
            out->tables = TABLES_DEFAULT;
        if (out->temporary && !(out->tables & (TABLES_EVENT | TABLES_COMPANION)))
            out->tables |= TABLES_DEFAULT;
    } else if (out->locks || walk->stays) {
        out->class = CLASS_WRITE;
    } else {
        out->class = walk->reads ? CLASS_READ : CLASS_NEUTRAL;
    }
}

bool walk_statement(struct walk *walk, const PgQuery__Node *statement)
{
    walk->out->value_slot = -1;
    if (!walk_query(walk, statement, NULL, NULL))
        walk_utility(walk, statement);
    walk_set_config(walk, statement);
    walk_locks_returned(walk, statement);
    sum_references(walk);
    stream_sum(walk);
    stream_sum_named(walk);
    sum_class(walk);
    sum_defaults(walk);
    if (walk->budget == 0) { /* not all of it was seen */
        walk->out->tables |= TABLES_EVENT;
        walk->out->class = CLASS_WRITE;
        walk->out->only_locks_returned = false;
    }
    return !walk->failed;
}
