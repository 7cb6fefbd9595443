/* path.c - see path.h.
 * Thread: any.   Start at: find().
 *
 * A search_path that the client has set is followed exactly. Of one that it has not set (the role's, the
 * database's) only is known which schemas may stand on it (`usual`): a single one of them decides, of several
 * nobody knows. Of one that was set by what nobody could read nothing is known. */
#include "sql/path.h"

#include <string.h>

#include "base/limits.h"

/* One thing of the name that is looked for. */
struct home {
    const char *schema;
    bool usual, of_role;
};

/* The homes of a name, whatever kind of thing has it; false: there are no more. */
typedef bool next_home(const struct schema *schema, const char *name, size_t *at, struct home *home);

/* One element of a search_path, quotes undone; *at moves behind it. false: there is none. */
static bool path_next(struct slice path, size_t *at, char *element, size_t element_bytes)
{
    size_t bytes = 0;
    bool quoted;

    while (*at < path.bytes && (path.at[*at] == ' ' || path.at[*at] == ','))
        ++*at;
    if (*at >= path.bytes)
        return false;
    quoted = path.at[*at] == '"';
    *at += quoted;
    while (*at < path.bytes) {
        char c = path.at[*at];

        if (quoted && c == '"' && *at + 1 < path.bytes && path.at[*at + 1] == '"')
            ++*at;
        else if (quoted ? c == '"' : c == ',' || c == ' ')
            break;
        if (bytes + 1 < element_bytes)
            element[bytes++] = quoted || c < 'A' || c > 'Z' ? c : (char)(c + 32);
        ++*at;
    }
    *at += quoted && *at < path.bytes;
    element[bytes] = '\0';
    return true;
}

static bool next_table(const struct schema *schema, const char *name, size_t *at, struct home *home)
{
    for (; *at < schema->table_count; ++*at) {
        const struct schema_table *table = &schema->tables[*at];

        if (table->name == NULL || strcmp(table->name, name) != 0)
            continue;
        *home = (struct home){ table->schema, table->usual, table->of_role };
        return true;
    }
    return false;
}

static bool next_function(const struct schema *schema, const char *name, size_t *at, struct home *home)
{
    for (; *at < schema->function_count; ++*at) {
        const struct schema_function *function = &schema->functions[*at];

        if (strcmp(function->name, name) != 0)
            continue;
        *home = (struct home){ function->schema, function->usual, function->of_role };
        return true;
    }
    return false;
}

static bool is_schema(const struct home *home, const char *schema)
{
    return strcmp(home->schema == NULL || home->schema[0] == '\0' ? "public" : home->schema, schema) == 0;
}

/* The only usual one; without any, the first, which is the declared one. */
static enum path_finding find_usual(const struct schema *schema, const char *name, next_home *next,
                                    size_t *found)
{
    struct home home;
    size_t usual = 0, all = 0;

    for (size_t at = 0; next(schema, name, &at, &home); at++, all++) {
        if (home.usual ? usual == 0 : all == 0)
            *found = at;
        usual += home.usual;
    }
    if (usual > 1)
        return PATH_UNSURE;
    return all > 0 ? PATH_FOUND : PATH_NOTHING;
}

/* Whatever the path is: the only home that the name has. Nothing else can be meant. */
static enum path_finding find_only(const struct schema *schema, const char *name, next_home *next,
                                   size_t *found)
{
    struct home home;
    size_t all = 0;

    for (size_t at = 0; next(schema, name, &at, &home); at++)
        if (all++ == 0)
            *found = at;
    return all == 0 ? PATH_NOTHING : all == 1 ? PATH_FOUND : PATH_UNSURE;
}

static enum path_finding find_on(const struct schema *schema, struct slice path, const char *name,
                                 next_home *next, size_t *found)
{
    char element[IDENTIFIER_BYTES_MAX];
    size_t at_element = 0;
    struct home home;

    while (path_next(path, &at_element, element, sizeof element))
        for (size_t at = 0; next(schema, name, &at, &home); at++) {
            if (strcmp(element, "$user") == 0 && home.of_role)
                return PATH_UNSURE; /* whose it is, the role says, and SET ROLE */
            if (element[0] != '\0' && is_schema(&home, element)) {
                *found = at;
                return PATH_FOUND;
            }
        }
    return PATH_NOTHING;
}

static enum path_finding find(const struct plan_context *context, const char *name, next_home *next,
                              size_t *found)
{
    if (context->schema == NULL)
        return PATH_NOTHING;
    if (context->path_unknown)
        return find_only(context->schema, name, next, found);
    if (context->search_path.at == NULL)
        return find_usual(context->schema, name, next, found);
    return find_on(context->schema, context->search_path, name, next, found);
}

enum path_finding path_find_table(const struct plan_context *context, const char *name,
                                  const struct schema_table **table)
{
    size_t at = 0;
    enum path_finding finding = find(context, name, next_table, &at);

    *table = finding == PATH_FOUND ? &context->schema->tables[at] : NULL;
    if (finding == PATH_UNSURE) /* one that is declared, so that nobody thinks it is none */
        *table = schema_find(context->schema, "", name);
    return finding;
}

enum path_finding path_find_function(const struct plan_context *context, const char *name,
                                     const struct schema_function **function)
{
    size_t at = 0;
    enum path_finding finding = find(context, name, next_function, &at);

    *function = finding == PATH_FOUND ? &context->schema->functions[at] : NULL;
    if (finding == PATH_UNSURE)
        *function = schema_find_function(context->schema, "", name);
    return finding;
}
