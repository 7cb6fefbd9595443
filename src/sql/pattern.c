/* pattern.c - see pattern.h. regexec() may be called by several threads at once. */
#include "sql/pattern.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
    int refs; /* atomic */
    regex_t expression;
};

struct pattern *pattern_new(const char *expression)
{
    struct pattern *pattern = calloc(1, sizeof *pattern);

    if (pattern == NULL)
        return NULL;
    pattern->refs = 1;
    if (regcomp(&pattern->expression, expression, REG_EXTENDED) != 0) {
        free(pattern);
        return NULL;
    }
    if (pattern->expression.re_nsub == 1)
        return pattern;
    pattern_give(pattern);
    return NULL;
}

struct pattern *pattern_take(struct pattern *pattern)
{
    if (pattern != NULL)
        __atomic_add_fetch(&pattern->refs, 1, __ATOMIC_RELAXED);
    return pattern;
}

void pattern_give(struct pattern *pattern)
{
    if (pattern == NULL || __atomic_sub_fetch(&pattern->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    regfree(&pattern->expression);
    free(pattern);
}

bool pattern_find(const struct pattern *pattern, const char *stream, char *tenant, unsigned tenant_bytes)
{
    regmatch_t matches[2];
    size_t bytes;

    if (regexec(&pattern->expression, stream, 2, matches, 0) != 0 || matches[1].rm_so < 0)
        return false;
    bytes = (size_t)(matches[1].rm_eo - matches[1].rm_so);
    if (bytes == 0 || bytes >= tenant_bytes)
        return false;
    memmove(tenant, stream + matches[1].rm_so, bytes);
    tenant[bytes] = '\0';
    return true;
}
