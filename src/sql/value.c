/* value.c - the content of a hole as a tenant, or as an array of tenants.
 * Owns:   which type a literal or parameter is written in.
 * Leaves: quotes to literal.c, arrays to array.c, canonical forms to tenant.c.
 * Thread: any.   Start at: value_read(), value_open_array().
 * A value goes the server's way: read as the type that it is written in, then as the cast nearest to it, then
 * as the tenant column's. What one of these does not take as it is, is bad: nothing is rounded here. */
#include "sql/value.h"

#include <stdlib.h>
#include <string.h>

#include "sql/type.h"

bool value_is_plain_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return text[digits] == '\0' && digits > 0 && digits < 10 && (text[0] != '0' || digits == 1);
}

/* By way of the cast to the column. */
static bool convert(const struct tenant_ref *ref, const char *text, char tenant[TENANT_BYTES_MAX])
{
    char cast[TENANT_BYTES_MAX];

    if (ref->cast_oid == 0 || ref->cast_oid == ref->type_oid)
        return tenant_canonical(ref->type_oid, slice_of(text), tenant);
    return tenant_canonical(ref->cast_oid, slice_of(text), cast) &&
           tenant_canonical(ref->type_oid, slice_of(cast), tenant);
}

static enum value_reading read_literal(const struct value_place *place, const struct tenant_ref *ref,
                                       char tenant[TENANT_BYTES_MAX])
{
    enum hole_kind kind = (enum hole_kind)place->shape->holes[place->hole].kind;
    char content[TENANT_BYTES_MAX + 1];
    char *text = content + 1;

    if (kind == HOLE_BITS || !shape_literal(place->shape, place->text, place->hole, text, TENANT_BYTES_MAX))
        return VALUE_BAD;
    /* A number in a text column is converted by the server, which may write it another way. */
    if (kind == HOLE_NUMBER &&
        (type_family(ref->type_oid) == FAMILY_TEXT || type_family(ref->cast_oid) == FAMILY_TEXT) &&
        (ref->negative || !value_is_plain_number(text)))
        return VALUE_BAD;
    if (ref->negative) {
        if (kind != HOLE_NUMBER)
            return VALUE_BAD;
        content[0] = '-';
        text = content;
    }
    return convert(ref, text, tenant) ? VALUE_TENANT : VALUE_BAD;
}

/* What is declared for the parameter; 0: nothing. */
static uint32_t declared_type(const struct parameters *params, uint32_t number)
{
    uint32_t declared =
        params->types != NULL && number - 1 < params->type_count ? params->types[number - 1] : 0;

    return declared == TYPE_UNKNOWN ? 0 : declared;
}

/* The type that the client writes in: as declared, else as the statement casts it, else the column's. A type
 * of the user's own beside an enum is that enum. */
static uint32_t written_type(const struct tenant_ref *ref, uint32_t declared)
{
    if (declared >= TYPE_FIRST_OWN && ref->type_oid == TYPE_ENUM && declared != PLAN_TYPE_OTHER)
        return TYPE_ENUM;
    if (declared != 0)
        return declared;
    return ref->cast_oid != 0 ? ref->cast_oid : ref->type_oid;
}

/* NULL, LATER or BAD, or TENANT where there is something to be read. */
static enum value_reading look_param(const struct value_place *place, uint32_t *number)
{
    const struct parameters *params = place->params;

    *number = shape_param(place->shape, place->text, place->hole);
    if (params == NULL || *number == 0 || *number > params->count)
        return VALUE_LATER;
    if (params->values[*number - 1].at == NULL)
        return VALUE_NULL;
    return params->formats != NULL && params->formats[*number - 1] > 1 ? VALUE_BAD : VALUE_TENANT;
}

static bool is_binary(const struct parameters *params, uint32_t number)
{
    return params->formats != NULL && params->formats[number - 1] == 1;
}

static enum value_reading read_param(const struct value_place *place, const struct tenant_ref *ref,
                                     char tenant[TENANT_BYTES_MAX])
{
    const struct parameters *params = place->params;
    char first[TENANT_BYTES_MAX];
    enum value_reading reading;
    struct slice value;
    uint32_t number, type;
    bool fine;

    reading = look_param(place, &number);
    if (reading != VALUE_TENANT)
        return reading;
    value = params->values[number - 1];
    type = written_type(ref, declared_type(params, number));
    if (!is_binary(params, number))
        fine = tenant_canonical(type, value, first);
    else
        fine =
            !(ref->untyped && declared_type(params, number) == 0) && tenant_from_binary(type, value, first);
    return fine && convert(ref, first, tenant) ? VALUE_TENANT : VALUE_BAD;
}

enum value_reading value_read(const struct value_place *place, const struct tenant_ref *ref,
                              char tenant[TENANT_BYTES_MAX])
{
    return place->shape->holes[place->hole].kind == HOLE_PARAM ? read_param(place, ref, tenant)
                                                               : read_literal(place, ref, tenant);
}

/* ---- arrays ---- */

static enum value_reading open_literal(const struct value_place *place, struct value_array *array)
{
    const struct hole *hole = &place->shape->holes[place->hole];

