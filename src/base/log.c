/* log.c - builds one line on the stack and writes it at once.
 * Owns:   the level. Borrows the descriptor.
 * Leaves: what may be said to the caller: no secrets, no event payloads.
 * Thread: any. write(2) of one line keeps lines of two threads apart, so there is no lock.
 * Start at: struct line, then emit(). */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"

struct log {
    atomic_int level;
    enum log_format format;
    int fd;
};

static const char *const level_upper[] = { "DEBUG", "INFO", "WARNING", "ERROR" };
static const char *const level_lower[] = { "debug", "info", "warning", "error" };

struct log *log_new(enum log_level level, enum log_format format, int fd)
{
    struct log *log = malloc(sizeof *log);

    if (log == NULL)
        return NULL;
    atomic_init(&log->level, (int)level);
    log->format = format;
    log->fd = fd;
    return log;
}

void log_free(struct log *log)
{
    free(log);
}

void log_set_level(struct log *log, enum log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(name, level_lower[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool is_wanted(struct log *log, enum log_level level)
{
    return log != NULL && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* A line under construction. Text stops at CONTENT_MAX; what closes the line (quotes, brace, line end) has
 * the rest. */
enum { CLOSING_BYTES = 32, CONTENT_MAX = LOG_LINE_BYTES_MAX - CLOSING_BYTES };

struct line {
    enum log_format format;
    char text[LOG_LINE_BYTES_MAX];
    size_t bytes;
    bool cut; /* something did not fit; nothing more is added */
};

static void add(struct line *line, const char *bytes, size_t count)
{
    if (line->cut || line->bytes + count > CONTENT_MAX) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->bytes, bytes, count);
    line->bytes += count;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

/* Always fits: used once for each thing that was opened. */
static void add_closing(struct line *line, const char *text)
{
    size_t count = strlen(text);

    if (count > sizeof line->text - line->bytes)
        return;
    memcpy(line->text + line->bytes, text, count);
    line->bytes += count;
}

/* Bytes of the UTF-8 character at `at`; 0: none that is valid and complete. A NUL byte ends every text, so
 * that looking one byte ahead of a good one never leaves it. */
static size_t character_bytes(const unsigned char *at)
{
    size_t count;

    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xC2 || at[0] > 0xF4)
        return 0;
    count = at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
        (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F))
        return 0;
    return count;
}

static bool is_control(const unsigned char *at, size_t count)
{
    if (count == 1)
        return at[0] < 0x20 || at[0] == 0x7F;
    return count == 2 && at[0] == 0xC2 && at[1] < 0xA0; /* C1: a terminal obeys them too */
}

static void add_escape(struct line *line, const unsigned char *at, size_t count)
{
    char escape[8];

    if (count == 0 && line->format == LOG_JSON)
        snprintf(escape, sizeof escape, "\\ufffd");
    else if (count == 1 && at[0] == '\n')
        snprintf(escape, sizeof escape, "\\n");
    else if (count == 1 && at[0] == '\t')
        snprintf(escape, sizeof escape, "\\t");
    else if (line->format == LOG_JSON)
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(count == 2 ? at[1] : at[0]));
    else
        snprintf(escape, sizeof escape, "\\x%02x", (unsigned)(count == 2 ? at[1] : at[0]));
    add_text(line, escape);
}

/* Input ends up here: nothing in it may begin a new line, end a quoted value, or move a terminal's cursor. */
static void add_escaped(struct line *line, const char *text, bool quoted)
{
    const unsigned char *at = (const unsigned char *)text;

    while (*at != '\0' && !line->cut) {
        size_t count = character_bytes(at);

        if (count == 0 || is_control(at, count)) {
            add_escape(line, at, count);
        } else {
            if (quoted && (*at == '"' || *at == '\\'))
                add(line, "\\", 1);
            add(line, (const char *)at, count);
        }
        at += count == 0 ? 1 : count;
    }
}

static void add_pair_json(struct line *line, const char *name, const char *value)
{
    const size_t before = line->bytes;

    add_text(line, ",\"");
    add_escaped(line, name, true);
    add_text(line, "\":\"");
    if (line->cut) {
        line->bytes = before; /* half a name would not be JSON */
        return;
    }
    add_escaped(line, value, true);
    add_closing(line, "\"");
}

static bool needs_quotes(const char *value)
{
    return value[0] == '\0' || strpbrk(value, " =\"\\\t\r\n") != NULL;
}

static void add_pair(struct line *line, const char *name, const char *value)
{
    if (line->cut)
        return;
    if (line->format == LOG_JSON) {
        add_pair_json(line, name, value);
        return;
    }
    add_text(line, " ");
    add_escaped(line, name, false);
    add_text(line, "=");
    if (!needs_quotes(value)) {
        add_escaped(line, value, false);
        return;
    }
    add_text(line, "\"");
    add_escaped(line, value, true);
    add_closing(line, "\"");
}

static void begin(struct line *line, enum log_format format, enum log_level level, const char *module)
{
    struct timespec now;
    struct tm utc;
    char stamp[64];
    size_t bytes;

    line->format = format;
    line->bytes = 0;
    line->cut = false;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    bytes =
        strftime(stamp, sizeof stamp, format == LOG_JSON ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &utc);
    snprintf(stamp + bytes, sizeof stamp - bytes, ".%03ld", now.tv_nsec / 1000000L);
    if (format == LOG_TEXT) {
        add_text(line, stamp);
        add_text(line, " ");
        add_text(line, level_upper[level]);
        add_text(line, " ");
        add_text(line, module);
        add_text(line, ": ");
        return;
    }
    add_text(line, "{\"time\":\"");
    add_text(line, stamp);
    add_text(line, "Z\",\"level\":\"");
    add_text(line, level_lower[level]);
    add_closing(line, "\"");
    add_pair_json(line, "module", module);
}

static void add_message(struct line *line, const char *message)
{
    if (line->format == LOG_JSON)
        add_pair_json(line, "message", message);
    else
        add_escaped(line, message, false);
}

static void emit(const struct log *log, struct line *line)
{
    ssize_t wrote;

    if (line->cut)
        add_closing(line, line->format == LOG_JSON ? ",\"cut\":true" : " ...");
    add_closing(line, line->format == LOG_JSON ? "}\n" : "\n");
    do
        wrote = write(log->fd, line->text, line->bytes);
    while (wrote < 0 && errno == EINTR);
    /* A full disk or a closed pipe loses the line: there is nowhere left to report it. */
}

void log_line(struct log *log, enum log_level level, const char *module, const char *fmt, ...)
{
    char message[CONTENT_MAX];
    struct line line;
    va_list args;

    if (!is_wanted(log, level))
        return;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    begin(&line, log->format, level, module);
    add_message(&line, message);
    emit(log, &line);
}

void log_error(struct log *log, enum log_level level, const char *module, const struct error *err,
               const char *fmt, ...)
{
    char message[CONTENT_MAX];
    struct line line;
    va_list args;
    int bytes;

    if (!is_wanted(log, level))
        return;
    va_start(args, fmt);
    bytes = vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    if (bytes >= 0 && (size_t)bytes < sizeof message)
        snprintf(message + bytes, sizeof message - (size_t)bytes, ": %s", err->message);
    begin(&line, log->format, level, module);
    add_message(&line, message);
    add_pair(&line, "sqlstate", err->sqlstate);
    if (err->detail[0] != '\0')
        add_pair(&line, "detail", err->detail);
    if (err->hint[0] != '\0')
        add_pair(&line, "hint", err->hint);
    emit(log, &line);
}

void log_event(struct log *log, enum log_level level, const char *module, const char *event,
               const struct log_field *fields, unsigned field_count)
{
    struct line line;

    if (!is_wanted(log, level))
        return;
    begin(&line, log->format, level, module);
    add_message(&line, event);
    for (unsigned i = 0; i < field_count; i++)
        add_pair(&line, fields[i].name, fields[i].value == NULL ? "" : fields[i].value);
    emit(log, &line);
}
