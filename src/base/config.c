/* config.c - reads the INI file, checks every value against the table of keys.
 * Owns:   the values read, the stores, the users' tenants.
 * Leaves: whether a conninfo is one to libpq (migrate/pg), the INI syntax to inih.
 * Thread: any; a config does not change once read.
 * Start at: config_keys.h, then config_read(), then on_pair(). */
#include "base/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/buf.h"
#include "base/config_secret.h"
#include "base/limits.h"

#include "base/config_keys.h"

static const char user_prefix[] = "user.";
static const char tenant_prefix[] = "tenant:";

struct store {
    char *name, *conninfo;
};

struct user {
    char *name, *tenant;
    UT_hash_handle hh;
};

struct config {
    char *values[CONFIG_KEYS];    /* NULL until given; defaults are filled in at the end */
    unsigned lines[CONFIG_KEYS];  /* where it was given; 0: nowhere */
    int64_t numbers[CONFIG_KEYS]; /* numbers, and flags as 0 and 1 */
    struct store *stores;
    size_t store_count;
    struct user *users; /* uthash by name */
};

/* The state of one reading. */
struct reader {
    const char *path;
    FILE *file;
    unsigned line;
    struct config *config;
    struct error *err;
    bool failed; /* err is set; the rest of the file is not looked at */
};

void config_free(struct config *config)
{
    struct user *user, *next;

    if (config == NULL)
        return;
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        free(config->values[i]);
    for (size_t i = 0; i < config->store_count; i++) {
        free(config->stores[i].name);
        config_secret_free(config->stores[i].conninfo);
    }
    free(config->stores);
    HASH_ITER(hh, config->users, user, next)
    {
        HASH_DEL(config->users, user);
        free(user->name);
        free(user->tenant);
        free(user);
    }
    free(config);
}

/* ---- one value ---- */

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

static bool is_choice(const char *choices, const char *value)
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
    size_t at = 0, count = 0;
    int port;

    for (; config_next_item(value, &at, &item); count++) {
        if (!config_parse_address(item, &host, &port)) {
            error_set(err, "22023", "listen must be host:port, comma-separated, not \"%.*s\"",
                      (int)item.bytes, item.at);
            return error_hint(err, "For example 127.0.0.1:6432, *:6432 or [::1]:6432.");
        }
    }
    return count > 0 || error_set(err, "22023", "listen must be host:port, comma-separated, not empty");
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
    case CONFIG_LISTEN:
        return check_listen(value, err);
    case CONFIG_ADMIN_SOCKET_DIR:
    case CONFIG_TENANT_SETTING:
    case CONFIG_EVENT_TABLE:
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
    case CONFIG_EVERYWHERE_TABLES:
    case CONFIG_ADMIN_USERS:
        return check_list(keys[key].name, value, err);
    default:
        return true;
    }
}

/* Checks, and gives a number or a flag as a number. */
static bool parse_value(enum config_key key, const char *value, int64_t *number, struct error *err)
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
        if (is_choice(info->choices, value))
            return true;
        return error_set(err, "22023", "%s must be one of %s, not \"%s\"", info->name, info->choices, value);
    }
    return error_set(err, "XX000", "%s has no type", info->name);
}

bool config_check(enum config_key key, const char *value, struct error *err)
{
    int64_t number;

    return parse_value(key, value, &number, err);
}

/* ---- one line ---- */

/* Sets the error with "FILE:LINE: " in front and stops the reading. */
static bool fail(struct reader *reader, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct reader *reader, const char *fmt, ...)
{
    char text[sizeof reader->err->message];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    reader->failed = true;
    return error_set(reader->err, "F0000", "%s:%u: %s", reader->path, reader->line, text);
}

/* The same for an error that is already set: keeps its detail and hint. */
static bool fail_with(struct reader *reader, const struct error *cause)
{
    fail(reader, "%s", cause->message);
    if (cause->detail[0] != '\0')
        error_detail(reader->err, "%s", cause->detail);
    if (cause->hint[0] != '\0')
        error_hint(reader->err, "%s", cause->hint);
    return false;
}

static bool fail_memory(struct reader *reader)
{
    reader->failed = true;
    return error_no_memory(reader->err);
}

