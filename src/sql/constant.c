/* constant.c - literals and parameters as tenants, one by one or as the elements of an array.
 * Owns:   which casts leave a tenant what it is.
 * Leaves: what a content is to attribute.c.
 * Thread: the planner's.   Start at: constant_of(), elements_of(). */
#include "sql/walk.h"

#include <string.h>

#include "sql/type.h"

uint32_t type_named(const PgQuery__TypeName *type, bool array)
{
    static const struct {
        const char *name;
        uint32_t oid;
    } types[] = {
        { "uuid", TYPE_UUID },     { "text", TYPE_TEXT }, { "varchar", TYPE_VARCHAR },
        { "bpchar", TYPE_BPCHAR }, { "name", TYPE_NAME }, { "int2", TYPE_INT2 },
        { "int4", TYPE_INT4 },     { "int8", TYPE_INT8 }, { "numeric", TYPE_NUMERIC },
    };
    const char *schema;
    const char *name;

    if (type == NULL || type->setof || type->pct_type || type->n_typmods > 0 || type->n_names > 2 ||
        type->n_array_bounds != (array ? 1 : 0))
        return 0;
    name = name_of(type->names, type->n_names, &schema);
    if (name == NULL || (schema != NULL && strcmp(schema, "pg_catalog") != 0))
        return 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].oid;
    return 0;
}

bool cast_keeps(uint32_t column_type, uint32_t oid)
{
    enum type_family family = type_family(column_type);

    if (oid == TYPE_TEXT || oid == TYPE_VARCHAR || oid == column_type)
        return true;
    return (family == FAMILY_UUID || family == FAMILY_INTEGER) && type_family(oid) == family;
}

bool cast_rounds(uint32_t column_type, uint32_t oid)
{
    return column_type == TYPE_NUMERIC && oid != TYPE_NUMERIC && type_family(oid) == FAMILY_INTEGER;
}

/* 'x'::my_type on a column of an enum: another type than the column's has no operator = with it. */
static uint32_t cast_of(const PgQuery__TypeName *type, bool array, uint32_t column_type, bool innermost)
{
    uint32_t oid = type_named(type, array);

    if (oid == 0 && column_type == TYPE_ENUM && innermost && type != NULL && !type->setof &&
        !type->pct_type && type->n_typmods == 0 && type->n_array_bounds == (array ? 1 : 0))
        return TYPE_ENUM;
    return oid;
}

static bool is_text_or_plain(const PgQuery__Node *node)
{
    return !node_is(node, NODE(TYPE_CAST)) || type_named(node->type_cast->type_name, false) == TYPE_TEXT;
}

static bool add_slot(struct walk *walk, struct restriction *evidence, struct tenant_ref ref)
{
    struct restriction_slot *slot = walk_alloc(walk, sizeof *slot);

    if (slot == NULL)
        return false;
    slot->ref = ref;
    slot->next = evidence->slots;
    evidence->slots = slot;
    evidence->found = true;
    return true;
}

void restriction_join(struct walk *walk, struct restriction *into, const struct restriction *from)
{
    for (const struct restriction_slot *slot = from->slots; slot != NULL && walk_spend(walk);
         slot = slot->next)
        add_slot(walk, into, slot->ref);
    for (const struct restriction_length *l = from->lengths; l != NULL && walk_spend(walk); l = l->next) {
        struct restriction_length *copy = walk_alloc(walk, sizeof *copy);

        if (copy == NULL)
            return;
        copy->length = l->length;
        copy->next = into->lengths;
        into->lengths = copy;
    }
    into->null = into->null || from->null;
    into->found = into->found || from->found;
}

/* The slot of a literal or parameter; -1: it is neither. A number's minus stands where its node does. */
static int64_t slot_of(struct walk *walk, const PgQuery__Node *node, bool *negative)
{
    const char *shape = buf_at(&walk->shape->text);
    int64_t at;

    *negative = false;
    if (node_is(node, NODE(PARAM_REF)))
        return shape_slot(walk->shape, node->param_ref->location);
    if (!node_is(node, NODE(A_CONST)) || node->a_const->isnull)
        return -1;
    at = node->a_const->location;
    if (node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL || node->a_const->ival->ival >= 0 || at < 0 ||
        (uint64_t)at + 2 >= buf_bytes(&walk->shape->text) || shape[at] != '-')
        return shape_slot(walk->shape, at);
    *negative = true;
    return shape_slot(walk->shape, at + (shape[at + 1] == ' ' ? 2 : 1));
}

bool constant_of(struct walk *walk, const PgQuery__Node *node, uint32_t column_type, uint32_t assumed,
                 struct restriction *evidence)
{
    bool integral = cast_rounds(TYPE_NUMERIC, column_type);
    bool negative;
    int64_t slot;

