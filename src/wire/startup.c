/* startup.c - the untyped packets at the beginning of a connection.
 * Leaves: answers, and the negotiation of minor versions and options, to proxy/auth.
 * Thread: any.   Start at: startup_next(). */
#include "wire/startup.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "wire/read.h"

enum {
    STARTUP_PREFIX_BYTES = 8,                     /* length and code */
    CANCEL_BYTES_MIN = 12 + 4,                    /* length, code, pid and a key of protocol 3.0 … */
    CANCEL_BYTES_MAX = 12 + CANCEL_KEY_BYTES_MAX, /* … or of 3.2 */
};

static const char option_prefix[] = "_pq_.";

static enum wire_result bad_layout(struct error *err, const char *what)
{
    error_set(err, "08P01", "invalid startup packet layout: %s", what);
    return WIRE_BAD;
}

/* Perhaps not a packet at all: PostgreSQL logs it and answers nothing. */
static enum wire_result bad_length(struct startup *startup, struct error *err)
{
    startup->total_bytes = 0;
    error_set(err, "08P01", "invalid length of startup packet");
    return WIRE_BAD;
}

static bool add_parameter(struct startup *startup, struct slice name, struct slice value)
{
    const size_t prefix = sizeof option_prefix - 1;

    if (name.bytes >= prefix && memcmp(name.at, option_prefix, prefix) == 0) {
        if (startup->option_count == STARTUP_OPTIONS_MAX)
            return false;
        startup->options[startup->option_count++] = name;
        return true;
    }
    if (startup->parameter_count == STARTUP_PARAMETERS_MAX)
        return false;
    startup->parameters[startup->parameter_count].name = name;
    startup->parameters[startup->parameter_count].value = value;
    startup->parameter_count++;
    return true;
}

/* Names and values up to an empty name, which must be the last byte. */
static enum wire_result read_parameters(struct read *read, struct startup *startup, struct error *err)
{
    for (;;) {
        struct slice name = read_text(read), value;

        if (read->bad)
            return bad_layout(err, "expected terminator as last byte");
        if (name.bytes == 0)
            break;
        value = read_text(read);
        if (read->bad)
            return bad_layout(err, "expected terminator as last byte");
        if (!add_parameter(startup, name, value))
            return bad_layout(err, "too many parameters");
    }
    if (!read_done(read))
        return bad_layout(err, "expected terminator as last byte");
    return WIRE_MSG;
}

static enum wire_result read_session(struct read *read, uint32_t code, struct startup *startup,
                                     struct error *err)
{
    enum wire_result result;

    startup->kind = STARTUP_SESSION;
    startup->major = (uint16_t)(code >> 16);
    startup->minor = (uint16_t)code;
    if (startup->major != 3) {
        error_set(err, "0A000", "unsupported frontend protocol %u.%u: server supports 3.0 to 3.%d",
                  startup->major, startup->minor, STARTUP_MINOR_MAX);
        return WIRE_BAD;
    }
    result = read_parameters(read, startup, err);
    if (result != WIRE_MSG)
        return result;
    if (startup_get(startup, "user").bytes == 0) {
        error_set(err, "28000", "no PostgreSQL user name specified in startup packet");
        return WIRE_BAD;
    }
    return WIRE_MSG;
}

static enum wire_result read_cancel(struct read *read, struct startup *startup, struct error *err)
{
    if (startup->total_bytes < CANCEL_BYTES_MIN || startup->total_bytes > CANCEL_BYTES_MAX)
        return bad_length(startup, err);
    startup->kind = STARTUP_CANCEL;
    startup->cancel_pid = read_u32(read);
    startup->cancel_key = read_slice(read, read_left(read));
    return WIRE_MSG;
}

static void clear(struct startup *startup, size_t total_bytes)
{
    startup->kind = STARTUP_SESSION;
    startup->total_bytes = total_bytes;
    startup->major = startup->minor = 0;
    startup->cancel_pid = 0;
    startup->cancel_key = (struct slice){ NULL, 0 };
    startup->parameter_count = 0;
    startup->option_count = 0;
}

enum wire_result startup_next(const struct buf *in, struct startup *startup, struct error *err)
{
    struct read read = read_bytes_of(buf_at(in), buf_bytes(in));
    uint32_t length, code;