/* Levenshtein; names are short, so one row on the stack does. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], b_bytes = strlen(b);

    if (b_bytes >= 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_bytes; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < b_bytes; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            size_t gap = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

            diagonal = row[j + 1];
            row[j + 1] = change < gap ? change : gap;
        }
    }
    return row[b_bytes];
}

static bool fail_unknown_key(struct reader *reader, const char *section, const char *name)
{
    const struct config_info *nearest = &keys[0];
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        /* A key of the same section is the likelier one. */
        size_t apart = distance(name, keys[i].name) * 2 + (strcmp(section, keys[i].section) != 0);

        if (apart < best) {
            best = apart;
            nearest = &keys[i];
        }
    }
    fail(reader, "unknown key \"%s\" in [%s]", name, section);
    if (best / 2 <= strlen(name) / 3 + 1)
        return error_hint(reader->err, "Did you mean %s in [%s]?", nearest->name, nearest->section);
    return error_hint(reader->err, "proxy.conf.example has every key.");
}

static bool fail_unknown_section(struct reader *reader, const char *section)
{
    if (section[0] == '\0')
        fail(reader, "expected a section before the first key");
    else
        fail(reader, "unknown section [%s]", section);
    return error_hint(reader->err,
                      "Sections are [pgshunt], [auth], [stores], [routing], [events], [migration], "
                      "[control] and [log].");
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        if (strcmp(keys[i].section, name) == 0)
            return true;
    }
    return strcmp(name, "stores") == 0;
}

static bool add_store(struct reader *reader, const char *name, const char *value)
{
    struct config *config = reader->config;
    struct error cause;
    struct store *stores, store;

    if (strlen(name) >= STORE_NAME_BYTES_MAX || name[0] == '\0')
        return fail(reader, "a store's name must have 1 to %d bytes", STORE_NAME_BYTES_MAX - 1);
    for (size_t i = 0; i < config->store_count; i++) {
        if (strcmp(config->stores[i].name, name) == 0)
            return fail(reader, "store \"%s\" is given twice", name);
    }
    if (config->store_count == STORES_MAX)
        return fail(reader, "more than %d stores", STORES_MAX);
    if (value[0] == '\0')
        return fail(reader, "store \"%s\" has no connection string", name);
    if (!config_secret_replace(value, &store.conninfo, &cause))
        return fail_with(reader, &cause);
    store.name = strdup(name);
    stores = reallocarray(config->stores, config->store_count + 1, sizeof *stores);
    if (stores != NULL)
        config->stores = stores;
    if (stores == NULL || store.name == NULL) {
        free(store.name);
        config_secret_free(store.conninfo);
        return fail_memory(reader);
    }
    stores[config->store_count++] = store;
    return true;
}

static bool add_user(struct reader *reader, const char *name, const char *value)
{
    const size_t prefix = sizeof tenant_prefix - 1;
    struct user *user;

    if (strncmp(value, tenant_prefix, prefix) != 0 || value[prefix] == '\0')
        return fail(reader, "%s%s must be tenant:VALUE, not \"%s\"", user_prefix, name, value);
    if (strlen(value + prefix) >= TENANT_BYTES_MAX)
        return fail(reader, "the tenant of user \"%s\" is longer than %d bytes", name, TENANT_BYTES_MAX - 1);
    HASH_FIND_STR(reader->config->users, name, user);
    if (user != NULL)
        return fail(reader, "the tenant of user \"%s\" is given twice", name);
    user = calloc(1, sizeof *user);
    if (user == NULL)
        return fail_memory(reader);
    user->name = strdup(name);
    user->tenant = strdup(value + prefix);
    if (user->name != NULL && user->tenant != NULL)
        HASH_ADD_KEYPTR(hh, reader->config->users, user->name, strlen(user->name), user);
    if (user->name == NULL || user->tenant == NULL ||
        user->hh.tbl == NULL) { /* tbl: uthash ran out of memory */
        free(user->name);
        free(user->tenant);
        free(user);
        return fail_memory(reader);
    }
    return true;
}

static bool set_key(struct reader *reader, enum config_key key, const char *value)
{
    struct config *config = reader->config;
    struct error cause;

    if (config->lines[key] != 0) {
        fail(reader, "%s is given twice", keys[key].name);
        return error_hint(reader->err, "It stands in line %u already.", config->lines[key]);
    }
    if (!parse_value(key, value, &config->numbers[key], &cause))
        return fail_with(reader, &cause);
    config->lines[key] = reader->line;
    if (keys[key].secret) {
        if (!config_secret_replace(value, &config->values[key], &cause))
            return fail_with(reader, &cause);
        return true;
    }
    config->values[key] = strdup(value);
    return config->values[key] != NULL || fail_memory(reader);
}