    while (node_is(node, NODE(TYPE_CAST))) {
        assumed =
            cast_of(node->type_cast->type_name, false, column_type, is_text_or_plain(node->type_cast->arg));
        if (assumed == 0 || !cast_keeps(column_type, assumed))
            return false;
        node = node->type_cast->arg;
        if (assumed == TYPE_NUMERIC && integral && node_is(node, NODE(TYPE_CAST)))
            return false; /* rounds what comes from further inside */
        integral = cast_rounds(TYPE_NUMERIC, assumed);
    }
    if (node_is(node, NODE(A_CONST)) && node->a_const->isnull) {
        evidence->null = true;
        evidence->found = true;
        return true;
    }
    slot = slot_of(walk, node, &negative);
    return slot >= 0 && add_slot(walk, evidence,
                                 (struct tenant_ref){ .slot = (uint32_t)slot,
                                                      .type_oid = column_type,
                                                      .cast_oid = assumed,
                                                      .negative = negative });
}

/* Does the item leave the list's common type to the column? A number does not: 1 and 2.5 have one shape. */
static bool is_modest(const PgQuery__Node *item, uint32_t column_type)
{
    if (node_is(item, NODE(TYPE_CAST)))
        return type_named(item->type_cast->type_name, false) == column_type;
    if (node_is(item, NODE(A_CONST)))
        return item->a_const->isnull || item->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL;
    return node_is(item, NODE(PARAM_REF));
}

bool constants_of(struct walk *walk, PgQuery__Node *const *items, size_t count, int64_t element,
                  uint32_t column_type, uint32_t assumed, struct restriction *evidence)
{
    bool modest = true;

    for (size_t i = 0; i < count; i++) {
        const PgQuery__Node *item = items[i];

        if (element >= 0) /* each row is compared by itself */
            item = node_is(item, NODE(ROW_EXPR)) && (size_t)element < item->row_expr->n_args
                       ? item->row_expr->args[element]
                       : NULL;
        modest = modest && (element >= 0 || is_modest(item, column_type));
        if (!constant_of(walk, item, column_type, assumed, evidence))
            return false;
    }
    for (struct restriction_slot *slot = evidence->slots; slot != NULL && count > 1 && !modest;
         slot = slot->next)
        slot->ref.untyped = true;
    return count > 0;
}

static bool array_items(struct walk *walk, const PgQuery__AArrayExpr *array, uint32_t column_type,
                        uint32_t assumed, struct restriction *evidence)
{
    uint32_t cast = assumed;

    if (!constants_of(walk, array->elements, array->n_elements, -1, column_type, cast, evidence))
        return false;
    for (struct restriction_slot *slot = evidence->slots; slot != NULL && cast == 0; slot = slot->next)
        slot->ref.untyped = true;
    return true;
}

bool elements_of(struct walk *walk, const PgQuery__Node *array, uint32_t column_type, uint32_t assumed,
                 bool rows, struct restriction *evidence)
{
    bool negative;
    int64_t slot;

    if (node_is(array, NODE(TYPE_CAST))) { /* of an array: casts its elements */
        assumed = cast_of(array->type_cast->type_name, true, column_type, true);
        array = array->type_cast->arg;
        if (assumed == 0 || !cast_keeps(column_type, assumed) || node_is(array, NODE(TYPE_CAST)))
            return false;
    }
    if (node_is(array, NODE(A_ARRAY_EXPR)))
        return array_items(walk, array->a_array_expr, column_type, assumed, evidence);
    slot = slot_of(walk, array, &negative);
    if (slot < 0 ||
        (node_is(array, NODE(A_CONST)) && array->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL))
        return false;
    return add_slot(walk, evidence,
                    (struct tenant_ref){ .slot = (uint32_t)slot,
                                         .type_oid = column_type,
                                         .cast_oid = assumed,
                                         .elements = true,
                                         .nulls = rows });
}

static int64_t array_slot(struct walk *walk, const PgQuery__Node *array)
{
    bool negative;

    if (node_is(array, NODE(TYPE_CAST)))
        array = array->type_cast->arg;
    return slot_of(walk, array, &negative);
}

bool length_of(struct walk *walk, const PgQuery__Node *other, const PgQuery__Node *array,
               struct restriction *evidence)
{
    int64_t slot = array_slot(walk, other);
    int64_t tenants = array_slot(walk, array);
    struct restriction_length *length;

    if (slot < 0 || tenants < 0)
        return false;
    length = walk_alloc(walk, sizeof *length);
    if (length == NULL)
        return false;
    length->length = (struct tenant_length){ .slot = (uint32_t)slot, .array = (uint32_t)tenants };
    length->next = evidence->lengths;
    evidence->lengths = length;
    return true;
}
