/* tap_key.h - the number that stands for one tenant's tap in a store: its advisory lock (one 64-bit key), and
 * its row, sequences, function and triggers by name. FNV-1a (64 bits) over schema, NUL, tenant: stable, the
 * same in every release and on every machine. Two tenants with the same key are refused by tap_install(). */
#ifndef PGSHUNT_MIGRATE_TAP_KEY_H
#define PGSHUNT_MIGRATE_TAP_KEY_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t fnv_add(uint64_t hash, const char *text) /* with its NUL, so that parts stay apart */
{
    do {
        hash ^= (unsigned char)*text;
        hash *= UINT64_C(0x100000001b3);
    } while (*text++ != '\0');
    return hash;
}

enum { TAP_KEY_TEXT_BYTES = 24 };

static inline int64_t tap_key(const char *schema, const char *tenant)
{
    return (int64_t)fnv_add(fnv_add(UINT64_C(0xcbf29ce484222325), schema), tenant);
}

#endif
