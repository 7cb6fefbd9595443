/* catalogue.c - the life of a published catalogue. */
#include "route/catalogue.h"

#include <stdlib.h>

struct catalogue *catalogue_new(uint64_t generation, size_t store_count)
{
    struct catalogue *catalogue = calloc(1, sizeof *catalogue);

    if (catalogue == NULL)
        return NULL;
    catalogue->refs = 1;
    catalogue->generation = generation;
    catalogue->store_count = store_count;
    return catalogue;
}

struct catalogue *catalogue_take(struct catalogue *catalogue)
{
    __atomic_add_fetch(&catalogue->refs, 1, __ATOMIC_RELAXED);
    return catalogue;
}

void catalogue_give(struct catalogue *catalogue)
{
    if (catalogue == NULL || __atomic_sub_fetch(&catalogue->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (size_t i = 0; i < catalogue->store_count; i++)
        if (catalogue->schemas[i] != NULL)
            schema_give(catalogue->schemas[i]);
    free(catalogue);
}