    if (hole->kind == HOLE_BITS || hole->kind == HOLE_NUMBER)
        return VALUE_BAD;
    array->content = malloc((size_t)hole->bytes + 1); /* no content is longer than its literal */
    if (array->content == NULL)
        return VALUE_NO_MEMORY;
    if (!shape_literal(place->shape, place->text, place->hole, array->content, (size_t)hole->bytes + 1)) {
        value_close_array(array);
        return VALUE_BAD;
    }
    array_open_text(&array->reader, slice_of(array->content));
    return VALUE_TENANT;
}

/* The bytes of a parameter that is an array, without regard to its elements' type. */
static enum value_reading open_param(const struct value_place *place, struct value_array *array,
                                     uint32_t *declared)
{
    const struct parameters *params = place->params;
    enum value_reading reading;
    uint32_t number;

    reading = look_param(place, &number);
    if (reading != VALUE_TENANT)
        return reading;
    *declared = declared_type(params, number);
    if (is_binary(params, number) && type_family(*declared) != FAMILY_TEXT)
        return array_open_binary(&array->reader, params->values[number - 1]) ? VALUE_TENANT : VALUE_BAD;
    array_open_text(&array->reader, params->values[number - 1]); /* text is the same in both formats */
    return VALUE_TENANT;
}

/* Which type the elements are written in. 0: one that is not understood. */
static uint32_t element_type(const struct value_array *array, const struct tenant_ref *ref, uint32_t declared)
{
    uint32_t element = declared == 0 || type_family(declared) == FAMILY_TEXT ? 0 : type_element(declared);
    bool own = ref->type_oid == TYPE_ENUM && declared >= TYPE_FIRST_OWN && declared != PLAN_TYPE_OTHER;

    if (declared != 0 && type_family(declared) != FAMILY_TEXT && element == 0 && !own)
        return 0;
    if (!array->reader.binary)
        return element != 0 ? element : written_type(ref, 0);
    if (ref->type_oid == TYPE_ENUM && array->reader.element_oid >= TYPE_FIRST_OWN)
        return TYPE_ENUM;
    if (element != 0 && element != array->reader.element_oid)
        return 0; /* the server refuses it */
    return type_family(array->reader.element_oid) == FAMILY_NONE ? 0 : array->reader.element_oid;
}

enum value_reading value_open_array(const struct value_place *place, const struct tenant_ref *ref,
                                    struct value_array *array)
{
    enum value_reading reading;
    uint32_t declared = 0;

    *array = (struct value_array){ 0 };
    if (place->shape->holes[place->hole].kind == HOLE_PARAM)
        reading = open_param(place, array, &declared);
    else
        reading = open_literal(place, array);
    if (reading != VALUE_TENANT)
        return reading;
    if (array->reader.binary && array->reader.left == 0)
        array->type_oid = ref->type_oid; /* an empty array may say any type */
    else
        array->type_oid = element_type(array, ref, declared);
    if (array->type_oid != 0)
        return VALUE_TENANT;
    value_close_array(array);
    return VALUE_BAD;
}

enum value_reading value_next(struct value_array *array, const struct tenant_ref *ref,
                              char tenant[TENANT_BYTES_MAX])
{
    char element[TENANT_BYTES_MAX];
    char first[TENANT_BYTES_MAX];
    struct slice value = { element, 0 };
    bool fine;

    switch (array_next(&array->reader, element, sizeof element, &value.bytes)) {
    case ARRAY_END:
        array->ended = true;
        return VALUE_NULL;
    case ARRAY_NULL: /* under array_nulls = off, NULL is a text */
        return !array->reader.binary && type_family(array->type_oid) == FAMILY_TEXT ? VALUE_BAD : VALUE_NULL;
    case ARRAY_BAD:
        return VALUE_BAD;
    case ARRAY_ELEMENT:
        break;
    }
    if (value.bytes >= sizeof element)
        return VALUE_BAD;
    fine = array->reader.binary ? tenant_from_binary(array->type_oid, value, first)
                                : tenant_canonical(array->type_oid, value, first);
    return fine && convert(ref, first, tenant) ? VALUE_TENANT : VALUE_BAD;
}

void value_close_array(struct value_array *array)
{
    free(array->content);
    array->content = NULL;
}

enum value_reading value_count(const struct value_place *place, size_t *count)
{
    struct value_array array = { 0 };
    uint32_t declared = 0;
    enum value_reading reading;
    enum array_step step;
    size_t bytes;

    *count = 0;
    reading = place->shape->holes[place->hole].kind == HOLE_PARAM ? open_param(place, &array, &declared)
                                                                  : open_literal(place, &array);
    if (reading == VALUE_NULL)
        return VALUE_TENANT;
    if (reading != VALUE_TENANT)
        return reading;
    while ((step = array_next(&array.reader, NULL, 0, &bytes)) == ARRAY_ELEMENT || step == ARRAY_NULL)
        ++*count;
    value_close_array(&array);
    return step == ARRAY_END ? VALUE_TENANT : VALUE_BAD;
}
