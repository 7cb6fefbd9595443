/* copy.c - COPY … FROM STDIN into an event or companion table: which column is the tenant's, and how rows are
 * written. Owns:   column lists, options; old spellings and new ones. Leaves: the rows themselves to
 * wire/copy_rows. Thread: any.   Start at: copy_plan_rows() (the tree), copy_read_options() (a text). */
#include "sql/copy.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/copy_plan.h"

/* ---- the tree ---- */

/* Behind the option's own name in the shape, and AS or USING of the old spelling. */
static size_t skip_word(const char *text, size_t bytes, size_t at)
{
    while (at < bytes && text[at] == ' ')
        at++;
    while (at < bytes && (isalnum((unsigned char)text[at]) || text[at] == '_'))
        at++;
    while (at < bytes && text[at] == ' ')
        at++;
    return at;
}

static int64_t slot_behind(struct walk *walk, int location)
{
    const char *text = buf_at(&walk->shape->text);
    size_t bytes = buf_bytes(&walk->shape->text), at;
    int64_t slot;

    if (location < 0 || (size_t)location >= bytes)
        return -1;
    at = skip_word(text, bytes, (size_t)location);
    slot = shape_slot(walk->shape, (int64_t)at);
    return slot >= 0 ? slot : shape_slot(walk->shape, (int64_t)skip_word(text, bytes, at));
}

/* The option's value: a word of the shape, or where its literal stands. false: neither. */
static bool read_value(struct walk *walk, const PgQuery__DefElem *element, struct plan_option *option)
{
    const char *word = node_text(element->arg);

    option->given = true;
    if (element->arg == NULL || (node_is(element->arg, NODE(BOOLEAN)) && element->arg->boolean->boolval))
        word = "true"; /* HEADER */
    else if (node_is(element->arg, NODE(INTEGER)) || node_is(element->arg, NODE(FLOAT)) ||
             (word != NULL && strcmp(word, "?") == 0))
        return (option->slot = slot_behind(walk, element->location)) >= 0;
    if (word == NULL || strlen(word) >= sizeof option->word)
        return false;
    strcpy(option->word, word);
    return true;
}

/* Whether a list of columns has the tenant's; `*` is all of them. */
static bool names_tenant(const PgQuery__Node *list, const char *tenant)
{
    if (node_is(list, NODE(A_STAR)))
        return true;
    for (size_t i = 0; node_is(list, NODE(LIST)) && i < list->list->n_items; i++) {
        const char *name = node_text(list->list->items[i]);

        if (name != NULL && strcmp(name, tenant) == 0)
            return true;
    }
    return false;
}

static bool read_option(struct walk *walk, struct plan_copy *copy, const PgQuery__DefElem *element,
                        const char *tenant)
{
    static const char *const names[PLAN_COPY_OPTIONS] = {
        [PLAN_COPY_FORMAT] = "format",     [PLAN_COPY_DELIMITER] = "delimiter", [PLAN_COPY_NULL] = "null",
        [PLAN_COPY_QUOTE] = "quote",       [PLAN_COPY_ESCAPE] = "escape",       [PLAN_COPY_HEADER] = "header",
        [PLAN_COPY_ENCODING] = "encoding",
    };

    if (strcmp(element->defname, "freeze") == 0)
        return true;
    if (strcmp(element->defname, "force_null") == 0) {
        copy->force_null = names_tenant(element->arg, tenant);
        return true;
    }
    if (strcmp(element->defname, "force_not_null") == 0) {
        copy->force_not_null = names_tenant(element->arg, tenant);
        return true;
    }
    for (size_t i = 0; i < PLAN_COPY_OPTIONS; i++)
        if (strcmp(element->defname, names[i]) == 0) /* twice is the server's error */
            return !copy->options[i].given && read_value(walk, element, &copy->options[i]);
    return false; /* an option of a later PostgreSQL may change what a row means */
}

static bool has_column(const struct schema_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return false;
}

