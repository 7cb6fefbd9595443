/* copy_rows.c - see copy_rows.h: text and csv. Binary is in copy_binary.c.
 * Owns:   lines, quotes, escapes, the end marker; by PostgreSQL's rules, its errors included: what the server
 * refuses for sure makes the rest `broken`.   Thread: any.   Start at: enum state, then copy_rows_read(). */
#include "wire/copy_rows.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "wire/copy_binary.h"

/* One state per thing that the next byte decides. Text has its escapes everywhere, csv inside quotes. */
enum state {
    AT_ROW,          /* nothing of the next row has come */
    IN_FIELD,        /* outside of quotes */
    IN_QUOTES,       /* csv */
    AFTER_QUOTE,     /* csv, quote = escape: it ended the quotes, or is the first of two */
    AFTER_ESCAPE,    /* csv, inside quotes, quote <> escape */
    AFTER_BACKSLASH, /* text */
    AFTER_MARK,      /* text: `\.`, a line end must follow */
    AFTER_MARK_CR,   /* text: and it is \r\n */
    CSV_BACKSLASH,   /* csv: the row begins with a backslash */
    CSV_MARK,        /* csv: with `\.` */
    AFTER_CR,        /* the row has ended; \n may belong to its end */
    AT_END,          /* the end marker: what follows is ignored by the server, too */
    BROKEN,
};

enum line_end { END_UNKNOWN, END_NL, END_CR, END_CRNL };

/* Bits of copy_rows.special. */
enum { IN_FIELD_BIT = 1, BEHIND_BIT = 2, IN_QUOTES_BIT = 4 };

static void mark(struct copy_rows *rows, char c, unsigned bits)
{
    rows->special[(unsigned char)c] |= (unsigned char)bits;
}

void copy_rows_init(struct copy_rows *rows, const struct copy_options *options)
{
    memset(rows, 0, offsetof(struct copy_rows, content));
    rows->options = *options;
    rows->in_header = options->header;
    rows->line = 1;
    mark(rows, '\n', IN_FIELD_BIT | BEHIND_BIT | IN_QUOTES_BIT);
    mark(rows, '\r', IN_FIELD_BIT | BEHIND_BIT | IN_QUOTES_BIT);
    mark(rows, options->delimiter, options->count ? IN_FIELD_BIT | BEHIND_BIT : IN_FIELD_BIT);
    if (options->format == COPY_TEXT) {
        mark(rows, '\\', IN_FIELD_BIT | BEHIND_BIT);
        return;
    }
    mark(rows, options->quote, IN_FIELD_BIT | BEHIND_BIT | IN_QUOTES_BIT);
    mark(rows, options->escape, IN_QUOTES_BIT);
}

/* ---- the content of the wanted column ---- */

static bool is_wanted(const struct copy_rows *rows)
{
    return rows->field == rows->options.column && !rows->in_header && !rows->reported;
}

static void keep(struct copy_rows *rows, const char *bytes, size_t count)
{
    if (!is_wanted(rows) || count == 0)
        return;
    if (count > COPY_VALUE_BYTES_MAX - rows->content_bytes) {
        rows->too_long = true;
        return;
    }
    memcpy(rows->content + rows->content_bytes, bytes, count);
    rows->content_bytes += count;
}

static int digit_of(char c, int base)
{
    int value = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : 16;

    return value < base ? value : -1;
}

/* Up to `most` digits at *at, which moves behind them. The value of a byte, as PostgreSQL cuts it. */
static char read_digits(const char *text, size_t bytes, size_t *at, int base, int most)
{
    int value = 0;

    for (int i = 0; i < most && *at < bytes && digit_of(text[*at], base) >= 0; i++)
        value = value * base + digit_of(text[(*at)++], base);
    return (char)(value & 0xff);
}

/* Text format: the escape behind a backslash, which stands in front of *at. */
static char undo_escape(const char *text, size_t bytes, size_t *at)
{
    static const char names[] = "bfnrtv", values[] = "\b\f\n\r\t\v";
    char c = text[(*at)++];
    const char *name = c == '\0' ? NULL : strchr(names, c);

    if (name != NULL)
        return values[name - names];
    if (digit_of(c, 8) >= 0) {
        --*at;
        return read_digits(text, bytes, at, 8, 3);
    }
    if (c == 'x' && *at < bytes && digit_of(text[*at], 16) >= 0)
        return read_digits(text, bytes, at, 16, 2);
    return c;
}

