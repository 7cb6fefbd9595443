/* config_struct.h - the inside of a struct config, for config.c, which fills it from a file, and
 * config_reload.c, which compares two. Nobody else's. */
#ifndef PGSHUNT_BASE_CONFIG_STRUCT_H
#define PGSHUNT_BASE_CONFIG_STRUCT_H

#include <stdatomic.h>

#include <uthash.h>

#include "base/config.h"

struct config_store {
    char *name, *conninfo;
};

enum mapping { MAPPING_USER, MAPPING_DATABASE, MAPPINGS };

struct config_mapping {
    char *name, *tenant;
    UT_hash_handle hh;
};

struct config {
    atomic_uint references;
    char *values[CONFIG_KEYS];    /* NULL until given; defaults are filled in at the end */
    unsigned lines[CONFIG_KEYS];  /* where it was given; 0: nowhere */
    int64_t numbers[CONFIG_KEYS]; /* numbers, and flags as 0 and 1 */
    struct config_store *stores;
    size_t store_count;
    struct config_mapping *mappings[MAPPINGS]; /* uthash by name */
};

void config_free_stores(struct config *config);

#endif
