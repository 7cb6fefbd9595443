/* copy_binary.c - see copy_rows.h: the header, and rows of counted fields. A piece (a count, a length, the
 * last of a field) that completes a row is not used before the row has been spoken of: it is looked at twice.
 * Thread: any.   Start at: copy_binary_read(). */
#include "wire/copy_binary.h"

#include <string.h>

enum binary_state { IN_HEADER, IN_EXTENSION, AT_COUNT, AT_LENGTH, IN_DATA, AT_END, BROKEN };

enum {
    SIGNATURE_BYTES = 11,
    HEADER_BYTES = SIGNATURE_BYTES + 4 + 4,
    CRITICAL_FLAGS = (int)0xffff0000, /* of which PostgreSQL knows none (the one for oids is gone) */
};

static enum copy_event break_off(struct copy_rows *rows, const char *why)
{
    rows->state = BROKEN;
    return copy_break_off(rows, why);
}

/* A word of `wanted` bytes: those kept, and those at `bytes`. false: not enough, and those are kept now.
 * The caller uses what it brought by use_word(). */
static bool see_word(struct copy_rows *rows, size_t wanted, const char *bytes, size_t count, size_t *used)
{
    size_t missing = wanted - rows->word_bytes, here = count - *used;

    if (here < missing) {
        memcpy(rows->word + rows->word_bytes, bytes + *used, here);
        rows->word_bytes += here;
        *used = count;
        return false;
    }
    memcpy(rows->word + rows->word_bytes, bytes + *used, missing);
    return true;
}

static void use_word(struct copy_rows *rows, size_t wanted, size_t *used)
{
    *used += wanted - rows->word_bytes;
    rows->word_bytes = 0;
}

static int32_t word_at(const struct copy_rows *rows, size_t at)
{
    const unsigned char *word = rows->word + at;

    return (int32_t)((uint32_t)word[0] << 24 | (uint32_t)word[1] << 16 | (uint32_t)word[2] << 8 | word[3]);
}

static enum copy_event on_header(struct copy_rows *rows, size_t *used)
{
    int32_t extension = word_at(rows, SIGNATURE_BYTES + 4);

    if (memcmp(rows->word, "PGCOPY\n\377\r\n", SIGNATURE_BYTES) != 0 ||
        (word_at(rows, SIGNATURE_BYTES) & CRITICAL_FLAGS) != 0 || extension < 0)
        return break_off(rows, "the header is not one of binary COPY");
    use_word(rows, HEADER_BYTES, used);
    rows->left = (uint64_t)extension;
    rows->state = extension > 0 ? IN_EXTENSION : AT_COUNT;
    return COPY_MORE;
}

static enum copy_event on_count(struct copy_rows *rows, size_t *used)
{
    int16_t count = (int16_t)((uint16_t)(rows->word[0] << 8) | rows->word[1]);

    if (rows->fields == 0) { /* seen for the first time */
        rows->line = rows->lines + 1;
        rows->reported = false;
        rows->field = 0;
        rows->content_bytes = 0;
    }
    if (count == -1) {
        use_word(rows, 2, used);
        rows->state = AT_END;
        return COPY_MORE;
    }
    if (count < 1 || (unsigned)count != rows->options.columns)
        return break_off(rows, "it has another number of columns than the statement");
    use_word(rows, 2, used);
    rows->fields = (unsigned)count;
    rows->state = AT_LENGTH;
    return COPY_MORE;
}

static void next_field(struct copy_rows *rows)
{
    rows->content_bytes = rows->reported ? rows->content_bytes : 0;
    if (++rows->field < rows->fields) {
        rows->state = AT_LENGTH;
        return;
    }
    rows->state = AT_COUNT;
    rows->fields = 0;
    rows->lines++;
}

static bool is_wanted(const struct copy_rows *rows)
{
    return rows->field == rows->options.column && !rows->reported;
}

static enum copy_event tell(struct copy_rows *rows, const char *at, size_t bytes)
{
    rows->reported = true;
    rows->content[bytes] = '\0';
    rows->value = (struct slice){ at, bytes };
    return COPY_VALUE;
}

static enum copy_event on_length(struct copy_rows *rows, size_t *used)
{
    int32_t bytes = word_at(rows, 0);

    if (bytes < -1)
        return break_off(rows, "a field has a negative length");
    if (is_wanted(rows) && bytes <= 0)
        return tell(rows, bytes < 0 ? NULL : rows->content, 0);
    if (is_wanted(rows) && bytes > COPY_VALUE_BYTES_MAX)
        return copy_unread(rows, "its column is longer than a tenant may be");
    use_word(rows, 4, used);
    rows->left = bytes < 0 ? 0 : (uint64_t)bytes;
    rows->state = IN_DATA;
    if (rows->left == 0)
        next_field(rows);
    return COPY_MORE;
}

static enum copy_event on_data(struct copy_rows *rows, const char *bytes, size_t count, size_t *used)
{
    size_t here = count - *used < rows->left ? count - *used : (size_t)rows->left;

    if (is_wanted(rows)) {
        memcpy(rows->content + rows->content_bytes, bytes + *used, here);
        if (here == rows->left)
            return tell(rows, rows->content, rows->content_bytes + here);
        rows->content_bytes += here;
    }
    *used += here;
    rows->left -= here;
    if (rows->left == 0)
        next_field(rows);
    return COPY_MORE;
}

static void skip_extension(struct copy_rows *rows, size_t count, size_t *used)
{
    size_t here = count - *used < rows->left ? count - *used : (size_t)rows->left;

    *used += here;
    rows->left -= here;
    if (rows->left == 0)
        rows->state = AT_COUNT;
}

enum copy_event copy_binary_read(struct copy_rows *rows, const char *bytes, size_t count, size_t *used)
{
    enum copy_event event = COPY_MORE;

    *used = 0;
    while (*used < count && event == COPY_MORE) {
        switch ((enum binary_state)rows->state) {
        case IN_HEADER:
            if (see_word(rows, HEADER_BYTES, bytes, count, used))
                event = on_header(rows, used);
            break;
        case IN_EXTENSION:
            skip_extension(rows, count, used);
            break;
        case AT_COUNT:
            if (see_word(rows, 2, bytes, count, used))
                event = on_count(rows, used);
            break;
        case AT_LENGTH:
            if (see_word(rows, 4, bytes, count, used))
                event = on_length(rows, used);
            break;
        case IN_DATA:
            event = on_data(rows, bytes, count, used);
            break;
        case AT_END: /* more data is the server's error, and no row */
        case BROKEN:
            *used = count;
            break;
        }
    }
    return event;
}
