/* corpus.c - reads the tables of this folder and compares what attribution says with what stands there.
 * A line is: statement ⇒ class | tables | tenants | evidence | around
 * README.md tells the words. Ends with "N rows, N shapes, N failed"; exit code 1 if a row failed, or if a
 * table has too few rows where the naive answer is wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/sql/fixture.h"

enum { VALUES_MAX = 16, COLUMNS = 5, TRAPS_MIN = 5, LINE_BYTES = 16 * 1024 };

static const struct word {
    const char *word, *means;
} names[] = { /* written {A} in a table */
              { "A", T1 },
              { "B", T2 },
              { "L", TA },
              { "Z", T9 }
};

static const struct word whys[] = {
    { "?partial", "not every reference" },
    { "?rows", "the tenants of the rows" },
    { "?later", "not known yet" },
    { "?value", "cannot be read as the tenant column's type" },
    { "?many", "too many tenants" },
    { "?nothing", "neither the statement nor anything around" },
    { "?around", "stands around the statement is not a value" },
    { "?setting", "setting was changed" },
    { "?comment", "comment" },
    { "?pattern", "declared pattern" },
};

static const struct {
    const char *name;
    uint32_t oid;
} types[] = {
    { "uuid", 2950 },   { "text", 25 },      { "varchar", 1043 }, { "int2", 21 },     { "int4", 23 },
    { "int8", 20 },     { "numeric", 1700 }, { "bool", 16 },      { "uuid[]", 2951 }, { "text[]", 1009 },
    { "int8[]", 1016 }, { "int4[]", 1007 },  { "own", 17000 },    { "own[]", 17001 },
};

struct bench {
    struct schema *schema;
    struct planner *planner;
    struct shape shape;
    struct attribution found;
    char **shapes;
    size_t shape_count, rows, failed, traps;
    const char *file;
    unsigned line;
};

/* What stands around one row, and its parameters. */
struct around {
    struct surroundings surroundings;
    struct plan_context context;
    struct buf memory[VALUES_MAX];
    struct slice values[VALUES_MAX];
    uint16_t formats[VALUES_MAX];
    uint32_t oids[VALUES_MAX];
    struct parameters params;
    bool has_params;
    char comment[TENANT_BYTES_MAX];
};

static void stop(const struct bench *bench, const char *why, const char *what)
{
    fprintf(stderr, "%s:%u: %s: %s\n", bench->file, bench->line, why, what);
    exit(2);
}

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (*text == ' ')
        text++;
    while (end > text && (end[-1] == ' ' || end[-1] == '\n'))
        *--end = '\0';
    return text;
}

/* {A} as its uuid; ⏎ as a new line. */
static void expand(const char *text, bool hex, struct buf *out)
{
    while (*text != '\0') {
        const char *value = NULL;

        for (size_t i = 0; i < sizeof names / sizeof names[0] && text[0] == '{'; i++)
            if (text[1] == names[i].word[0] && text[2] == '}')
                value = names[i].means;
        if (value != NULL) {
            for (; *value != '\0'; value++)
                if (!hex || *value != '-')
                    buf_append(out, value, 1);
            text += 3;
        } else if (strncmp(text, "⏎", strlen("⏎")) == 0) {
            buf_append_text(out, "\n");
            text += strlen("⏎");
        } else {
            buf_append(out, text++, 1);
        }
    }
}

static void unhex(struct buf *out)
{
    size_t bytes = buf_bytes(out) / 2;
    char *copy = strdup(buf_text(out));

    buf_clear(out);
    for (size_t i = 0; i < bytes; i++) {
        unsigned value = 0;

        sscanf(copy + 2 * i, "%2x", &value);
        buf_append(out, &(char){ (char)value }, 1);
    }
    free(copy);
}

static uint32_t type_of(const struct bench *bench, const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].oid;
    stop(bench, "no such type", name);
    return 0;
}

/* $1=…, $1:uuid=…, $1=\x… */
static void set_parameter(const struct bench *bench, struct around *around, char *name, char *value)
{
    char *type = strchr(name, ':');
    size_t number;

    if (type != NULL)
        *type++ = '\0';
    number = strtoul(name + 1, NULL, 10);
    if (number == 0 || number > VALUES_MAX)
        stop(bench, "no such parameter", name);
    number--;
    around->oids[number] = type == NULL ? 0 : type_of(bench, type);
    around->formats[number] = strncmp(value, "\\x", 2) == 0;
    expand(value + (around->formats[number] ? 2 : 0), around->formats[number], &around->memory[number]);
    if (around->formats[number])
        unhex(&around->memory[number]);
    around->values[number] = buf_slice(&around->memory[number]);
    if (strcmp(value, "null") == 0)
        around->values[number] = (struct slice){ NULL, 0 };
    else if (around->values[number].at == NULL)
        around->values[number].at = "";
    if (number >= around->params.count)
        around->params.count = around->params.type_count = number + 1;
    around->has_params = true;
}

