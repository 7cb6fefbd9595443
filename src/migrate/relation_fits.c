/* relation_fits.c - two tables compared: source and target before a copy, a table's fingerprint then and now.
 * Pure.   Start at: relation_fits(). */
#include <stdlib.h>
#include <string.h>

#include "migrate/relation.h"
#include "migrate/relation_types.h"

static const struct relation_column *find_column(const struct relation *rel, const char *name)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        if (strcmp(rel->columns[i].name, name) == 0)
            return &rel->columns[i];
    }
    return NULL;
}

static bool is_key_column(const struct relation *rel, const char *name)
{
    for (size_t i = 0; i < rel->key_count; i++) {
        if (strcmp(rel->key_names[i], name) == 0)
            return true;
    }
    return false;
}

/* The target's default, or NULL, takes the place of the source's value. */
static bool fits_regenerated(const struct relation_column *from, const struct relation_column *to,
                             const struct relation *target, struct error *err)
{
    if (is_key_column(target, from->name) || from->is_tenant || from->is_position || from->is_event_id ||
        from->is_version || from->is_stream)
        return error_set(err, "22023",
                         "column \"%s\" says which event it is: it cannot be one of regenerate_columns",
                         from->name);
    if (!to->not_null || to->has_default)
        return true;
    error_set(err, "42804", "column \"%s\" of regenerate_columns has no default in the target", to->name);
    return error_hint(err,
                      "There: ALTER TABLE %s ALTER COLUMN %s SET DEFAULT … (for a transaction's id: "
                      "pg_current_xact_id()).",
                      target->qualified, to->name);
}

static bool fits_copied(const struct relation_column *from, const struct relation *target, struct error *err)
{
    const struct relation_column *to = find_column(target, from->name);

    if (to == NULL)
        return error_set(err, "42703", "column \"%s\" is missing in %s of the target", from->name,
                         target->qualified);
    if (strcmp(from->type, to->type) != 0 && !from->generated && !from->regenerated &&
        (from->is_tenant || !relation_type_takes(from->type, to->type) ||
         (from->is_position && strcmp(to->type, "numeric") == 0))) {
        error_set(err, "42804", "column \"%s\" has type %s in the source and %s in the target", from->name,
                  from->type, to->type);
        return error_hint(err, "The target's type must be the same, or one that takes every value as it is: "
                               "a wider integer, a longer varchar, text.");
    }
    if (from->generated != to->generated)
        return error_set(err, "42804", "column \"%s\" is generated in the %s only", from->name,
                         from->generated ? "source" : "target");
    if (from->regenerated)
        return fits_regenerated(from, to, target, err);
    if (from->of_cluster) {
        error_set(err, "0A000", "column \"%s\" is of type %s: its values mean nothing in another cluster",
                  from->name, from->type);
        return error_hint(
            err, "Name it in regenerate_columns under [events]: the target then gives its rows values "
                 "of its own (by the column's default).");
    }
    return true;
}

static bool fits_key(const struct relation *rel, const char *side, struct error *err)
{
    if (!rel->key_unique) {
        error_set(err, "42P10", "the key (%s) of %s has no unique index in the %s", rel->key_columns,
                  rel->qualified, side);
        return error_hint(err, "CREATE UNIQUE INDEX CONCURRENTLY ON %s (%s), not partial.", rel->qualified,
                          rel->key_columns);
    }
    for (size_t i = 0; i < rel->key_count; i++) {
        if (!find_column(rel, rel->key_names[i])->not_null)
            return error_set(err, "42P10", "column \"%s\" of the key may be null in the %s",
                             rel->key_names[i], side);
    }
    if (rel->inheritance_children)
        return error_set(err, "0A000",
                         "%s has inheritance children in the %s: rows of theirs would not be seen",
                         rel->qualified, side);
    return true;
}

