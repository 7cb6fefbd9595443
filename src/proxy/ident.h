/* ident.h - ident_file: PostgreSQL's pg_ident.conf. Which system user (or certificate name) may be which
 * database user, by named maps. Immutable once read; any thread. */
#ifndef PGSHUNT_PROXY_IDENT_H
#define PGSHUNT_PROXY_IDENT_H

#include <stdbool.h>

#include "base/error.h"

struct ident;

/* `path` "" : no maps. false: F0000, with file and line. */
bool ident_read(const char *path, struct ident **ident, struct error *err);
void ident_free(struct ident *ident); /* NULL is fine */
/* `map` NULL: only who is called the same. */
bool ident_allows(const struct ident *ident, const char *map, const char *system_user, const char *user);

#endif
