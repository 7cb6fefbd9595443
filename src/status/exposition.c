/* exposition.c - see exposition.h.   Start at: exposition_sample(). */
#include "status/exposition.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *exposition_content_type(bool open_metrics)
{
    return open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                        : "text/plain; version=0.0.4; charset=utf-8";
}

static const char *type_name(enum exposition_type type)
{
    return type == EXPOSITION_COUNTER ? "counter" : type == EXPOSITION_GAUGE ? "gauge" : "histogram";
}

/* Both formats: a backslash, a line break and (in a label) a quote are escaped. */
static void append_escaped(struct buf *out, const char *text, bool label)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            buf_append_text(out, "\\\\");
        else if (*text == '\n')
            buf_append_text(out, "\\n");
        else if (*text == '"' && label)
            buf_append_text(out, "\\\"");
        else
            buf_append(out, text, 1);
    }
}

void exposition_family(struct exposition *to, const char *name, enum exposition_type type, const char *help)
{
    size_t bytes = strlen(name);

    to->family = name;
    /* OpenMetrics names a counter's family without the suffix of its samples. */
    if (to->open_metrics && type == EXPOSITION_COUNTER && bytes > 6 &&
        strcmp(name + bytes - 6, "_total") == 0)
        bytes -= 6;
    buf_append_format(to->out, "# HELP %.*s ", (int)bytes, name);
    append_escaped(to->out, help, false);
    buf_append_format(to->out, "\n# TYPE %.*s %s\n", (int)bytes, name, type_name(type));
}

static void append_number(struct buf *out, double value)
{
    if (isnan(value))
        buf_append_text(out, "NaN");
    else if (isinf(value))
        buf_append_text(out, value > 0 ? "+Inf" : "-Inf");
    else if (value == floor(value) && fabs(value) < 1e15)
        buf_append_format(out, "%.0f", value);
    else
        buf_append_format(out, "%.9g", value);
}

/* One line: the family's name with a suffix, the labels and perhaps one more, the value. */
static void append_line(struct exposition *to, const char *suffix, const struct exposition_label *labels,
                        const char *bound, double value)
{
    const char *before = "{";

    buf_append_format(to->out, "%s%s", to->family, suffix);
    for (; labels != NULL && labels->name != NULL; labels++) {
        buf_append_format(to->out, "%s%s=\"", before, labels->name);
        append_escaped(to->out, labels->value == NULL ? "" : labels->value, true);
        buf_append_text(to->out, "\"");
        before = ",";
    }
    if (bound != NULL) {
        buf_append_format(to->out, "%sle=\"%s\"", before, bound);
        before = ",";
    }
    buf_append_text(to->out, *before == ',' ? "} " : " ");
    append_number(to->out, value);
    buf_append_text(to->out, "\n");
}

void exposition_sample(struct exposition *to, const struct exposition_label *labels, double value)
{
    append_line(to, "", labels, NULL, value);
}

void exposition_histogram(struct exposition *to, const struct exposition_label *labels, const double *bounds,
                          size_t bound_count, const double *counts, double sum)
{
    double within = 0;
    char bound[32];

    for (size_t i = 0; i < bound_count; i++) {
        within += counts[i];
        snprintf(bound, sizeof bound, to->open_metrics && bounds[i] == floor(bounds[i]) ? "%.1f" : "%g",
                 bounds[i]);
        append_line(to, "_bucket", labels, bound, within);
    }
    within += counts[bound_count];
    append_line(to, "_bucket", labels, "+Inf", within);
    append_line(to, "_sum", labels, NULL, sum);
    append_line(to, "_count", labels, NULL, within);
}

void exposition_end(struct exposition *to)
{
    if (to->open_metrics)
        buf_append_text(to->out, "# EOF\n");
}