/* inih calls this for each `name = value`. 0 stops nothing, so what follows an error is skipped here. */
static int on_pair(void *who, const char *section, const char *name, const char *value)
{
    enum { INIH_NAME_BYTES = 49 }; /* inih cuts names and sections silently there */
    struct reader *reader = who;
    enum config_key key;

    if (reader->failed)
        return 0;
    if (strlen(name) >= INIH_NAME_BYTES || strlen(section) >= INIH_NAME_BYTES)
        return fail(reader, "a name is longer than %d bytes", INIH_NAME_BYTES - 1);
    if (!is_section(section))
        return fail_unknown_section(reader, section);
    if (strcmp(section, "stores") == 0)
        return add_store(reader, name, value);
    if (strcmp(section, "routing") == 0 && strncmp(name, user_prefix, sizeof user_prefix - 1) == 0 &&
        name[sizeof user_prefix - 1] != '\0')
        return add_user(reader, name + sizeof user_prefix - 1, value);
    if (!config_find(name, &key) || strcmp(keys[key].section, section) != 0)
        return fail_unknown_key(reader, section, name);
    return set_key(reader, key, value);
}

/* A section header that inih would half understand: it ignores what follows the bracket. */
static bool check_header(struct reader *reader, const char *line)
{
    const char *close = strchr(line, ']');

    if (close == NULL)
        return fail(reader, "expected ] at the end of the section's name");
    close += 1 + strspn(close + 1, " \t\r\n");
    if (*close != '\0' && *close != ';' && *close != '#')
        return fail(reader, "expected the end of the line after the section's name, found \"%.40s\"", close);
    return true;
}

/* What inih would take for something else: half of a long line, a line that a NUL byte ends, and, because it
 * reads an indented line as the continuation of the one before, every indented key. */
static char *on_line(char *space, int space_bytes, void *who)
{
    struct reader *reader = who;
    size_t bytes, blank;

    if (reader->failed)
        return NULL;
    memset(space, '\n', (size_t)space_bytes); /* tells a NUL byte in the file from the end of the line */
    if (fgets(space, space_bytes, reader->file) == NULL) {
        if (ferror(reader->file))
            fail(reader, "cannot read: %s", strerror(errno));
        return NULL;
    }
    reader->line++;
    bytes = strlen(space);
    if (memrchr(space, '\0', (size_t)space_bytes) != space + bytes) {
        fail(reader, "the line has a NUL byte");
        return NULL;
    }
    if (bytes == (size_t)space_bytes - 1 && space[bytes - 1] != '\n') {
        fail(reader, "the line is longer than %d bytes", space_bytes - 2);
        return NULL;
    }
    blank = strspn(space, " \t");
    memmove(space, space + blank, bytes - blank + 1);
    if (space[0] == '[' && !check_header(reader, space))
        return NULL;
    return space;
}

/* ---- the whole file ---- */

static bool fill_defaults(struct reader *reader)
{
    struct config *config = reader->config;
    struct error cause;

    for (int i = 0; i < CONFIG_KEYS; i++) {
        if (config->values[i] != NULL)
            continue;
        if (keys[i].default_value == NULL) {
            fail(reader, "%s is missing in [%s]", keys[i].name, keys[i].section);
            return error_hint(reader->err, "%s = … is %s.", keys[i].name, keys[i].help);
        }
        if (!parse_value((enum config_key)i, keys[i].default_value, &config->numbers[i], &cause))
            return fail_with(reader, &cause);
        config->values[i] = strdup(keys[i].default_value);
        if (config->values[i] == NULL)
            return fail_memory(reader);
    }
    return true;
}

static bool has_store(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->store_count; i++) {
        if (strcmp(config->stores[i].name, name) == 0)
            return true;
    }
    return false;
}

/* A cross check's error belongs to the line that gave `key`; without one, to the end of the file. */
static void at_line_of(struct reader *reader, enum config_key key)
{
    if (reader->config->lines[key] != 0)
        reader->line = reader->config->lines[key];
}

