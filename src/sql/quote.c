/* quote.c - an identifier as SQL text.
 * Thread: any.   Start at: quote_identifier(). */
#include "sql/quote.h"

#include <stdbool.h>

static bool needs_quotes(const char *text)
{
    if (!(*text >= 'a' && *text <= 'z') && *text != '_')
        return true;
    for (; *text != '\0'; text++)
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= '0' && *text <= '9') && *text != '_')
            return true;
    return false;
}

void quote_identifier(struct buf *value, const char *element)
{
    if (!needs_quotes(element)) {
        buf_append_text(value, element);
        return;
    }
    buf_append_text(value, "\"");
    for (; *element != '\0'; element++)
        buf_append(value, *element == '"' ? "\"\"" : element, *element == '"' ? 2 : 1);
    buf_append_text(value, "\"");
}
