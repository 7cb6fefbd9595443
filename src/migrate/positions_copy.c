/* positions_copy.c - see positions_copy.h.   Start at: positions_copy_put(). */
#include "migrate/positions_copy.h"

#include <inttypes.h>
#include <stdlib.h>

#include "migrate/copyrow.h"

struct positions_copy {
    struct migration *m;
    unsigned columns, position_column;
    const char *copy_in;
    struct positions_block block;
};

struct positions_copy *positions_copy_new(struct migration *m, unsigned columns, unsigned position_column,
                                          const char *copy_in)
{
    struct positions_copy *copy = calloc(1, sizeof *copy);

    if (copy == NULL)
        return NULL;
    copy->m = m;
    copy->columns = columns;
    copy->position_column = position_column;
    copy->copy_in = copy_in;
    return copy;
}

void positions_copy_free(struct positions_copy *copy)
{
    free(copy);
}

bool positions_copy_begin(struct positions_copy *copy, struct error *err)
{
    return positions_draw(copy->m, &copy->block, (size_t)copy->m->settings.batch_size, err);
}

bool positions_copy_end(struct positions_copy *copy, struct error *err)
{
    return positions_keep(copy->m, &copy->block, err);
}

/* The block is used up in the middle of a batch. */
static bool next_block(struct positions_copy *copy, struct error *err)
{
    struct pg *pg = copy->m->target_pg;

    return pg_copy_put(pg, copyrow_trailer, err) && pg_copy_end(pg, NULL, err) &&
           positions_copy_end(copy, err) && positions_copy_begin(copy, err) &&
           pg_copy_in(pg, copy->copy_in, err) && pg_copy_put(pg, copyrow_header, err);
}

static bool is_full(const struct positions_copy *copy, int64_t position)
{
    const struct positions_block *block = &copy->block;

    return block->used == block->drawn && (block->used == 0 || block->taken_by[block->used - 1] != position);
}

/* An integer of so many bytes in network order. false: it does not fit. */
static bool write_integer(char *out, size_t bytes, int64_t value)
{
    uint64_t bits = (uint64_t)value;

    if ((bytes == 2 && value > INT16_MAX) || (bytes == 4 && value > INT32_MAX) || value < 0)
        return false;
    for (size_t i = 0; i < bytes; i++)
        out[i] = (char)(bits >> (8 * (bytes - 1 - i)));
    return true;
}

/* The row without its mark and with another position: the count, what stands before the position, the
 * position, what stands behind it. */
static bool put_row(struct positions_copy *copy, struct slice row, struct slice field, struct slice mark,
                    int64_t given, struct error *err)
{
    const char count[2] = { (char)(copy->columns >> 8), (char)copy->columns };
    const char *end = mark.at - 4; /* its length stands before it */
    char integer[8];
    struct pg *pg = copy->m->target_pg;

    if (!write_integer(integer, field.bytes, given))
        return error_set(err, "22003", "position %" PRId64 " does not fit into the column of %s", given,
                         copy->m->tables[0].target.qualified);
    return pg_copy_put(pg, (struct slice){ count, sizeof count }, err) &&
           pg_copy_put(pg, (struct slice){ row.at + 2, (size_t)(field.at - row.at) - 2 }, err) &&
           pg_copy_put(pg, (struct slice){ integer, field.bytes }, err) &&
           pg_copy_put(pg, (struct slice){ field.at + field.bytes, (size_t)(end - field.at) - field.bytes },
                       err);
}

bool positions_copy_put(struct positions_copy *copy, struct slice row, int64_t position, bool *put,
                        struct error *err)
{
    struct slice field, mark;
    int64_t given;

    *put = false;
    if (!copyrow_field(row, copy->columns + 1, copy->position_column, &field) || field.at == NULL ||
        field.bytes > sizeof(int64_t) || !copyrow_field(row, copy->columns + 1, copy->columns, &mark) ||
        mark.at == NULL || mark.bytes != 1)
        return error_set(err, "08P01", "a row of store \"%s\" is not readable", copy->m->source->name);
    *put = mark.at[0] == 0;
    return (!is_full(copy, position) || next_block(copy, err)) &&
           positions_next(&copy->block, position, !*put, &given, err) &&
           (!*put || put_row(copy, row, field, mark, given, err));
}