/* What one key says about another. */
static bool cross_check(struct reader *reader)
{
    const struct config *config = reader->config;
    int64_t timeout_ms = config_number(config, CONFIG_CUTOVER_TIMEOUT_MS);

    if (config->store_count == 0)
        return fail(reader, "[stores] names no store");
    if (!has_store(config, config_text(config, CONFIG_DEFAULT_STORE))) {
        at_line_of(reader, CONFIG_DEFAULT_STORE);
        fail(reader, "default_store \"%s\" is not in [stores]", config_text(config, CONFIG_DEFAULT_STORE));
        return error_hint(reader->err, "The first store there is \"%s\".", config_store_name(config, 0));
    }
    if (config_is(config, CONFIG_AUTH_TYPE, "scram-sha-256") &&
        config_text(config, CONFIG_AUTH_FILE)[0] == '\0') {
        at_line_of(reader, CONFIG_AUTH_TYPE);
        fail(reader, "auth_type scram-sha-256 needs auth_file");
        return error_hint(reader->err, "Add auth_file = /path/to/users under [auth], or auth_type = trust.");
    }
    if (config_number(config, CONFIG_WRITE_HOLD_TIMEOUT_MS) < timeout_ms + 1000) {
        at_line_of(reader, CONFIG_WRITE_HOLD_TIMEOUT_MS);
        return fail(reader,
                    "write_hold_timeout_ms must be at least cutover_timeout_ms + 1000 = %" PRId64 ", not %s",
                    timeout_ms + 1000, config_text(config, CONFIG_WRITE_HOLD_TIMEOUT_MS));
    }
    if (config_number(config, CONFIG_CUTOVER_LOCK_MS) > timeout_ms) {
        at_line_of(reader, CONFIG_CUTOVER_LOCK_MS);
        return fail(reader, "cutover_lock_ms must not be above cutover_timeout_ms = %" PRId64 ", not %s",
                    timeout_ms, config_text(config, CONFIG_CUTOVER_LOCK_MS));
    }
    return true;
}

static bool read_file(struct reader *reader)
{
    int result;

    ini_max_line = CONFIG_LINE_BYTES_MAX; /* inih's own setting, 200 if nobody asks */
    result = ini_parse_stream(on_line, reader, on_pair, reader);
    if (reader->failed)
        return false;
    if (result < 0)
        return fail_memory(reader);
    if (result > 0) {
        reader->line = (unsigned)result;
        return fail(reader, "expected [section], name = value or a comment");
    }
    return fill_defaults(reader) && cross_check(reader);
}

bool config_read(const char *path, struct config **config, struct error *err)
{
    struct reader reader = { .path = path, .err = err };
    bool good;

    *config = NULL;
    reader.file = fopen(path, "re");
    if (reader.file == NULL)
        return error_set(err, errno == ENOENT ? "58P01" : "58030",
                         "cannot open configuration file \"%s\": %s", path, strerror(errno));
    reader.config = calloc(1, sizeof *reader.config);
    good = reader.config == NULL ? error_no_memory(err) : read_file(&reader);
    fclose(reader.file);
    if (!good) {
        config_free(reader.config);
        return false;
    }
    *config = reader.config;
    return true;
}

/* ---- what was read ---- */

const char *config_text(const struct config *config, enum config_key key)
{
    assert(key < CONFIG_KEYS);
    return config->values[key];
}

int64_t config_number(const struct config *config, enum config_key key)
{
    assert(config_info(key)->type == CONFIG_TYPE_NUMBER);
    return config->numbers[key];
}

bool config_flag(const struct config *config, enum config_key key)
{
    assert(config_info(key)->type == CONFIG_TYPE_FLAG);
    return config->numbers[key] != 0;
}

bool config_is(const struct config *config, enum config_key key, const char *choice)
{
    assert(config_info(key)->type == CONFIG_TYPE_CHOICE);
    assert(is_choice(config_info(key)->choices, choice));
    return strcmp(config->values[key], choice) == 0;
}

size_t config_store_count(const struct config *config)
{
    return config->store_count;
}

const char *config_store_name(const struct config *config, size_t index)
{
    assert(index < config->store_count);
    return config->stores[index].name;
}

const char *config_store_conninfo(const struct config *config, size_t index)
{
    assert(index < config->store_count);
    return config->stores[index].conninfo;
}

const char *config_user_tenant(const struct config *config, const char *user)
{
    struct user *found;

    HASH_FIND_STR(config->users, user, found);
    return found == NULL ? NULL : found->tenant;
}