/* The statement's own list. false: the tenant's column is not in it. */
static bool find_listed(struct plan_copy *copy, const struct schema_table *table,
                        const PgQuery__CopyStmt *statement)
{
    const char *tenant = table->columns[table->tenant_column].name;
    bool found = false;

    copy->listed = true;
    copy->columns = (unsigned)statement->n_attlist;
    for (size_t i = 0; i < statement->n_attlist; i++) {
        const char *name = node_text(statement->attlist[i]);
        bool is_it = name != NULL && strcmp(name, tenant) == 0;

        if (name == NULL || !has_column(table, name) || (is_it && found))
            copy->doubtful = true;
        if (is_it && !found)
            copy->column = (unsigned)i;
        found = found || is_it;
    }
    return found;
}

/* The table's own order; generated columns are not copied. */
static bool find_in_table(struct plan_copy *copy, const struct schema_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if ((int)i == table->tenant_column)
            copy->column = copy->columns;
        copy->columns += !table->columns[i].generated;
    }
    return !table->columns[table->tenant_column].generated;
}

void copy_plan_rows(struct walk *walk, const PgQuery__CopyStmt *statement, const struct schema_table *table)
{
    struct plan_copy *copy;
    bool good;

    if (table->read_only || !statement->is_from || statement->is_program || statement->filename[0] != '\0' ||
        statement->where_clause != NULL || table->tenant_column < 0 ||
        (size_t)table->tenant_column >= table->column_count || !walk->context->encoding_safe)
        return;
    copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        walk->failed = true;
        return;
    }
    copy->table = (size_t)(table - walk->context->schema->tables);
    good = statement->n_attlist > 0 ? find_listed(copy, table, statement) : find_in_table(copy, table);
    for (size_t i = 0; good && i < statement->n_options; i++)
        good = node_is(statement->options[i], NODE(DEF_ELEM)) &&
               read_option(walk, copy, statement->options[i]->def_elem,
                           table->columns[table->tenant_column].name);
    if (good)
        walk->out->copy = copy;
    else
        free(copy);
}

/* ---- a text ---- */

/* The option's content; .at NULL where it is not given. false: not understood. */
static bool content(const struct plan_option *option, struct slice text, const struct shape *shape,
                    char *space, size_t bytes, struct slice *out)
{
    *out = (struct slice){ 0 };
    if (!option->given)
        return true;
    if (option->word[0] != '\0') {
        *out = slice_of(option->word);
        return true;
    }
    if ((uint64_t)option->slot >= shape->slot_count ||
        !shape_literal(shape, text, shape->slots[option->slot].first, space, bytes))
        return false;
    *out = slice_of(space);
    return true;
}

static bool is_word(struct slice text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.at, word, text.bytes) == 0;
}

static bool read_format(struct slice word, enum copy_format *format)
{
    *format = is_word(word, "csv") ? COPY_CSV : is_word(word, "binary") ? COPY_BINARY : COPY_TEXT;
    return word.at == NULL || *format != COPY_TEXT || is_word(word, "text");
}

/* As defGetCopyHeaderChoice() */
static bool read_header(struct slice word, bool *header)
{
    *header = is_word(word, "true") || is_word(word, "on") || is_word(word, "1") || is_word(word, "match");
    return word.at == NULL || *header || is_word(word, "false") || is_word(word, "off") || is_word(word, "0");
}

static bool read_byte(struct slice word, char otherwise, char *byte)
{
    *byte = word.at == NULL ? otherwise : word.bytes == 1 ? word.at[0] : '\n';
    return *byte != '\n' && *byte != '\r';
}