static const char *expanded(struct around *around, unsigned slot, const char *value)
{
    struct buf *memory = &around->memory[VALUES_MAX - 1 - slot];

    buf_clear(memory);
    expand(value, false, memory);
    return buf_text(memory);
}

static void set_word(const struct bench *bench, struct around *around, char *name, char *value)
{
    struct surroundings *s = &around->surroundings;

    if (name[0] == '$')
        set_parameter(bench, around, name, value);
    else if (strcmp(name, "setting") == 0)
        s->setting_tenant = expanded(around, 0, value);
    else if (strcmp(name, "transaction") == 0)
        s->transaction_tenant = expanded(around, 1, value);
    else if (strcmp(name, "user") == 0)
        s->user_tenant = expanded(around, 2, value);
    else if (strcmp(name, "search_path") == 0)
        around->context.search_path = slice_of(value);
    else if (strcmp(name, "reset") == 0) /* by what is behind it in the row: it stands there no more */
        s->setting_tenant = NULL;
    else if (strcmp(name, "undone") == 0) /* a SET LOCAL behind a savepoint, and ROLLBACK TO it */
        ;
    else if (strcmp(name, "setting?") == 0)
        s->setting_unknown = true;
    else if (strcmp(name, "strict") == 0)
        s->strict = true;
    else if (strcmp(name, "backslashes") == 0)
        around->context.standard_conforming_strings = false;
    else if (strcmp(name, "sjis") == 0)
        around->context.encoding_safe = false;
    else if (strcmp(name, "shadowed") == 0)
        around->context.temp_shadows = true;
    else
        stop(bench, "no such word", name);
}

static void read_around(const struct bench *bench, char *text, struct around *around)
{
    *around = (struct around){
        .context = { .schema = bench->schema, .standard_conforming_strings = true, .encoding_safe = true }
    };
    for (unsigned i = 0; i < VALUES_MAX; i++) {
        buf_init(&around->memory[i]);
        around->values[i].at = NULL;
    }
    for (char *next, *word = text; word != NULL; word = next) {
        char *equals;

        next = strstr(word, "; ");
        if (next != NULL) {
            *next = '\0';
            next += 2;
        }
        word = trim(word);
        if (*word == '\0')
            continue;
        equals = strchr(word, '=');
        if (equals != NULL)
            *equals++ = '\0';
        set_word(bench, around, word, equals == NULL ? (char[]){ "" } : equals);
    }
    around->params.values = around->values;
    around->params.formats = around->formats;
    around->params.types = around->oids;
}

static void around_done(struct around *around)
{
    for (unsigned i = 0; i < VALUES_MAX; i++)
        buf_done(&around->memory[i]);
}

static void describe_tables(unsigned tables, struct buf *out)
{
    static const struct word words[] = {
        { "event", "" }, { "companion", "" }, { "everywhere", "" }, { "default", "" }
    };
    bool some = false;

    for (unsigned i = 0; i < 4; i++)
        if (tables & (1u << i)) {
            buf_append_format(out, "%s%s", some ? "+" : "", words[i].word);
            some = true;
        }
    if (!some)
        buf_append_text(out, "-");
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static const char *short_name(const char *tenant)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].means, tenant) == 0)
            return names[i].word;
    return tenant;
}

static const char *short_why(const char *why)
{
    for (size_t i = 0; i < sizeof whys / sizeof whys[0]; i++)
        if (strstr(why, whys[i].means) != NULL)
            return whys[i].word;
    return "?";
}

static void describe_tenants(struct attribution *found, struct buf *out)
{
    bool some = false;

    if (found->tenancy == TENANCY_NONE) {
        buf_append_text(out, "-");
        return;
    }
    if (found->tenancy == TENANCY_UNKNOWN) {
        buf_append_text(out, short_why(found->why));
        return;
    }
    qsort(found->tenants, found->tenant_count, sizeof found->tenants[0], compare);
    for (size_t i = 0; i < found->tenant_count; i++) {
        buf_append_format(out, "%s%s", some ? " " : "", short_name(found->tenants[i]));
        some = true;
    }
    if (found->null_tenant)
        buf_append_format(out, "%snull", some ? " " : "");
    else if (!some)
        buf_append_text(out, "no rows");
    if (found->contradicted)
        buf_append_text(out, " contradicted");
}

/* One statement of a row, in the words of the tables. */
static void describe(struct bench *bench, const struct plan *plan, size_t index, struct slice text,
                     struct around *around, struct buf *out)
{
    static const char *const classes[] = {
        [CLASS_NEUTRAL] = "neutral", [CLASS_READ] = "read", [CLASS_WRITE] = "write"
    };
    const struct plan_statement *statement = &plan->statements[index];
    struct error err;

