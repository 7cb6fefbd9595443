/* preset.c - see preset.h. Thread: any.   Start at: preset_table.h. */
#include "base/preset.h"

#include <stdio.h>
#include <string.h>

#include "base/preset_table.h"

static const struct preset *find(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

const char *preset_value(const char *name, enum config_key key)
{
    const struct preset *preset = find(name);

    for (size_t i = 0; preset != NULL && preset->keys[i].value != NULL; i++)
        if (preset->keys[i].key == key)
            return preset->keys[i].value;
    return NULL;
}

bool preset_check(const char *name, struct error *err)
{
    char names[256];
    size_t used = 0;

    if (name[0] == '\0' || find(name) != NULL)
        return true;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ", presets[i].name);
    error_set(err, "22023", "unknown preset \"%.60s\"", name);
    return error_hint(err, "There are %s.", names);
}