static void undo_escapes(struct copy_rows *rows)
{
    size_t at = 0, out = 0;

    while (at < rows->content_bytes) {
        char c = rows->content[at++];

        if (c == '\\' && at < rows->content_bytes)
            c = undo_escape(rows->content, rows->content_bytes, &at);
        rows->content[out++] = c;
    }
    rows->content_bytes = out;
}

static bool is_null_mark(const struct copy_rows *rows)
{
    return rows->content_bytes == rows->options.null_bytes &&
           memcmp(rows->content, rows->options.null, rows->options.null_bytes) == 0;
}

static bool is_null(const struct copy_rows *rows)
{
    if (rows->options.format == COPY_TEXT)
        return is_null_mark(rows);
    if (!rows->quoted && is_null_mark(rows))
        return !rows->options.force_not_null;
    return rows->options.force_null && is_null_mark(rows);
}

/* ---- what is said of a row ---- */

enum copy_event copy_unread(struct copy_rows *rows, const char *why)
{
    rows->reported = true;
    rows->why = why;
    return COPY_UNREAD;
}

enum copy_event copy_break_off(struct copy_rows *rows, const char *why)
{
    rows->broken = true;
    return copy_unread(rows, why);
}

static enum copy_event break_off(struct copy_rows *rows, const char *why)
{
    rows->state = BROKEN;
    return copy_break_off(rows, why);
}

/* The wanted column is complete. */
static enum copy_event tell(struct copy_rows *rows)
{
    rows->reported = true;
    if (rows->too_long)
        return copy_unread(rows, "its column is longer than a tenant may be");
    if (is_null(rows)) {
        rows->value = (struct slice){ 0 };
        return COPY_VALUE;
    }
    if (rows->options.format == COPY_TEXT)
        undo_escapes(rows);
    rows->content[rows->content_bytes] = '\0';
    rows->value = (struct slice){ rows->content, rows->content_bytes };
    return COPY_VALUE;
}

/* A row ends here: COPY_MORE if all has been said of it. */
static enum copy_event tell_at_row_end(struct copy_rows *rows)
{
    if (rows->in_header)
        return COPY_MORE;
    if (is_wanted(rows))
        return tell(rows);
    if (!rows->reported)
        return copy_unread(rows, "it has too few columns");
    if (rows->options.count && rows->field + 1 != rows->options.columns && rows->why == NULL)
        return copy_unread(rows, "it has another number of columns than the table");
    return COPY_MORE;
}

static void begin_field(struct copy_rows *rows)
{
    if (!rows->reported) /* the value lent out stays until the next row */
        rows->content_bytes = 0;
    rows->quoted = rows->too_long = false;
}

static void begin_row(struct copy_rows *rows)
{
    rows->state = IN_FIELD;
    rows->field = 0;
    rows->reported = false;
    rows->why = NULL;
    rows->line = rows->lines + 1;
    begin_field(rows);
}

static void end_row(struct copy_rows *rows)
{
    rows->in_header = false;
    rows->lines++;
    rows->state = AT_ROW;
}

/* ---- bytes that mean something ---- */

/* A line end outside of quotes. *used moves behind it, if it has been told what it ends. */
static enum copy_event on_line_end(struct copy_rows *rows, char c, size_t *used)
{
    enum copy_event event = tell_at_row_end(rows);

    if (event != COPY_MORE)
        return event;
    if (c == '\n' ? rows->line_end == END_CR || rows->line_end == END_CRNL : rows->line_end == END_NL)
        return break_off(rows, "its line ends otherwise than the lines before it");
    ++*used;
    if (c == '\r' && rows->line_end != END_CR) {
        rows->state = AFTER_CR;
        return COPY_MORE;
    }
    rows->line_end = c == '\n' ? END_NL : END_CR;
    end_row(rows);
    return COPY_MORE;
}

static enum copy_event after_cr(struct copy_rows *rows, char c, size_t *used)
{
    if (c != '\n' && rows->line_end == END_CRNL)
        return break_off(rows, "its line ends otherwise than the lines before it");
    rows->line_end = c == '\n' ? END_CRNL : END_CR;
    *used += c == '\n';
    end_row(rows);
    return COPY_MORE;
}

