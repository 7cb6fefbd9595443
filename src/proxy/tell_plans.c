/* tell_plans.c - see tell_plans.h. */
#include "proxy/tell_plans.h"

#include <string.h>

#include "sql/print.h"

struct telling {
    struct rows *rows;
    struct buf text;
    size_t told;
};

/* A message may hold several statements, each with a source of its own. */
static const char *source_of(const struct plan *plan)
{
    const char *source = NULL;

    for (size_t i = 0; i < plan->statement_count; i++) {
        const char *one = print_source(&plan->statements[i]);

        if (source != NULL && one != NULL && strcmp(source, one) != 0)
            return "several statements, several ways";
        source = one == NULL ? source : one;
    }
    return source;
}

static void on_entry(void *who, const struct planner_entry *entry)
{
    struct telling *telling = who;
    enum statement_class class = CLASS_NEUTRAL;
    unsigned tables = 0;
    char names[64];

    if (telling->told++ >= PLANS_TOLD_MAX)
        return;
    for (size_t i = 0; i < entry->plan->statement_count; i++) {
        tables |= entry->plan->statements[i].tables;
        if (entry->plan->statements[i].class > class)
            class = entry->plan->statements[i].class;
    }
    buf_clear(&telling->text);
    print_shape(entry->shape, entry->standard_conforming_strings, &telling->text);
    print_tables(tables, names, sizeof names);
    rows_text(telling->rows, buf_failed(&telling->text) ? "" : buf_text(&telling->text));
    rows_text(telling->rows, print_class(class));
    rows_text(telling->rows, names[0] == '\0' ? NULL : names);
    rows_text(telling->rows, source_of(entry->plan));
    rows_number(telling->rows, (int64_t)entry->hits);
    rows_number(telling->rows, 1); /* it was parsed once, to be here */
    rows_number(telling->rows, (int64_t)entry->parse_us);
    rows_number(telling->rows, entry->used_s);
}

void tell_plans(const struct planner *planner, struct rows *rows)
{
    static const struct rows_heading headings[] = {
        { "shape", ROWS_TEXT },    { "class", ROWS_TEXT },  { "tables", ROWS_TEXT },
        { "tenant", ROWS_TEXT },   { "hits", ROWS_INT8 },   { "misses", ROWS_INT8 },
        { "parse_us", ROWS_INT8 }, { "used_s", ROWS_INT8 }, { NULL, ROWS_TEXT },
    };
    struct telling telling = { .rows = rows };

    rows_columns(rows, headings);
    buf_init(&telling.text);
    planner_each(planner, on_entry, &telling);
    buf_done(&telling.text);
}
