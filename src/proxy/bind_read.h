/* bind_read.h - the bodies of Parse and Bind, read into arrays that one loop lends. Pure. */
#ifndef PGSHUNT_PROXY_BIND_READ_H
#define PGSHUNT_PROXY_BIND_READ_H

#include <stdbool.h>

#include "base/slice.h"
#include "sql/attribute.h"
#include "wire/msg.h"

/* One per loop, used within a handler only: what is read stays until the next one is. */
struct bind_scratch {
    struct slice *values;
    uint16_t *formats;
    uint32_t *types;
    size_t capacity;
};

struct parse {
    struct slice name, text;
    size_t type_count; /* they are in the scratch */
};

struct bind {
    struct slice portal, name;
    struct parameters params;
};

void bind_scratch_done(struct bind_scratch *scratch);
/* false: malformed, or no memory. */
bool bind_read_parse(struct bind_scratch *scratch, const struct msg *msg, struct parse *parse);
/* `whole` false: only the beginning of the message is there; what could be read counts. */
bool bind_read(struct bind_scratch *scratch, const char *bytes, size_t count, bool whole, struct bind *bind);

#endif
