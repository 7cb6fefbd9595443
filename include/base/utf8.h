/* utf8.h - which bytes are a character. Pure. */
#ifndef PGSHUNT_BASE_UTF8_H
#define PGSHUNT_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character at `at`, as PostgreSQL accepts them (no surrogates, no longer forms than needed); 0:
 * none that is whole within `bytes`. Looks at no byte behind one that is wrong. */
size_t utf8_bytes(const char *at, size_t bytes);

#endif
