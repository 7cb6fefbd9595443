/* declare.h - the small grammar of what [events] declares: tables and functions with what is to be known of
 * them. [schema.]name [(key = value, …)] , … Names are taken as they stand, without quotes and in their own
 * case; the first dot ends the schema. Pure. */
#ifndef PGSHUNT_BASE_DECLARE_H
#define PGSHUNT_BASE_DECLARE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

enum { DECLARE_OPTIONS_MAX = 6 };

struct declared {
    struct slice schema; /* .at NULL: not given */
    struct slice name;
    size_t option_count;
    struct {
        struct slice key, value;
    } options[DECLARE_OPTIONS_MAX];
};

enum declare_result { DECLARE_ITEM, DECLARE_END, DECLARE_BAD };

/* The next item of a list; `at` begins at 0. BAD: `err` says what was expected (22023). */
enum declare_result declare_next(const char *list, size_t *at, struct declared *item, struct error *err);
/* .at NULL: not given. */
struct slice declare_option(const struct declared *item, const char *key);
/* How many items a list that has been checked has. */
size_t declare_count(const char *list);
/* Every item well-formed, with options among `keys` ("a|b|c"; "": none) only, each once? */
bool declare_check(const char *what, const char *list, const char *keys, struct error *err);

#endif