static enum copy_event on_delimiter(struct copy_rows *rows, size_t *used)
{
    if (is_wanted(rows))
        return tell(rows);
    ++*used;
    rows->field++;
    begin_field(rows);
    return COPY_MORE;
}

static void count_line(struct copy_rows *rows, char c)
{
    if (c == (rows->line_end == END_CR || rows->line_end == END_CRNL ? '\r' : '\n'))
        rows->lines++;
}

/* Text: `\.` ends the copy, and what stands in front of it is a row. */
static enum copy_event after_backslash(struct copy_rows *rows, char c, size_t *used)
{
    if (c != '.') {
        count_line(rows, c);
        keep(rows, (const char[]){ '\\', c }, 2);
        rows->state = IN_FIELD;
    } else if (!rows->at_begin) {
        enum copy_event event = tell_at_row_end(rows);

        if (event != COPY_MORE)
            return event;
        rows->state = AFTER_MARK;
    } else {
        rows->state = AFTER_MARK;
    }
    ++*used;
    return COPY_MORE;
}

static enum copy_event after_mark(struct copy_rows *rows, char c, size_t *used)
{
    bool fits;

    if (rows->state == AFTER_MARK_CR)
        fits = c == '\n';
    else if (rows->line_end == END_UNKNOWN)
        fits = c == '\n' || c == '\r';
    else
        fits = c == (rows->line_end == END_NL ? '\n' : '\r');
    if (!fits)
        return break_off(rows, "its end marker is corrupt");
    ++*used;
    rows->state = rows->state == AFTER_MARK && rows->line_end == END_CRNL ? AFTER_MARK_CR : AT_END;
    return COPY_MORE;
}

/* Csv: `\.` alone on its line ended the copy until PostgreSQL 18, and is a row since. What follows is read
 * all the same: whoever ignores it is not hurt. */
static enum copy_event after_csv_mark(struct copy_rows *rows, char c, size_t *used)
{
    if (c != '\n' && c != '\r') {
        keep(rows, "\\.", 2);
        rows->state = IN_FIELD;
        return COPY_MORE;
    }
    if (rows->options.columns == 1 && !rows->reported)
        return copy_unread(rows, "it may be the end marker, or a row");
    rows->reported = true; /* nothing to be said of it */
    rows->why = "";
    return on_line_end(rows, c, used);
}

static enum copy_event begin(struct copy_rows *rows, char c, size_t *used)
{
    begin_row(rows);
    if (c != '\\')
        return COPY_MORE;
    if (rows->options.format == COPY_TEXT) {
        rows->state = AFTER_BACKSLASH;
        rows->at_begin = true;
    } else {
        rows->state = CSV_BACKSLASH;
    }
    ++*used;
    return COPY_MORE;
}

static enum copy_event in_field(struct copy_rows *rows, char c, size_t *used)
{
    if (c == '\n' || c == '\r')
        return on_line_end(rows, c, used);
    if (c == rows->options.delimiter)
        return on_delimiter(rows, used);
    ++*used;
    if (rows->options.format == COPY_TEXT) {
        rows->state = AFTER_BACKSLASH;
        rows->at_begin = false;
    } else {
        rows->state = IN_QUOTES;
        rows->quoted = true;
    }
    return COPY_MORE;
}

/* What stands inside quotes and means something: the quote, the escape, a line end to be counted. */
static enum copy_event in_quotes(struct copy_rows *rows, char c, size_t *used)
{
    const struct copy_options *options = &rows->options;

    ++*used;
    if (c == options->quote) {
        rows->state = options->escape == options->quote ? AFTER_QUOTE : IN_FIELD;
    } else if (c == options->escape) {
        rows->state = AFTER_ESCAPE;
    } else {
        count_line(rows, c);
        keep(rows, &c, 1);
    }
    return COPY_MORE;
}

