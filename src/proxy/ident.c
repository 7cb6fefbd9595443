/* ident.c - see ident.h. Regular expressions are not understood: an error when the file is read. */
#include "proxy/ident.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/hba_text.h"

struct entry {
    char *map, *system_user, *user; /* user NULL: all */
};

struct ident {
    struct entry *entries;
    size_t count;
};

void ident_free(struct ident *ident)
{
    if (ident == NULL)
        return;
    for (size_t i = 0; i < ident->count; i++) {
        free(ident->entries[i].map);
        free(ident->entries[i].system_user);
        free(ident->entries[i].user);
    }
    free(ident->entries);
    free(ident);
}

static bool copy_entry(const struct hba_text *line, struct entry *entry)
{
    const struct hba_token *user = line->fields[2].tokens;

    entry->map = strdup(line->fields[0].tokens[0].text);
    entry->system_user = strdup(line->fields[1].tokens[0].text);
    entry->user = hba_token_is(user, "all") ? NULL : strdup(user->text);
    return entry->map != NULL && entry->system_user != NULL &&
           (entry->user != NULL || hba_token_is(user, "all"));
}

static bool on_line(void *who, const struct hba_text *line, struct error *err)
{
    struct ident *ident = who;
    struct entry *entries;

    if (line->field_count != 3 || line->fields[0].count != 1 || line->fields[1].count != 1 ||
        line->fields[2].count != 1)
        return hba_text_fail(line, err, "expected three fields: map, system user, database user");
    for (int i = 1; i < 3; i++) {
        const struct hba_token *token = line->fields[i].tokens;

        if (!token->quoted && (token->text[0] == '/' || token->text[0] == '+'))
            return hba_text_fail(line, err, "\"%s\": regular expressions and groups are not understood",
                                 token->text);
    }
    entries = realloc(ident->entries, (ident->count + 1) * sizeof *entries);
    if (entries == NULL)
        return error_no_memory(err);
    ident->entries = entries;
    memset(&entries[ident->count], 0, sizeof *entries);
    return copy_entry(line, &entries[ident->count++]) || error_no_memory(err);
}

bool ident_read(const char *path, struct ident **ident, struct error *err)
{
    *ident = calloc(1, sizeof **ident);
    if (*ident == NULL)
        return error_no_memory(err);
    if (path[0] == '\0' || hba_text_read(path, "ident_file", on_line, *ident, err))
        return true;
    ident_free(*ident);
    *ident = NULL;
    return false;
}

bool ident_allows(const struct ident *ident, const char *map, const char *system_user, const char *user)
{
    if (map == NULL)
        return strcmp(system_user, user) == 0;
    for (size_t i = 0; i < ident->count; i++) {
        const struct entry *entry = &ident->entries[i];

        if (strcmp(entry->map, map) == 0 && strcmp(entry->system_user, system_user) == 0 &&
            (entry->user == NULL || strcmp(entry->user, user) == 0))
            return true;
    }
    return false;
}
