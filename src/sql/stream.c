/* stream.c - see stream.h.
 * Leaves: what is evidence to fact.c, to which side of a join it applies to scope.c, whose a stream is to the
 * directory. Thread: the planner's.   Start at: stream_resolve(), stream_sum(). */
#include "sql/stream.h"

#include <stdlib.h>
#include <string.h>

#include "sql/type.h"

/* The columns of all kinds of keys in a row: those of streams, then the event's id. */
static unsigned first_of(enum schema_key_kind kind)
{
    return kind == KEY_STREAM ? 0 : STREAM_COLUMNS_MAX;
}

static const char *column_at(const struct walk *walk, unsigned at)
{
    const struct schema *schema = walk->context->schema;
    enum schema_key_kind kind = at < STREAM_COLUMNS_MAX ? KEY_STREAM : KEY_EVENT;

    if (at == WALK_PATTERN)
        return schema == NULL ? NULL : schema->pattern_column;
    at -= first_of(kind);
    return schema != NULL && at < schema->keys[kind].column_count ? schema->keys[kind].columns[at] : NULL;
}

static bool is_column(const struct walk *walk, const struct schema_table *table, unsigned at, size_t index)
{
    const struct schema_column *column = &table->columns[index];
    const char *name = column_at(walk, at);

    if (at == WALK_PATTERN)
        return column == schema_pattern_column(walk->context->schema, table);
    return name != NULL && strcmp(column->name, name) == 0 && type_family(column->type_oid) != FAMILY_NONE;
}

void stream_name_columns(const struct walk *walk, struct source *source, const struct schema_table *table,
                         const PgQuery__Alias *alias)
{
    for (unsigned at = 0; at < WALK_COLUMNS && !table->read_only; at++) /* a view may name anything so */
        for (size_t i = 0; i < table->column_count; i++)
            if (is_column(walk, table, at, i)) {
                source->key_names[at] = alias != NULL && i < alias->n_colnames ? node_text(alias->colnames[i])
                                                                               : table->columns[i].name;
                source->key_types[at] = table->columns[i].type_oid;
            }
    if (source->reference != NULL)
        source->reference->is_event = table->class == TABLE_EVENT;
}

/* Exchanges the tenant's column for column `pass` - 1 in every source that facts can be about, and back: a
 * second call undoes the first. A reference may have several sources. */
static void exchange(const struct scope *scope, unsigned pass, bool back)
{
    for (; scope != NULL; scope = scope->outer)
        for (struct source *source = scope->sources; source != NULL; source = source->next) {
            struct reference *reference = source->reference;
            const char *name = source->tenant_name;
            uint32_t type = source->tenant_type;

            source->tenant_name = source->key_names[pass - 1];
            source->tenant_type = source->key_types[pass - 1];
            source->key_names[pass - 1] = name;
            source->key_types[pass - 1] = type;
            if (reference != NULL && reference->pass == (back ? pass : 0)) {
                struct restriction evidence = reference->evidence;

                reference->evidence = reference->keys[pass - 1];
                reference->keys[pass - 1] = evidence;
                reference->pass = back ? 0 : pass;
            }
        }
}

/* Some reference has no tenant yet, and what names its stream is known. */
static bool is_wanted(const struct scope *scope)
{
    for (const struct source *source = scope->sources; source != NULL; source = source->next)
        for (unsigned at = 0;
             source->reference != NULL && !source->reference->evidence.found && at < KEY_COLUMNS_MAX; at++)
            if (source->key_names[at] != NULL)
                return true;
    return false;
}

/* Some reference has ids that the pattern reads: they must not contradict its tenants either. */
static bool has_pattern(const struct scope *scope)
{
    for (const struct source *source = scope->sources; source != NULL; source = source->next)
        if (source->reference != NULL && source->key_names[WALK_PATTERN] != NULL)
            return true;
    return false;
}

void stream_resolve(struct walk *walk, struct scope *scope, struct source *target,
                    PgQuery__Node *const *items, size_t count, const PgQuery__Node *condition)
{
    uint32_t budget = walk->budget;
    bool unclear = walk->unclear, wanted = is_wanted(scope), pattern = has_pattern(scope);

    if (!wanted && !pattern)
        return;
    walk->budget = walk->stream_budget; /* what is spent here makes nothing else unknown */
    for (unsigned pass = 1; pass <= WALK_COLUMNS; pass++) {
        struct fact *facts;

        if (column_at(walk, pass - 1) == NULL || !(pass - 1 == WALK_PATTERN ? pattern : wanted))
            continue;
        walk->pass = pass;
        exchange(scope, pass, false);
        facts = facts_of(walk, scope, condition, NULL);
        if (target != NULL)
            scope_resolve_source(walk, scope, target, facts);
        for (size_t i = 0; i < count; i++)
            scope_resolve(walk, scope, items[i], facts);
        exchange(scope, pass, true);
    }
    walk->pass = 0;
    walk->stream_budget = walk->budget;
    walk->budget = budget;
    walk->unclear = unclear;
}

