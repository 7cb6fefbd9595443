/* json.h - the one piece of JSON that every layer writes. Pure. */
#ifndef PGSHUNT_BASE_JSON_H
#define PGSHUNT_BASE_JSON_H

#include "base/buf.h"

/* `text` as a JSON string with its quotes. Control characters are escaped; the rest goes as it is (UTF-8). */
void json_text(struct buf *out, const char *text);

#endif
