/* encode.h - values between their text and PostgreSQL's binary form, for drivers that ask for it (asyncpg
 * does for every column, psycopg for numbers). Pure; any thread. */
#ifndef PGSHUNT_ADMIN_ENCODE_H
#define PGSHUNT_ADMIN_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rows.h"
#include "base/slice.h"

/* typlen of pg_type: bytes of a fixed-size type, -1 for the others. */
int16_t encode_type_bytes(enum rows_type type);

/* Appends the binary form of `text`. false: it is not a value of `type`; nothing is appended. */
bool encode_binary(enum rows_type type, const char *text, struct buf *out);

/* A parameter's binary value as text, by the type that Parse named (0: none, then it is text). false: a type
 * we do not read, or a value of the wrong length. `out` is appended to. */
bool encode_text_of(uint32_t type_oid, struct slice binary, struct buf *out);

#endif
