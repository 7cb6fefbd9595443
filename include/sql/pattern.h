/* pattern.h - the tenant in the id of a stream, by a regular expression with one group ([events]
 * stream_pattern). Immutable and reference counted (atomic): a schema has one, and so has every plan that
 * needs it. Any thread. */
#ifndef PGSHUNT_SQL_PATTERN_H
#define PGSHUNT_SQL_PATTERN_H

#include <stdbool.h>

struct pattern;

/* A POSIX extended regular expression. NULL: not one with one group, or no memory. */
struct pattern *pattern_new(const char *expression);
struct pattern *pattern_take(struct pattern *pattern); /* NULL is fine */
void pattern_give(struct pattern *pattern);            /* NULL is fine */
/* What the group matches in `stream`, into `tenant` (which may be `stream` itself). false: nothing, or all
 * too long. */
bool pattern_find(const struct pattern *pattern, const char *stream, char *tenant, unsigned tenant_bytes);

#endif