/* ---- the sum ---- */

/* All columns of that kind are known for the reference. */
static bool is_named(const struct walk *walk, const struct reference *reference, enum schema_key_kind kind)
{
    const struct schema_key *key = &walk->context->schema->keys[kind];

    if (kind == KEY_EVENT && !reference->is_event) /* the id of an event is unique among events only */
        return false;
    for (size_t i = 0; i < key->column_count; i++) {
        const struct restriction *evidence = &reference->keys[first_of(kind) + i];

        if (!evidence->found || evidence->null || evidence->slots == NULL)
            return false;
    }
    return key->column_count > 0;
}

static bool add(struct walk *walk, const struct stream_ref *ref)
{
    struct plan_statement *out = walk->out;
    struct stream_ref *grown;

    for (size_t i = out->stream_count; i > 0 && walk_spend(walk); i--) { /* a join says things twice */
        const struct stream_ref *other = &out->streams[i - 1];

        if (other->group != ref->group || other->column != ref->column)
            break;
        if (other->ref.slot == ref->ref.slot && other->ref.cast_oid == ref->ref.cast_oid)
            return true;
    }
    if (!walk_spend(walk))
        return false;
    grown = realloc(out->streams, (out->stream_count + 1) * sizeof *grown);
    if (grown == NULL) {
        walk->failed = true;
        return false;
    }
    out->streams = grown;
    out->streams[out->stream_count++] = *ref;
    return true;
}

static void add_group(struct walk *walk, const struct reference *reference, enum schema_key_kind kind,
                      unsigned group)
{
    for (size_t i = 0; i < walk->context->schema->keys[kind].column_count; i++)
        for (const struct restriction_slot *slot = reference->keys[first_of(kind) + i].slots; slot != NULL;
             slot = slot->next)
            if (!add(walk,
                     &(struct stream_ref){
                         .group = (uint16_t)group, .kind = kind, .column = (uint8_t)i, .ref = slot->ref }))
                return;
}

static void drop(struct plan_statement *out)
{
    free(out->streams);
    out->streams = NULL;
    out->stream_count = 0;
}

void stream_sum(struct walk *walk)
{
    struct plan_statement *out = walk->out;
    const struct schema *schema = walk->context->schema;
    unsigned group = 0;

    if (schema == NULL || walk->unclear || walk->own_setting || walk->stream_budget == 0)
        return;
    for (const struct reference *r = walk->references; r != NULL; r = r->next) {
        enum schema_key_kind kind = KEY_EVENT;

        if (r->evidence.found || r->assigned)
            continue;
        if (!is_named(walk, r, kind) || schema->keys[kind].why_not != NULL)
            kind = KEY_STREAM;
        if (!is_named(walk, r, kind) || group == UINT16_MAX) {
            drop(out);
            out->stream_why_not = NULL;
            return;
        }
        if (schema->keys[kind].why_not != NULL)
            out->stream_why_not = schema->keys[kind].why_not;
        add_group(walk, r, kind, group++);
    }
    if (out->stream_why_not != NULL || walk->unclear)
        drop(out);
}

/* ---- the declared pattern ---- */

/* All the streams of the reference's rows are known by their ids. */
static bool is_read_by_pattern(const struct reference *reference)
{
    const struct restriction *ids = &reference->keys[WALK_PATTERN];

    return ids->found && !ids->null && ids->slots != NULL && ids->lengths == NULL;
}

static bool add_ids(struct walk *walk, const struct reference *reference)
{
    struct plan_statement *out = walk->out;

    for (const struct restriction_slot *slot = reference->keys[WALK_PATTERN].slots; slot != NULL;
         slot = slot->next) {
        struct tenant_ref *grown;
        size_t i = 0;

        while (i < out->named_count && walk_spend(walk) && out->named[i].slot != slot->ref.slot)
            i++;
        if (i < out->named_count && out->named[i].slot == slot->ref.slot) { /* a join says things twice */
            out->named[i].nulls = out->named[i].nulls || slot->ref.nulls;
            continue;
        }
        grown = walk_spend(walk) ? realloc(out->named, (out->named_count + 1) * sizeof *grown) : NULL;
        if (grown == NULL) {
            walk->failed = walk->failed || !walk->unclear;
            return false;
        }
        out->named = grown;
        grown[out->named_count] = slot->ref;
        grown[out->named_count++].stream = true;
    }
    return true;
}

