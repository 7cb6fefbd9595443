/* copyrow.h - COPY as it comes from a server, binary and text: one message per row, the stream's header before the
 * first one, its trailer as the last one. Finds one field, leaves the rest as it is. Pure; all input is
 * hostile. */
#ifndef PGSHUNT_MIGRATE_COPYROW_H
#define PGSHUNT_MIGRATE_COPYROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* What a stream to a server begins and ends with. */
extern const struct slice copyrow_header, copyrow_trailer;

/* Cuts the header off the first message. false: it has none, or one with flags that we do not know. */
bool copyrow_skip_header(struct slice *message);
bool copyrow_is_trailer(struct slice message);
/* Field `index` of a row of exactly `count` fields. false: not such a row. `field.at` NULL: SQL NULL. */
bool copyrow_field(struct slice row, unsigned count, unsigned index, struct slice *field);
/* The same of a line of COPY TEXT, its fields as they stand there, without an escape undone. */
bool copyrow_text_field(struct slice line, unsigned count, unsigned index, struct slice *field);
/* Digits, a sign before them, and nothing else, in an int8. */
bool copyrow_text_integer(struct slice field, int64_t *value);
/* An int2, int4 or int8 in network order. false: neither. */
bool copyrow_integer(struct slice field, int64_t *value);

#endif
