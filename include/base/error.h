/* error.h - an error is a value: SQLSTATE, message, detail, hint.
 * The caller lends the space, so that reporting cannot fail. Messages read as PostgreSQL writes them
 * (lower case, no full stop); the hint says what to type next. Any thread; no allocation. */
#ifndef PGSHUNT_BASE_ERROR_H
#define PGSHUNT_BASE_ERROR_H

#include <stdbool.h>

struct error {
    char sqlstate[6];
    char message[512];
    char detail[1024];
    char hint[512];
};

/* Sets sqlstate and message, empties detail and hint. Returns false, so that a failing function can end with
 * `return error_set(...)`. Longer text is cut at a UTF-8 boundary. */
bool error_set(struct error *err, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Add to an error that is set. Return false. */
bool error_detail(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool error_hint(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* 53200 "out of memory". Returns false. */
bool error_no_memory(struct error *err);

void error_clear(struct error *err);
bool error_is(const struct error *err, const char *sqlstate);
bool error_is_set(const struct error *err);

#endif
