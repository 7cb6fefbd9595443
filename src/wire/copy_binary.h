/* copy_binary.h - binary COPY data, for copy_rows.c; and what the readers of both kinds say of a row. */
#ifndef PGSHUNT_WIRE_COPY_BINARY_H
#define PGSHUNT_WIRE_COPY_BINARY_H

#include "wire/copy_rows.h"

/* Its tenant cannot be read, and why (a static sentence). */
enum copy_event copy_unread(struct copy_rows *rows, const char *why);
/* The server refuses it. If it did not, nobody could tell the rows any more. */
enum copy_event copy_break_off(struct copy_rows *rows, const char *why);

enum copy_event copy_binary_read(struct copy_rows *rows, const char *bytes, size_t count, size_t *used);

#endif
