/* derive.h - the keys of plain passwords, derived once: PBKDF2 with 4096 rounds takes milliseconds, too long
 * for an event loop to do at every login. A bounded cache, least recently used out first; one per loop. It
 * knows a password only by a keyed hash. Pure but for randomness. */
#ifndef PGSHUNT_PROXY_DERIVE_H
#define PGSHUNT_PROXY_DERIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/scram.h"

struct derive;

struct derive *derive_new(size_t entries_max); /* NULL: no memory, no randomness */
void derive_free(struct derive *derive);       /* NULL is fine */
/* A scram_deriver (wire/scram.h); `who` is a struct derive. false: OpenSSL refused. */
bool derive_keys(void *who, const char *password, const unsigned char *salt, size_t salt_bytes,
                 int iterations, struct scram_keys *keys);
size_t derive_computed(const struct derive *derive); /* how often it was not in the cache: for tests */

#endif
