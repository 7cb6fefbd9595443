/* log.h - the one logger: a line of text or of JSON on a file descriptor.
 * A log is shared by all threads (one write() per line). No secret and no event payload may ever be passed. */
#ifndef PGSHUNT_BASE_LOG_H
#define PGSHUNT_BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log;

struct log *log_new(enum log_level level, enum log_format format, int fd); /* borrows fd; NULL: no memory */
void log_free(struct log *log);
void log_set_level(struct log *log, enum log_level level);
bool log_level_parse(const char *name, enum log_level *level); /* debug|info|warning|error */

/* `module` is a static name ("proxy", "runner"). A NULL log discards. */
void log_line(struct log *log, enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Message, detail and hint of `err` behind what was being done. */
void log_error(struct log *log, enum log_level level, const char *module, const struct error *err, const char *fmt,
               ...) __attribute__((format(printf, 5, 6)));

/* An event of DESIGN §6.3 ("Migration started") with named fields; value text is copied. */
struct log_field {
    const char *name, *value;
};
void log_event(struct log *log, enum log_level level, const char *module, const char *event,
               const struct log_field *fields, unsigned field_count);

#endif
