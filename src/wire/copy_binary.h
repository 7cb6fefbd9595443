/* copy_binary.h - binary COPY data, for copy_rows.c. */
#ifndef PGSHUNT_WIRE_COPY_BINARY_H
#define PGSHUNT_WIRE_COPY_BINARY_H

#include "wire/copy_rows.h"

enum copy_event copy_binary_read(struct copy_rows *rows, const char *bytes, size_t count, size_t *used);

#endif
