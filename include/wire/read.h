/* read.h - a bounded cursor over a message body. A read past the end sets `bad` and yields zeros or empty slices, so
 * that a reader checks once, at the end: read_done(). */
#ifndef PGSHUNT_WIRE_READ_H
#define PGSHUNT_WIRE_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "wire/msg.h"

struct read {
    const char *at, *end;
    bool bad;
};

struct read read_bytes_of(const char *bytes, size_t count);
struct read read_msg(const struct msg *msg);

uint8_t read_u8(struct read *read);
uint16_t read_u16(struct read *read); /* network order */
uint32_t read_u32(struct read *read);
int32_t read_i32(struct read *read);
struct slice read_text(struct read *read);               /* up to a NUL, which is consumed and not counted */
struct slice read_slice(struct read *read, size_t bytes);
size_t read_left(const struct read *read);
bool read_done(const struct read *read);                 /* nothing left, nothing bad */

/* Field `code` ('S', 'C', 'M', 'D', 'H' …) of an ErrorResponse or NoticeResponse body; empty if absent. */
struct slice read_error_field(const struct msg *msg, char code);

#endif