    around->surroundings.comment_unknown =
        attribute_read_comment(&bench->shape, text, index, "tenant_id", around->comment) == COMMENT_UNKNOWN;
    around->surroundings.comment_tenant = around->comment;
    buf_append_format(out, "%s%s | ", plan->parsed ? "" : "unparsed ", classes[statement->class]);
    describe_tables(statement->tables, out);
    if (!attribute(statement, text, &bench->shape, around->has_params ? &around->params : NULL,
                   &around->surroundings, &bench->found, &err)) {
        buf_append_text(out, " | error | -");
        return;
    }
    buf_append_text(out, " | ");
    describe_tenants(&bench->found, out);
    buf_append_format(out, " | %s",
                      bench->found.evidence == EVIDENCE_NONE ? "-" : evidence_name(bench->found.evidence));
}

static void count_shape(struct bench *bench)
{
    const char *shape = buf_text(&bench->shape.text);

    for (size_t i = 0; i < bench->shape_count; i++)
        if (strcmp(bench->shapes[i], shape) == 0)
            return;
    bench->shapes = realloc(bench->shapes, (bench->shape_count + 1) * sizeof *bench->shapes);
    bench->shapes[bench->shape_count++] = strdup(shape);
}

/* The expectation as describe() would write it: one space around each |. */
static void normalize(char *expected, struct buf *out)
{
    bool first = true;

    for (char *column = strtok(expected, "|"); column != NULL; column = strtok(NULL, "|")) {
        buf_append_format(out, "%s%s", first ? "" : " | ", trim(column));
        first = false;
    }
}

static void check(struct bench *bench, const char *statement, char *expected, struct around *around)
{
    struct plan *plan = NULL;
    struct buf text, found, wanted;

    buf_init(&text);
    buf_init(&found);
    buf_init(&wanted);
    expand(statement, false, &text);
    if (!planner_plan(bench->planner, buf_slice(&text), &around->context, &bench->shape, &plan))
        stop(bench, "no memory", statement);
    count_shape(bench);
    for (size_t i = 0; i < plan->statement_count; i++) {
        if (i > 0)
            buf_append_text(&found, " // ");
        describe(bench, plan, i, buf_slice(&text), around, &found);
    }
    normalize(expected, &wanted);
    bench->rows++;
    if (strcmp(buf_text(&found), buf_text(&wanted)) != 0) {
        bench->failed++;
        printf("%s:%u: %s\n    expected  %s\n    found     %s\n", bench->file, bench->line, statement,
               buf_text(&wanted), buf_text(&found));
    }
    plan_give(plan);
    buf_done(&text);
    buf_done(&found);
    buf_done(&wanted);
}

/* The part behind the fourth | of the (last) expectation is what stands around. */
static char *split_around(char *right)
{
    char *last = right;
    unsigned bars = 0;

    for (char *at = right; (at = strstr(at, " // ")) != NULL; at += 4)
        last = at;
    for (char *at = last; *at != '\0'; at++)
        if (*at == '|' && ++bars == COLUMNS - 1) {
            *at = '\0';
            return at + 1;
        }
    return NULL;
}

static void read_line(struct bench *bench, char *line)
{
    static const char arrow[] = "⇒";
    char *right = strstr(line, arrow);
    char *statement = trim(line);
    struct around around;
    char *words;

    if (statement[0] == '\0' || statement[0] == '#')
        return;
    if (right == NULL)
        stop(bench, "no ⇒", line);
    *right = '\0';
    right += strlen(arrow);
    statement = trim(line);
    if (statement[0] == '!') {
        bench->traps++;
        statement = trim(statement + 1);
    }
    words = split_around(right);
    read_around(bench, words == NULL ? (char[]){ "" } : words, &around);
    check(bench, statement, right, &around);
    around_done(&around);
}

static void read_table(struct bench *bench, const char *path)
{
    static char line[LINE_BYTES];
    FILE *file = fopen(path, "r");

    bench->file = path;
    bench->line = 0;
    bench->traps = 0;
    if (file == NULL)
        stop(bench, "cannot be read", path);
    while (fgets(line, sizeof line, file) != NULL) {
        bench->line++;
        if (strchr(line, '\n') == NULL)
            stop(bench, "line too long", path);
        read_line(bench, line);
    }
    fclose(file);
    if (bench->traps < TRAPS_MIN) {
        printf("%s: only %zu rows where the naive answer is wrong\n", path, bench->traps);
        bench->failed++;
    }
}

int main(int argc, char **argv)
{
    struct bench bench = { .schema = fixture_schema(), .planner = planner_new("app.tenant_id") };

    shape_init(&bench.shape);
    attribution_init(&bench.found);
    for (int i = 1; i < argc; i++)
        read_table(&bench, argv[i]);
    printf("%zu rows, %zu shapes, %zu failed\n", bench.rows, bench.shape_count, bench.failed);
    shape_done(&bench.shape);
    attribution_done(&bench.found);
    planner_free(bench.planner);
    schema_give(bench.schema);
    for (size_t i = 0; i < bench.shape_count; i++)
        free(bench.shapes[i]);
    free(bench.shapes);
    return bench.failed > 0;
}
