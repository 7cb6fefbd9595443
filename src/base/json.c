/* json.c - see json.h. */
#include "base/json.h"

void json_text(struct buf *out, const char *text)
{
    buf_append(out, "\"", 1);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte == '"' || byte == '\\')
            buf_append_format(out, "\\%c", byte);
        else if (byte < 0x20)
            buf_append_format(out, "\\u%04x", byte);
        else
            buf_append(out, text, 1);
    }
    buf_append(out, "\"", 1);
}
