/* key.c - see key.h.
 * Leaves: which columns make a key to stream.c, what a value is to value.c.
 * Thread: any.   Start at: key_each(). */
#include "sql/key.h"

#include <string.h>

#include "sql/value.h"

/* The values of one column of a reference, each with its NUL. */
struct values {
    struct buf texts;
    size_t count;
};

static bool give_up(const char **why, const char *reason)
{
    *why = reason;
    return false;
}

static bool take(struct values *values, enum value_reading reading, const char *text, const char **why)
{
    switch (reading) {
    case VALUE_TENANT:
        break;
    case VALUE_NO_MEMORY:
        return false;
    case VALUE_LATER:
        return give_up(why, "the stream is a parameter whose value is not known yet");
    case VALUE_NULL:
        return give_up(why, "NULL stands where a stream should be named");
    case VALUE_BAD:
        return give_up(why, "the stream's value cannot be read as its column's type");
    }
    if (values->count == STREAM_KEYS_MAX)
        return give_up(why, "the statement names too many streams");
    values->count++;
    buf_append(&values->texts, text, strlen(text) + 1);
    return !buf_failed(&values->texts);
}

/* A NULL among the elements equals nothing. */
static bool take_elements(struct values *values, const struct value_place *place,
                          const struct tenant_ref *ref, const char **why)
{
    char text[TENANT_BYTES_MAX];
    struct value_array array;
    enum value_reading reading = value_open_array(place, ref, &array);
    bool fine = true;

    if (reading != VALUE_TENANT)
        return take(values, reading, NULL, why);
    while (fine && !array.ended) {
        reading = value_next(&array, ref, text);
        if (reading != VALUE_NULL)
            fine = take(values, reading, text, why);
    }
    value_close_array(&array);
    return fine;
}

static bool take_slot(struct values *values, struct value_place *place, const struct tenant_ref *ref,
                      const char **why)
{
    char text[TENANT_BYTES_MAX];

    if (ref->slot >= place->shape->slot_count)
        return give_up(why, "the statement and its plan do not fit");
    place->hole = place->shape->slots[ref->slot].first;
    do {
        enum value_reading reading = ref->elements ? VALUE_NULL : value_read(place, ref, text);

        if (!(ref->elements ? take_elements(values, place, ref, why) : take(values, reading, text, why)))
            return false;
        place->hole = place->shape->holes[place->hole].next;
    } while (place->hole != 0);
    return true;
}

static const char *value_at(const struct values *values, size_t index)
{
    const char *at = buf_at(&values->texts);

    while (index-- > 0)
        at += strlen(at) + 1;
    return at;
}

/* All combinations, counted like the digits of a number. */
static bool visit_all(struct values *values, size_t column_count, unsigned char kind, size_t *budget,
                      key_visitor *visit, void *who, const char **why)
{
    size_t at[STREAM_COLUMNS_MAX] = { 0 };
    struct buf key;
    size_t column;
    bool fine = true;

    for (column = 0; column < column_count; column++)
        if (values[column].count == 0)
            return true;
    buf_init(&key);
    do {
        if ((*budget)-- == 0) {
            *budget = 0;
            fine = give_up(why, "the statement names too many streams");
            break;
        }
        buf_clear(&key);
        buf_append(&key, &kind, 1);
        for (column = 0; column < column_count; column++) {
            const char *text = value_at(&values[column], at[column]);

            buf_append(&key, text, strlen(text) + 1);
        }
        fine = !buf_failed(&key) && visit(who, buf_slice(&key));
        for (column = 0; column < column_count && ++at[column] == values[column].count; column++)
            at[column] = 0;
    } while (fine && column < column_count);
    buf_done(&key);
    return fine;
}

/* The reference whose columns stand from *index on; *index moves behind it. */
static bool read_group(const struct plan_statement *statement, struct value_place *place, size_t *index,
                       size_t *budget, key_visitor *visit, void *who, const char **why)
{
    struct values values[STREAM_COLUMNS_MAX] = { 0 };
    const struct stream_ref *first = &statement->streams[*index];
    size_t column_count = 0;
    bool fine = true;

    for (size_t i = 0; i < STREAM_COLUMNS_MAX; i++)
        buf_init(&values[i].texts);
    for (; *index < statement->stream_count && statement->streams[*index].group == first->group; ++*index) {
        const struct stream_ref *stream = &statement->streams[*index];

        column_count = stream->column + 1u;
        fine = fine && take_slot(&values[stream->column], place, &stream->ref, why);
    }
    fine = fine && visit_all(values, column_count, first->kind, budget, visit, who, why);
    for (size_t i = 0; i < STREAM_COLUMNS_MAX; i++)
        buf_done(&values[i].texts);
    return fine;
}

bool key_each(const struct plan_statement *statement, struct slice text, const struct shape *shape,
              const struct parameters *params, key_visitor *visit, void *who, const char **why)
{
    struct value_place place = { .text = text, .shape = shape, .params = params };
    size_t index = 0, budget = STREAM_KEYS_MAX;
    bool fine = true;

    *why = NULL;
    while (fine && index < statement->stream_count)
        fine = read_group(statement, &place, &index, &budget, visit, who, why);
    return fine;
}

/* ---- the rows of an INSERT ---- */

/* One row: its holes stand in holes[]. */
static void visit_row(const struct plan_statement *statement, struct value_place *place, const size_t *holes,
                      struct buf *key, stream_visitor *visit, void *who)
{
    char text[TENANT_BYTES_MAX];
    const char kind = KEY_STREAM;

    buf_clear(key);
    buf_append(key, &kind, 1);
    for (size_t i = 0; i < statement->sown_count; i++) {
        place->hole = holes[i];
        if (value_read(place, &statement->sown[i], text) != VALUE_TENANT)
            return;
        if (i + 1 < statement->sown_count)
            buf_append(key, text, strlen(text) + 1);
    }
    if (!buf_failed(key))
        visit(who, buf_slice(key), text);
}

void attribute_each_row(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                        const struct parameters *params, stream_visitor *visit, void *who)
{
    struct value_place place = { .text = text, .shape = shape, .params = params };
    size_t holes[STREAM_COLUMNS_MAX + 1], count = statement->sown_count;
    struct buf key;
    bool more = count > 0 && count <= STREAM_COLUMNS_MAX + 1;

    for (size_t i = 0; more && i < count; i++) {
        more = statement->sown[i].slot < shape->slot_count;
        holes[i] = more ? shape->slots[statement->sown[i].slot].first : 0;
    }
    buf_init(&key);
    for (size_t row = 0; more && row < STREAM_KEYS_MAX;
         row++) { /* rows that fold have their holes in the same order */
        visit_row(statement, &place, holes, &key, visit, who);
        for (size_t i = 0; i < count; i++) {
            holes[i] = shape->holes[holes[i]].next;
            more = more && holes[i] != 0;
        }
    }
    buf_done(&key);
}