static bool fits_position(const struct relation *source, struct error *err)
{
    static const char *const integers[] = { "smallint", "integer", "bigint" };

    for (size_t i = 0; i < source->column_count; i++) {
        const struct relation_column *column = &source->columns[i];

        if (!column->is_position)
            continue;
        if (!column->not_null)
            return error_set(err, "0A000", "the position column \"%s\" may be null", column->name);
        for (size_t k = 0; k < sizeof integers / sizeof integers[0]; k++) {
            if (strcmp(column->type, integers[k]) == 0)
                return true;
        }
        return error_set(err, "0A000", "the position column \"%s\" is a %s, not an integer", column->name,
                         column->type);
    }
    error_set(err, "0A000", "table %s has no position column: there is no order to copy it in",
              source->qualified);
    return error_hint(err, "position_column of [events] names it.");
}

void relation_compare(const struct relation *source, const struct relation *target,
                      bool (*differ)(void *who, const struct error *difference), void *who)
{
    struct error err;

    if (strcmp(source->system_identifier, target->system_identifier) == 0 &&
        source->database_oid == target->database_oid) {
        error_set(&err, "22023", "source and target are the same database");
        if (!differ(who, &err))
            return;
    }
    if ((!fits_key(source, "source", &err) && !differ(who, &err)) ||
        (!fits_key(target, "target", &err) && !differ(who, &err)) ||
        (!source->companion && !fits_position(source, &err) && !differ(who, &err)))
        return;
    if (strcmp(source->key_columns, target->key_columns) != 0) {
        error_set(&err, "42P10", "the key of %s is (%s) in the source and (%s) in the target",
                  source->qualified, source->key_columns, target->key_columns);
        if (!differ(who, &err))
            return;
    }
    for (size_t i = 0; i < source->column_count; i++) {
        if (!fits_copied(&source->columns[i], target, &err) && !differ(who, &err))
            return;
    }
    for (size_t i = 0; i < target->column_count; i++) {
        const struct relation_column *to = &target->columns[i];

        if (find_column(source, to->name) != NULL || !to->not_null || to->has_default || to->generated)
            continue;
        error_set(&err, "42703",
                  "column \"%s\" of the target is not null, has no default and is missing in "
                  "the source",
                  to->name);
        if (!differ(who, &err))
            return;
    }
}

static bool keep_first(void *who, const struct error *difference)
{
    *(struct error *)who = *difference;
    return false;
}

bool relation_fits(const struct relation *source, const struct relation *target, struct error *err)
{
    struct error first;

    error_clear(&first);
    relation_compare(source, target, keep_first, &first);
    if (!error_is_set(&first))
        return true;
    *err = first;
    return false;
}

bool relation_adapt(struct relation *source, const struct relation *target, struct error *err)
{
    source->as_text = false;
    for (size_t i = 0; i < source->column_count; i++) {
        struct relation_column *column = &source->columns[i];
        const struct relation_column *to = find_column(target, column->name);

        free(column->cast);
        column->cast = NULL;
        if (to != NULL && strcmp(column->type, to->type) != 0 && (column->cast = strdup(to->type)) == NULL)
            return error_no_memory(err);
        source->as_text = source->as_text || (column->copied && column->text_only);
    }
    return true;
}

bool relation_same_fingerprint(const char *qualified, const char *before, const char *now, struct error *err)
{
    static const char *const parts[] = { "its columns", "the types of its columns", "its partitions",
                                         "a rewritten or truncated file of it" };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t before_bytes = strcspn(before, "\n"), now_bytes = strcspn(now, "\n");

        if (before_bytes != now_bytes || memcmp(before, now, now_bytes) != 0) {
            error_set(err, "55000", "table %s has changed under the migration: %s", qualified, parts[i]);
            error_detail(err, "was: %.*s; is: %.*s", (int)before_bytes, before, (int)now_bytes, now);
            return error_hint(err, "Rows may have come or gone unseen: RESYNC MIGRATION compares both sides "
                                   "and mends the target.");
        }
        before += before_bytes + (before[before_bytes] == '\n');
        now += now_bytes + (now[now_bytes] == '\n');
    }
    return true;
}