/* One byte, in any state but those that skip. It may be looked at again in another state. */
static enum copy_event step(struct copy_rows *rows, char c, size_t *used)
{
    switch ((enum state)rows->state) {
    case AT_ROW:
        return begin(rows, c, used);
    case IN_FIELD:
        return in_field(rows, c, used);
    case IN_QUOTES:
        return in_quotes(rows, c, used);
    case AFTER_QUOTE:
        rows->state = c == rows->options.quote ? IN_QUOTES : IN_FIELD;
        if (rows->state == IN_QUOTES) {
            keep(rows, &c, 1);
            ++*used;
        }
        return COPY_MORE;
    case AFTER_ESCAPE:
        rows->state = IN_QUOTES;
        if (c == rows->options.quote || c == rows->options.escape) {
            keep(rows, &c, 1);
            ++*used;
        } else {
            keep(rows, &rows->options.escape, 1);
        }
        return COPY_MORE;
    case AFTER_BACKSLASH:
        return after_backslash(rows, c, used);
    case AFTER_MARK:
    case AFTER_MARK_CR:
        return after_mark(rows, c, used);
    case CSV_BACKSLASH:
        rows->state = c == '.' ? CSV_MARK : IN_FIELD;
        if (c == '.')
            ++*used;
        else
            keep(rows, "\\", 1);
        return COPY_MORE;
    case CSV_MARK:
        return after_csv_mark(rows, c, used);
    case AFTER_CR:
        return after_cr(rows, c, used);
    case AT_END:
    case BROKEN:
        break;
    }
    ++*used;
    return COPY_MORE;
}

#ifdef __SSE2__
/* Sixteen bytes at a time: a payload is long, and means nothing. */
static size_t skip_fast(const struct copy_rows *rows, unsigned bit, const char *bytes, size_t at,
                        size_t count)
{
    const char third = bit == IN_FIELD_BIT || rows->options.count ? rows->options.delimiter : '\n';
    const char fourth = rows->options.format == COPY_TEXT ? '\\' : rows->options.quote;
    const __m128i nl = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r'), other = _mm_set1_epi8(fourth);
    const __m128i more = _mm_set1_epi8(bit == IN_QUOTES_BIT ? rows->options.escape : third);

    for (; count - at >= 16; at += 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(bytes + at));
        __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(block, nl), _mm_cmpeq_epi8(block, cr));
        __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(block, other), _mm_cmpeq_epi8(block, more));
        int found = _mm_movemask_epi8(_mm_or_si128(ends, marks));

        if (found != 0)
            return at + (size_t)__builtin_ctz((unsigned)found);
    }
    return at;
}
#else
static size_t skip_fast(const struct copy_rows *rows, unsigned bit, const char *bytes, size_t at,
                        size_t count)
{
    (void)rows, (void)bit, (void)bytes, (void)count;
    return at;
}
#endif

/* The bytes from `at` on that mean nothing in this state; they are kept where they are wanted. */
static size_t skip_plain(struct copy_rows *rows, const char *bytes, size_t at, size_t count)
{
    size_t from = at;
    unsigned bit = rows->state == IN_QUOTES  ? IN_QUOTES_BIT
                   : rows->state != IN_FIELD ? 0
                   : rows->reported          ? BEHIND_BIT
                                             : IN_FIELD_BIT;

    if (bit == 0)
        return at;
    at = skip_fast(rows, bit, bytes, at, count);
    while (at < count && !(rows->special[(unsigned char)bytes[at]] & bit))
        at++;
    if (!rows->reported)
        keep(rows, bytes + from, at - from);
    return at;
}

enum copy_event copy_rows_read(struct copy_rows *rows, const char *bytes, size_t count, size_t *used)
{
    enum copy_event event = COPY_MORE;

    if (rows->options.format == COPY_BINARY)
        return copy_binary_read(rows, bytes, count, used);
    *used = 0;
    while (*used < count && event == COPY_MORE) {
        if (rows->state >= AT_END) {
            *used = count;
            break;
        }
        *used = skip_plain(rows, bytes, *used, count);
        if (*used < count)
            event = step(rows, bytes[*used], used);
    }
    return event;
}

enum copy_event copy_rows_end(struct copy_rows *rows)
{
    enum copy_event event;

    if (rows->options.format == COPY_BINARY || rows->state >= AFTER_CR || rows->state == AT_ROW)
        return COPY_MORE; /* binary: half a row is none */
    if (rows->state == AFTER_BACKSLASH || rows->state == CSV_BACKSLASH)
        keep(rows, "\\", 1);
    if (rows->state == CSV_MARK)
        keep(rows, "\\.", 2);
    if (rows->state == IN_QUOTES || rows->state == AFTER_ESCAPE || rows->state == AFTER_MARK ||
        rows->state == AFTER_MARK_CR)
        return break_off(rows, "it ends in the middle");
    rows->state = IN_FIELD;
    event = tell_at_row_end(rows);
    if (event == COPY_MORE)
        end_row(rows);
    return event;
}
