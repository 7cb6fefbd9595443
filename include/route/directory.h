/* directory.h - whose stream is it? A bounded memory of what stores have said and what commits have shown:
 * key (struct stream_finder in sql/attribute.h) -> tenant, least recently used out first. One loop's.
 *
 * An entry never expires: a unique constraint without the tenant column makes a stream belong to one tenant.
 * What may take a stream from its tenant (DELETE, an UPDATE of the tenant) is for the owner to see:
 * directory_clear(). That nobody has a stream is never kept: the next moment somebody may. */
#ifndef PGSHUNT_ROUTE_DIRECTORY_H
#define PGSHUNT_ROUTE_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/slice.h"

struct directory;

struct directory *directory_new(size_t bytes_max); /* NULL: no memory */
void directory_free(struct directory *directory);  /* NULL is fine */

/* false: not known. `tenant` "" : its events have no tenant. */
bool directory_find(struct directory *directory, struct slice key, char tenant[TENANT_BYTES_MAX]);
/* The latest word counts. What finds no memory is not kept. */
void directory_keep(struct directory *directory, struct slice key, const char *tenant);
void directory_forget(struct directory *directory, struct slice key);
void directory_clear(struct directory *directory);

size_t directory_count(const struct directory *directory);
size_t directory_bytes(const struct directory *directory);

#endif