/* What PostgreSQL refuses, and what would make two meanings of one byte. */
static bool is_sound(const struct copy_options *options)
{
    static const char taken[] = "\\.abcdefghijklmnopqrstuvwxyz0123456789";
    bool csv = options->format == COPY_CSV;

    if (memchr(options->null, '\n', options->null_bytes) != NULL ||
        memchr(options->null, '\r', options->null_bytes) != NULL ||
        memchr(options->null, options->delimiter, options->null_bytes) != NULL)
        return false;
    if (!csv)
        return strchr(taken, options->delimiter) == NULL;
    return options->delimiter != options->quote && options->quote != '\\' && options->quote != '.' &&
           options->delimiter != '\\' && options->delimiter != '.' && options->delimiter != options->escape &&
           memchr(options->null, options->quote, options->null_bytes) == NULL;
}

enum copy_encoding copy_encoding_named(struct slice name)
{
    static const char *const same[] = { "utf8", "unicode", "sqlascii" };
    static const char *const ascii[] = { "latin", "win", "iso",  "koi8",  "euc",
                                         "mule",  "abc", "tcvn", "vscii", "alt" };
    char plain[32];
    size_t bytes = 0;

    for (size_t i = 0; i < name.bytes; i++) /* as clean_encoding_name() */
        if (isalnum((unsigned char)name.at[i]) && bytes + 1 < sizeof plain)
            plain[bytes++] = (char)tolower((unsigned char)name.at[i]);
    plain[bytes] = '\0';
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (strcmp(plain, same[i]) == 0)
            return COPY_ENCODING_SAME;
    for (size_t i = 0; i < sizeof ascii / sizeof ascii[0]; i++)
        if (strncmp(plain, ascii[i], strlen(ascii[i])) == 0)
            return COPY_ENCODING_ASCII;
    return COPY_ENCODING_UNSAFE;
}

static bool read_marks(const struct slice *words, struct copy_options *options)
{
    bool csv = options->format == COPY_CSV;

    if (!csv && (words[PLAN_COPY_QUOTE].at != NULL || words[PLAN_COPY_ESCAPE].at != NULL))
        return false;
    if (!read_byte(words[PLAN_COPY_DELIMITER], csv ? ',' : '\t', &options->delimiter) ||
        !read_byte(words[PLAN_COPY_QUOTE], '"', &options->quote) ||
        !read_byte(words[PLAN_COPY_ESCAPE], options->quote, &options->escape))
        return false;
    if (words[PLAN_COPY_NULL].at == NULL && !csv)
        options->null_bytes = (size_t)(stpcpy(options->null, "\\N") - options->null);
    else if (words[PLAN_COPY_NULL].bytes >= sizeof options->null)
        return false;
    else if (words[PLAN_COPY_NULL].at != NULL)
        memcpy(options->null, words[PLAN_COPY_NULL].at, options->null_bytes = words[PLAN_COPY_NULL].bytes);
    return is_sound(options);
}

bool copy_read_options(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                       struct slice client_encoding, struct copy_options *options,
                       enum copy_encoding *encoding)
{
    const struct plan_copy *copy = statement->copy;
    struct slice words[PLAN_COPY_OPTIONS];
    char space[PLAN_COPY_OPTIONS][COPY_NULL_BYTES_MAX];

    *options = (struct copy_options){ .columns = copy->columns,
                                      .count = !copy->listed,
                                      .column = copy->column,
                                      .force_null = copy->force_null,
                                      .force_not_null = copy->force_not_null };
    for (size_t i = 0; i < PLAN_COPY_OPTIONS; i++)
        if (!content(&copy->options[i], text, shape, space[i], sizeof space[i], &words[i]))
            return false;
    *encoding = copy_encoding_named(words[PLAN_COPY_ENCODING].at != NULL ? words[PLAN_COPY_ENCODING]
                                                                         : client_encoding);
    if (*encoding == COPY_ENCODING_UNSAFE || !read_format(words[PLAN_COPY_FORMAT], &options->format) ||
        !read_header(words[PLAN_COPY_HEADER], &options->header))
        return false;
    if (options->format != COPY_BINARY)
        return read_marks(words, options);
    return !copy->options[PLAN_COPY_DELIMITER].given && !copy->options[PLAN_COPY_NULL].given &&
           !copy->options[PLAN_COPY_HEADER].given;
}
