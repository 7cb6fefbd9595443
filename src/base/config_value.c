/* config_value.c - one key and one value: the table, types, bounds, the small grammars of lists and
 * addresses. Owns: the table of keys.   Leaves: the file to config.c.   Thread: any. Start at: config_keys.h,
 * then config_parse_value(). */
#include "base/config_value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/declare.h"
#include "base/limits.h"
#include "base/preset.h"

#include "base/config_keys.h"

const struct config_info *config_info(enum config_key key)
{
    assert(key < CONFIG_KEYS);
    return &keys[key];
}

bool config_find(const char *name, enum config_key *key)
{
    for (int i = 0; i < CONFIG_KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            *key = (enum config_key)i;
            return true;
        }
    }
    return false;
}

bool config_parse_flag(const char *value, bool *flag)
{
    static const char *const on[] = { "on", "true", "yes", "1" }, *const off[] = { "off", "false", "no",
                                                                                   "0" };

    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(value, on[i]) == 0 || strcasecmp(value, off[i]) == 0) {
            *flag = strcasecmp(value, on[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *value, int64_t *number)
{
    char *end;

    if (!isdigit((unsigned char)value[0]) && value[0] != '-')
        return false; /* strtoll would take white space and a plus */
    errno = 0;
    *number = strtoll(value, &end, 10);
    return errno == 0 && end != value && *end == '\0';
}

bool config_is_choice(const char *choices, const char *value)
{
    size_t bytes = strlen(value);

    for (const char *at = choices; bytes > 0; at++) {
        size_t choice = strcspn(at, "|");

        if (choice == bytes && memcmp(at, value, bytes) == 0)
            return true;
        at += choice;
        if (*at == '\0')
            break;
    }
    return false;
}

bool config_next_item(const char *list, size_t *at, struct slice *item)
{
    const char *start = list + *at, *end;

    if (*start == '\0')
        return false;
    end = start + strcspn(start, ",");
    *at += (size_t)(end - start) + (*end == ',');
    while (start < end && isspace((unsigned char)*start))
        start++;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    *item = (struct slice){ start, (size_t)(end - start) };
    return true;
}

static bool parse_port(struct slice text, int *port)
{
    int value = 0;

    if (text.bytes == 0 || text.bytes > 5)
        return false;
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (text.at[i] - '0');
    }
    *port = value;
    return value >= 1 && value <= 65535;
}

bool config_parse_address(struct slice address, struct slice *host, int *port)
{
    const char *end = address.at + address.bytes, *colon = NULL;

    if (address.bytes > 0)
        colon = memrchr(address.at, ':', address.bytes);
    if (colon == NULL || !parse_port((struct slice){ colon + 1, (size_t)(end - colon - 1) }, port))
        return false;
    *host = (struct slice){ address.at, (size_t)(colon - address.at) };
    if (host->bytes > 2 && host->at[0] == '[' && colon[-1] == ']') {
        host->at++;
        host->bytes -= 2;
        return true;
    }
    return host->bytes > 0 && memchr(host->at, ':', host->bytes) == NULL &&
           memchr(host->at, '[', host->bytes) == NULL;
}

static bool check_listen(const char *value, struct error *err)
{
    struct slice item, host;
    size_t at = 0;
    int port;

    while (config_next_item(value, &at, &item)) {
        if (!config_parse_address(item, &host, &port)) {
            error_set(err, "22023", "listen must be host:port, comma-separated, not \"%.*s\"",
                      (int)item.bytes, item.at);
            return error_hint(err, "For example 127.0.0.1:6432, *:6432 or [::1]:6432.");
        }
    }
    return true; /* empty: only a Unix-domain socket (cross_check of config.c) */
}

static bool check_mode(const char *value, struct error *err)
{
    size_t digits = strspn(value, "01234567");

    if (digits > 0 && digits <= 4 && value[digits] == '\0' && strtol(value, NULL, 8) <= 0777)
        return true;
    error_set(err, "22023", "unix_socket_mode must be an octal number from 0 to 0777, not \"%s\"", value);
    return error_hint(err, "0777 lets everybody connect, 0770 the group, 0700 our own user.");
}

static bool check_pattern(const char *value, struct error *err)
{
    char text[128];
    regex_t pattern;
    int result;

    if (value[0] == '\0')
        return true;
    result = regcomp(&pattern, value, REG_EXTENDED);
    if (result == 0) {
        size_t groups = pattern.re_nsub;

        regfree(&pattern);
        if (groups == 1)
            return true;
        error_set(err, "2201B", "stream_pattern must have one group in parentheses, not %zu", groups);
    } else {
        regerror(result, &pattern, text, sizeof text);
        error_set(err, "2201B", "stream_pattern is not a regular expression: %s", text);
    }
    return error_hint(err, "For example ^[^-]+-([0-9a-f-]{36}) for streams like account-UUID.");
}

static bool check_list(const char *name, const char *value, struct error *err)
{
    struct slice item;
    size_t at = 0;

    while (config_next_item(value, &at, &item)) {
        if (item.bytes == 0)
            return error_set(err, "22023", "%s has an empty name in \"%s\"", name, value);
    }
    return true;
}

/* What the type alone does not say. */
static bool check_text(enum config_key key, const char *value, struct error *err)
{
    switch (key) {
    case CONFIG_EVENT_TABLE:
        if (value[0] == '\0')
            return error_set(err, "22023", "table must not be empty");
        if (!declare_check(keys[key].name, value, "", err))
            return false;
        return declare_count(value) == 1 ||
               error_set(err, "22023", "table must be one table, not \"%s\"", value);
    case CONFIG_LISTEN:
        return check_listen(value, err);
    case CONFIG_UNIX_SOCKET_MODE:
        return check_mode(value, err);
    case CONFIG_ADMIN_SOCKET_DIR:
    case CONFIG_TENANT_SETTING:
    case CONFIG_TENANT_COLUMN:
    case CONFIG_POSITION_COLUMN:
    case CONFIG_VERSION_COLUMN:
    case CONFIG_CONTROL_SCHEMA:
    case CONFIG_LOG_DESTINATION:
        return value[0] != '\0' || error_set(err, "22023", "%s must not be empty", keys[key].name);
    case CONFIG_STREAM_COLUMNS:
        if (value[0] == '\0')
            return error_set(err, "22023", "%s must not be empty", keys[key].name);
        return check_list(keys[key].name, value, err);
    case CONFIG_REGENERATE_COLUMNS:
        return value[0] == '\0' || check_list(keys[key].name, value, err);
    case CONFIG_PRESET:
        return preset_check(value, err);
    case CONFIG_COMPANION_TABLES:
        return declare_check(keys[key].name, value, "tenant_column|key|position|parent|on", err);
    case CONFIG_EVERYWHERE_TABLES:
    case CONFIG_EVENT_VIEWS:
        return declare_check(keys[key].name, value, "", err);
    case CONFIG_WRITE_FUNCTIONS:
    case CONFIG_READ_FUNCTIONS:
        return declare_check(keys[key].name, value, "tenant_arg|stream_arg", err);
    case CONFIG_STREAM_PATTERN:
    case CONFIG_CHECKPOINT_PATTERN:
        return check_pattern(value, err);
    case CONFIG_CHECKPOINT_TABLE:
        return declare_check(keys[key].name, value, "name|position|tenant|transaction|event_transaction", err) &&
               (declare_count(value) <= 1 ||
                error_set(err, "22023", "%s names more than one table", keys[key].name));
    case CONFIG_ADMIN_USERS:
        return check_list(keys[key].name, value, err);
    default:
        return true;
    }
}

bool config_parse_value(enum config_key key, const char *value, int64_t *number, struct error *err)
{
    const struct config_info *info = config_info(key);
    bool flag = false;

    *number = 0;
    switch (info->type) {
    case CONFIG_TYPE_TEXT:
        return check_text(key, value, err);
    case CONFIG_TYPE_NUMBER:
        if (parse_number(value, number) && *number >= info->min && *number <= info->max)
            return true;
        return error_set(err, "22023", "%s must be a number from %" PRId64 " to %" PRId64 ", not \"%s\"",
                         info->name, info->min, info->max, value);
    case CONFIG_TYPE_FLAG:
        if (!config_parse_flag(value, &flag))
            return error_set(err, "22023", "%s must be on or off, not \"%s\"", info->name, value);
        *number = flag;
        return true;
    case CONFIG_TYPE_CHOICE:
        if (config_is_choice(info->choices, value))
            return true;
        return error_set(err, "22023", "%s must be one of %s, not \"%s\"", info->name, info->choices, value);
    }
    return error_set(err, "XX000", "%s has no type", info->name);
}

bool config_check(enum config_key key, const char *value, struct error *err)
{
    int64_t number;

    return config_parse_value(key, value, &number, err);
}
