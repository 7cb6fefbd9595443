/* uuid.h - libuuid behind three functions. Text form: 36 characters, lower case. Any thread. */
#ifndef PGSHUNT_BASE_UUID_H
#define PGSHUNT_BASE_UUID_H

#include <stdbool.h>

#include "base/slice.h"

enum { UUID_BYTES = 16, UUID_TEXT_BYTES = 37 };

void uuid_make_text(char text[UUID_TEXT_BYTES]); /* random */
void uuid_from_bytes(const unsigned char bytes[UUID_BYTES], char text[UUID_TEXT_BYTES]);

/* Every spelling PostgreSQL's uuid_in accepts (upper case, braces, hyphens after any group of four digits).
 * false: not a uuid. */
bool uuid_canonical(struct slice spelling, char text[UUID_TEXT_BYTES]);

#endif
