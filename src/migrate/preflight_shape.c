/* preflight_shape.c - before a migration: what both stores' tables are made of, object by object
 * (sql/schema_items.sql): partitions, defaults, constraints, indexes, triggers, rules, policies, types.
 * What differs is no reason to refuse as long as rows can be copied: it is the application that would notice.
 * Part of preflight.h; runner's thread.   Start at: kinds[]. */
#include <stdio.h>
#include <string.h>

#include "migrate/preflight.h"
#include "migrate/schema_items.h"
#include "sql_embedded.h"

static const struct kind {
    const char *kind, *check;
    bool extra_counts; /* one that only the target has is worth a row */
    const char *missing, *extra;
} kinds[] = {
    { "partition", "partitions", false, "rows may find no partition there", NULL },
    { "column", "defaults", true, "rows would have to do without it", "the source does not know it" },
    { "primary key", "constraints", true, "the target would take what the source refuses",
      "the target may refuse what the source takes" },
    { "unique constraint", "constraints", true, "the target would take what the source refuses",
      "the target may refuse what the source takes" },
    { "unique index", "constraints", true, "the target would take what the source refuses",
      "the target may refuse what the source takes" },
    { "check", "constraints", true, "the target would take what the source refuses",
      "the target may refuse what the source takes" },
    { "exclusion constraint", "constraints", true, "the target would take what the source refuses",
      "the target may refuse what the source takes" },
    { "foreign key", "constraints", true, "the target would take what the source refuses",
      "copied rows are not checked against it, the application's are" },
    { "index", "indexes", false, "what is fast in the source may be slow there", NULL },
    { "trigger", "triggers", true, "what it does would not be done there",
      "it does something there that the source does not do" },
    { "rule", "rules", true, "what it does would not be done there",
      "it does something there that the source does not do" },
    { "policy", "policies", true, "other rows would be seen there", "other rows would be seen there" },
    { "row-level security", "policies", true, "other rows would be seen there",
      "other rows would be seen there" },
    { "type", "types", false, "it is made of something else there", NULL },
    { "domain constraint", "types", true, "the target would take what the source refuses",
      "the target may refuse what the source takes" },
    { "function", "functions", false, "what calls it cannot work there", NULL },
    { "sequence", "sequence", false, "nobody would give its values there", NULL },
};

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].kind, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

/* Labels may have been added behind: every label of the source has its match then. */
static bool enum_has_grown(const char *from, const char *to)
{
    size_t bytes = strlen(from);

    return bytes > 1 && strstr(from, " AS ENUM (") != NULL && strncmp(from, to, bytes - 1) == 0 &&
           to[bytes - 1] == ',';
}

static void differ(struct preflight *p, const struct kind *kind, const struct schema_item *from,
                   const struct schema_item *to)
{
    if (enum_has_grown(from->statement, to->statement))
        return;
    if (strstr(from->statement, " AS ENUM (") != NULL && strcmp(kind->kind, "type") == 0)
        finding_blocker(p->list, kind->check, "42804",
                        "ALTER TYPE … ADD VALUE in the target, as in the source.",
                        "type %s has other labels in the target", from->name);
    else
        finding_warning(p->list, kind->check, "Make it in the target as it is in the source.",
                        "%s %s is \"%.700s\" in the source and \"%.700s\" in the target", from->kind,
                        from->name, from->statement, to->statement);
}

/* Since the copier says session_replication_role = replica, ordinary triggers of the target keep still. */
static void look_at_firing(struct preflight *p, const struct schema_item *item)
{
    bool fires = strstr(item->statement, " -- enabled always") != NULL ||
                 strstr(item->statement, " -- enabled for replicas") != NULL;

    if (!fires)
        return;
    if (strcmp(item->kind, "rule") == 0)
        finding_blocker(
            p->list, "rules", "0A000", "ALTER TABLE … ENABLE RULE (without ALWAYS or REPLICA), or drop it.",
            "rule %s of the target would turn the rows that pgshunt writes into something else", item->name);
    else
        finding_warning(p->list, "triggers", "ALTER TABLE … ENABLE TRIGGER (without ALWAYS or REPLICA).",
                        "trigger %s of the target would fire for every row that pgshunt copies", item->name);
}

static size_t count_of(const struct findings *list, size_t from, const char *check)
{
    size_t count = 0;

    for (size_t i = from; i < list->count; i++)
        count += strcmp(list->at[i].check, check) == 0;
    return count;
}

static void compare(struct preflight *p, const struct schema_items *source, const struct schema_items *target)
{
    for (size_t i = 0; i < source->count; i++) {
        const struct schema_item *from = &source->at[i],
                                 *to = schema_items_find(target, from->kind, from->name);
        const struct kind *kind = kind_of(from->kind);

        if (kind == NULL)
            continue;
        if (to != NULL && strcmp(from->statement, to->statement) != 0)
            differ(p, kind, from, to);
        else if (to == NULL && schema_items_is_deferred(target, from->statement))
            finding_ok(p->list, kind->check, "index %s is made when the rows have been copied", from->name);
        else if (to == NULL && strcmp(from->kind, "column") != 0) /* those are compared for themselves */
            finding_warning(p->list, kind->check,
                            from->ready ? from->statement : "Make it in the target, too.",
                            "%s %s is missing in the target: %s", from->kind, from->name, kind->missing);
    }
    for (size_t i = 0; i < target->count; i++) {
        const struct schema_item *to = &target->at[i];
        const struct kind *kind = kind_of(to->kind);

        look_at_firing(p, to);
        if (kind != NULL && kind->extra_counts && schema_items_find(source, to->kind, to->name) == NULL)
            finding_warning(p->list, kind->check, "Drop it there, or make it in the source, too.",
                            "%s %s is there in the target only: %s", to->kind, to->name, kind->extra);
    }
}

/* One row for each check that found nothing. */
static void say_what_is_fine(struct preflight *p, const struct schema_items *source, size_t before)
{
    const char *last = "";

    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t same = 0;

        if (strcmp(kinds[k].check, last) == 0 || strcmp(kinds[k].check, "sequence") == 0 ||
            count_of(p->list, before, kinds[k].check) > 0)
            continue;
        last = kinds[k].check;
        for (size_t i = 0; i < source->count; i++) {
            const struct kind *kind = kind_of(source->at[i].kind);

            same += kind != NULL && strcmp(kind->check, last) == 0;
        }
        if (same == 0)
            finding_ok(p->list, last, "there are none");
        else
            finding_ok(p->list, last, "%zu, the same on both sides", same);
    }
}

void preflight_shape(struct preflight *p)
{
    struct schema_items source, target;
    size_t before = p->list->count;
    struct error err;
    bool fine = schema_items_read(*p->source.pg, p->r->setup->config, p->r->m.control_schema, &source, &err);

    if (!preflight_note(p, "constraints", FINDING_WARNING, fine, &err))
        return;
    fine = schema_items_read(*p->target.pg, p->r->setup->config, p->r->m.control_schema, &target, &err);
    if (preflight_note(p, "constraints", FINDING_WARNING, fine, &err)) {
        compare(p, &source, &target);
        say_what_is_fine(p, &source, before);
        schema_items_done(&target);
    }
    schema_items_done(&source);
}
