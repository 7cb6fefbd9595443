/* report.c - see report.h. */
#include "proxy/report.h"

#include <stdlib.h>
#include <string.h>

static const char *const slot_names[REPORT_SLOTS] = {
    [REPORT_CLIENT_ENCODING] = "client_encoding",
    [REPORT_DATE_STYLE] = "DateStyle",
    [REPORT_INTERVAL_STYLE] = "IntervalStyle",
    [REPORT_TIME_ZONE] = "TimeZone",
    [REPORT_APPLICATION_NAME] = "application_name",
    [REPORT_STANDARD_CONFORMING_STRINGS] = "standard_conforming_strings",
};

const char *report_slot_name(enum report_slot slot)
{
    return slot_names[slot];
}

void report_done(struct report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free(report->pairs[i].name);
        free(report->pairs[i].value);
    }
    free(report->pairs);
    memset(report, 0, sizeof *report);
}

static struct parameter_pair *find(const struct report *report, struct slice name)
{
    for (size_t i = 0; i < report->count; i++)
        if (slice_is(name, report->pairs[i].name))
            return &report->pairs[i];
    return NULL;
}

static void note_slot(struct report *report, size_t index)
{
    for (size_t i = 0; i < REPORT_SLOTS; i++)
        if (strcmp(slot_names[i], report->pairs[index].name) == 0)
            report->slots[i] = (int)index + 1;
}

static void add(struct report *report, struct slice name, char *value)
{
    struct parameter_pair *more = realloc(report->pairs, (report->count + 1) * sizeof *more);
    char *copy = more == NULL ? NULL : strndup(name.at, name.bytes);

    if (more != NULL)
        report->pairs = more;
    if (copy == NULL) {
        free(value);
        return;
    }
    more[report->count++] = (struct parameter_pair){ copy, value };
    note_slot(report, report->count - 1);
}

bool report_note(struct report *report, struct slice name, struct slice value)
{
    struct parameter_pair *pair = find(report, name);
    char *copy;

    if (pair != NULL && slice_is(value, pair->value))
        return false;
    copy = strndup(value.bytes == 0 ? "" : value.at, value.bytes);
    if (copy == NULL)
        return true;
    report->version++;
    if (pair == NULL) {
        add(report, name, copy);
        return true;
    }
    free(pair->value);
    pair->value = copy;
    return true;
}

const char *report_get(const struct report *report, const char *name)
{
    const struct parameter_pair *pair = find(report, slice_of(name));

    return pair == NULL ? NULL : pair->value;
}

const char *report_slot(const struct report *report, enum report_slot slot)
{
    return report->slots[slot] == 0 ? NULL : report->pairs[report->slots[slot] - 1].value;
}

bool report_is_alike(const struct report *told, const struct report *server)
{
    for (size_t i = 0; i < REPORT_SLOTS; i++) {
        const char *wanted = report_slot(told, i), *there = report_slot(server, i);

        if (wanted != NULL && (there == NULL || strcmp(wanted, there) != 0))
            return false;
    }
    return true;
}