    if (read_left(&read) < 4)
        return WIRE_MORE;
    length = read_u32(&read);
    if (length < STARTUP_PREFIX_BYTES || length > STARTUP_BYTES_MAX + 4)
        return bad_length(startup, err);
    if (buf_bytes(in) < length)
        return WIRE_MORE;
    read = read_bytes_of(buf_at(in) + 4, length - 4);
    code = read_u32(&read);
    clear(startup, length);
    switch (code) {
    case STARTUP_CODE_CANCEL:
        return read_cancel(&read, startup, err);
    case STARTUP_CODE_SSL:
    case STARTUP_CODE_GSSENC:
        startup->kind = code == STARTUP_CODE_SSL ? STARTUP_SSL : STARTUP_GSSENC;
        return read_done(&read) ? WIRE_MSG : bad_length(startup, err);
    default:
        return read_session(&read, code, startup, err);
    }
}

struct slice startup_get(const struct startup *startup, const char *name)
{
    for (size_t i = startup->parameter_count; i > 0; i--) {
        if (slice_is(startup->parameters[i - 1].name, name))
            return startup->parameters[i - 1].value;
    }
    return (struct slice){ NULL, 0 };
}

/* ---- options ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One word of `options`, unescaped, appended to `word` (cleared first). false: no more. */
static bool next_word(struct slice options, size_t *at, struct buf *word)
{
    bool escaped = false;

    buf_clear(word);
    while (*at < options.bytes && is_space(options.at[*at]))
        ++*at;
    if (*at == options.bytes)
        return false;
    for (; *at < options.bytes; ++*at) {
        const char c = options.at[*at];

        if (is_space(c) && !escaped)
            break;
        if (c == '\\' && !escaped) {
            escaped = true;
            continue;
        }
        escaped = false;
        buf_append(word, &c, 1);
    }
    return true;
}

/* "name=value" from `word`'s byte `skip` on: the name goes to `name`, the value stays in `word`. */
static bool split(struct buf *word, size_t skip, struct buf *name)
{
    const char *start, *equals;
    size_t bytes;

    if (buf_bytes(word) <= skip)
        return false;
    start = buf_at(word) + skip;
    equals = memchr(start, '=', buf_bytes(word) - skip);
    if (equals == NULL || equals == start)
        return false;
    bytes = (size_t)(equals - start);
    for (size_t i = 0; i < bytes; i++) {
        const char c = start[i] == '-' ? '_' : start[i]; /* ParseLongOption() */

        buf_append(name, &c, 1);
    }
    buf_consume(word, skip + bytes + 1);
    return !buf_failed(name) && !buf_failed(word);
}

bool startup_options_next(struct slice options, size_t *at, struct buf *name, struct buf *value)
{
    size_t next = *at, skip = 2; /* "--name=value", "-cname=value" */

    buf_clear(name);
    if (!next_word(options, &next, value)) {
        *at = next;
        return false;
    }
    if (slice_is(buf_slice(value), "-c")) {
        skip = 0;
        if (!next_word(options, &next, value))
            return false;
    } else if (buf_bytes(value) < 2 ||
               (memcmp(buf_at(value), "--", 2) != 0 && memcmp(buf_at(value), "-c", 2) != 0)) {
        return false;
    }
    if (!split(value, skip, name))
        return false;
    *at = next;
    return true;
}

static bool is_name(struct slice text, const char *name)
{
    return text.bytes == strlen(name) && strncasecmp(text.at, name, text.bytes) == 0;
}

enum startup_value startup_setting(const struct startup *startup, const char *name, struct buf *value)
{
    struct slice options = startup_get(startup, "options");
    enum startup_value found = STARTUP_ABSENT;
    struct buf word_name, word;
    size_t at = 0;

    buf_clear(value);
    for (size_t i = startup->parameter_count; i > 0; i--)
        if (is_name(startup->parameters[i - 1].name, name)) {
            buf_append_slice(value, startup->parameters[i - 1].value);
            return buf_failed(value) ? STARTUP_UNKNOWN : STARTUP_FOUND;
        }
    buf_init(&word_name);
    buf_init(&word);
    while (startup_options_next(options, &at, &word_name, &word))
        if (is_name(buf_slice(&word_name), name)) {
            buf_clear(value);
            buf_append_slice(value, buf_slice(&word));
            found = STARTUP_FOUND;
        }
    if (at < options.bytes || buf_failed(&word_name) || buf_failed(&word) || buf_failed(value))
        found = STARTUP_UNKNOWN;
    buf_done(&word_name);
    buf_done(&word);
    return found;
}
