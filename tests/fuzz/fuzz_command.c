/* fuzz_command.c - the console's grammar on any text, with and without values for its parameters.
 * The first byte says how: as a script, as a Parse, as a Bind with values cut from the text itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "admin/command.h"

enum { VALUES = 3 };

static void check(const struct command *command, struct slice text, size_t from)
{
    if (command->info == NULL || command->end < from || command->end > text.bytes)
        abort();
    if (command->option_count > COMMAND_OPTIONS_MAX || command->parameter_count > COMMAND_PARAMETERS_MAX)
        abort();
}

static void read_script(struct slice text, const struct command_values *values)
{
    struct command command;
    struct error err;
    size_t at = 0;
    bool good = true;

    while (good && !command_is_blank(text, at)) {
        error_clear(&err);
        good = command_parse(text, at, values, &command, &err);
        if (good) {
            check(&command, text, at);
            if (command.end <= at) /* it would never end */
                abort();
            at = command.end;
        } else if (!error_is_set(&err)) {
            abort();
        }
        command_done(&command);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice at[VALUES] = { { "acme", 4 }, { NULL, 0 }, { "", 0 } };
    struct command_values values = { VALUES, at };
    struct slice text;
    char *copy;

    if (bytes == 0)
        return 0;
    copy = malloc(bytes - 1 + (bytes == 1)); /* exactly as long: a read past the end is seen */
    if (copy == NULL)
        return 0;
    memcpy(copy, data + 1, bytes - 1);
    text = (struct slice){ copy, bytes - 1 };
    at[2] = (struct slice){ copy, text.bytes / 2 };
    if (data[0] % 3 == 0)
        values.count = 0;
    read_script(text, data[0] % 3 == 1 ? NULL : &values);
    free(copy);
    return 0;
}
