/* share.h - the name under which clients share a prepared statement: it follows from the text, the parameter
 * types, and what decides how names in the text are understood. Equal ones are equal on every server; nobody
 * keeps a list. Pure. */
#ifndef PGSHUNT_PROXY_SHARE_H
#define PGSHUNT_PROXY_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { SHARE_NAME_BYTES = 49 }; /* "pgshunt_", 160 bits as hex, a NUL */

/* `context`: a number that stands for search_path and role. False: OpenSSL refused. */
bool share_name(struct slice text, const uint32_t *types, size_t type_count, uint64_t context,
                char name[SHARE_NAME_BYTES]);

#endif