/* Those of references without tenants (and what is assigned in such a statement), or of the others. false:
 * there is none of the former kind, or one that is read by nothing. */
static bool add_named(struct walk *walk, bool tenants)
{
    bool all = true, some = false;

    for (const struct reference *r = walk->references; r != NULL; r = r->next) {
        if (!r->assigned && r->evidence.found != tenants)
            continue;
        some = some || !r->assigned;
        if (is_read_by_pattern(r))
            all = add_ids(walk, r) && all;
        else
            all = all && r->assigned;
    }
    return all && some;
}

void stream_sum_named(struct walk *walk)
{
    struct plan_statement *out = walk->out;
    bool decides;

    if (column_at(walk, WALK_PATTERN) == NULL || walk->unclear || walk->stream_budget == 0)
        return;
    decides = add_named(walk, false) && !walk->renames && !walk->own_setting;
    out->named_needed = decides ? out->named_count : 0;
    add_named(walk, true);
    if (walk->unclear) /* the budget is used up */
        out->named_needed = 0;
    if (out->named_count > 0 && out->pattern == NULL)
        out->pattern = pattern_take(walk->context->schema->pattern);
}

/* ---- what an INSERT writes ---- */

/* Where the column stands in a row of the INSERT. */
static bool find_place(const struct schema_table *table, const PgQuery__InsertStmt *insert, const char *name,
                       size_t *place, uint32_t *type_oid)
{
    size_t column = 0;

    while (column < table->column_count && strcmp(table->columns[column].name, name) != 0)
        column++;
    if (column == table->column_count || type_family(table->columns[column].type_oid) == FAMILY_NONE)
        return false;
    *type_oid = table->columns[column].type_oid;
    *place = column;
    if (insert->n_cols == 0)
        return true;
    for (*place = 0; *place < insert->n_cols; ++*place)
        if (node_is(insert->cols[*place], NODE(RES_TARGET)) &&
            strcmp(insert->cols[*place]->res_target->name, name) == 0)
            return true;
    return false;
}

static bool sow_one(struct walk *walk, const struct schema_table *table, const PgQuery__InsertStmt *insert,
                    const PgQuery__List *row, const char *name, struct tenant_ref *ref)
{
    struct restriction evidence = { 0 };
    uint32_t type_oid;
    size_t place;

    if (!find_place(table, insert, name, &place, &type_oid) || place >= row->n_items ||
        !constant_of(walk, row->items[place], type_oid, 0, &evidence) || evidence.null ||
        evidence.slots == NULL || evidence.slots->next != NULL)
        return false;
    *ref = evidence.slots->ref;
    return true;
}

void stream_sow(struct walk *walk, const struct schema_table *table, const PgQuery__InsertStmt *insert)
{
    const struct schema_key *key = &walk->context->schema->keys[KEY_STREAM];
    const PgQuery__SelectStmt *values =
        node_is(insert->select_stmt, NODE(SELECT_STMT)) ? insert->select_stmt->select_stmt : NULL;
    struct plan_statement *out = walk->out;
    struct tenant_ref refs[STREAM_COLUMNS_MAX + 1];
    size_t count = key->column_count;

    if (table->class != TABLE_EVENT || table->read_only || count == 0 || key->why_not != NULL ||
        values == NULL || values->n_values_lists != 1 || !node_is(values->values_lists[0], NODE(LIST)) ||
        insert->on_conflict_clause != NULL || out->sown != NULL)
        return;
    for (size_t i = 0; i <= count; i++)
        if (!sow_one(walk, table, insert, values->values_lists[0]->list,
                     i < count ? key->columns[i] : table->columns[table->tenant_column].name, &refs[i]))
            return;
    out->sown = malloc((count + 1) * sizeof *refs);
    if (out->sown == NULL) {
        walk->failed = true;
        return;
    }
    memcpy(out->sown, refs, (count + 1) * sizeof *refs);
    out->sown_count = count + 1;
}

bool stream_is_assigned(const struct walk *walk, const struct schema_table *table,
                        PgQuery__Node *const *targets, size_t count)
{
    for (size_t i = 0; table != NULL && i < count; i++) {
        const char *name = node_is(targets[i], NODE(RES_TARGET)) ? targets[i]->res_target->name : NULL;

        if (name == NULL)
            continue;
        if (table->tenant_column >= 0 && (size_t)table->tenant_column < table->column_count &&
            strcmp(table->columns[table->tenant_column].name, name) == 0)
            return true;
        for (unsigned at = 0; at < KEY_COLUMNS_MAX; at++)
            if (column_at(walk, at) != NULL && strcmp(column_at(walk, at), name) == 0)
                return true;
    }
    return false;
}
