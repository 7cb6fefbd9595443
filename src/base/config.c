/* config.c - reads the INI file, and says in which line what is wrong.
 * Owns:   the values read, the stores, the users' tenants.
 * Leaves: what a value may be to config_value, the INI syntax to inih, whether a conninfo is one to libpq
 * (migrate/pg). Thread: any; a config does not change once read. Start at: config_read(), then on_pair(). */
#include "base/config.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/config_secret.h"
#include "base/config_struct.h"
#include "base/config_value.h"
#include "base/limits.h"
#include "base/preset.h"

/* [routing] user.NAME and database.NAME */
static const struct mapping_kind {
    const char *prefix, *what;
} mapping_kinds[MAPPINGS] = {
    [MAPPING_USER] = { "user.", "user" }, [MAPPING_DATABASE] = { "database.", "database" }
};
static const char tenant_prefix[] = "tenant:";

/* The state of one reading. */
struct reader {
    const char *path;
    FILE *file;
    unsigned line;
    struct config *config;
    struct error *err;
    bool failed; /* err is set; the rest of the file is not looked at */
};

static void config_free(struct config *config)
{
    struct config_mapping *mapping, *next;

    for (size_t i = 0; i < CONFIG_KEYS; i++)
        config_secret_free(config->values[i]);
    config_free_stores(config);
    for (size_t i = 0; i < MAPPINGS; i++)
        HASH_ITER(hh, config->mappings[i], mapping, next) {
            HASH_DEL(config->mappings[i], mapping);
            free(mapping->name);
            free(mapping->tenant);
            free(mapping);
        }
    free(config);
}

const struct config *config_take(const struct config *config)
{
    struct config *taken = (struct config *)config; /* the count is not a part of what never changes */

    atomic_fetch_add_explicit(&taken->references, 1, memory_order_relaxed);
    return taken;
}

void config_give(const struct config *config)
{
    struct config *given = (struct config *)config;

    if (given != NULL && atomic_fetch_sub_explicit(&given->references, 1, memory_order_acq_rel) == 1)
        config_free(given);
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
    const struct config_info *nearest = config_info((enum config_key)0);
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        /* A key of the same section is the likelier one. */
        size_t apart = distance(name, config_info((enum config_key)i)->name) * 2 +
                       (strcmp(section, config_info((enum config_key)i)->section) != 0);

        if (apart < best) {
            best = apart;
            nearest = config_info((enum config_key)i);
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
        if (strcmp(config_info((enum config_key)i)->section, name) == 0)
            return true;
    }
    return strcmp(name, "stores") == 0;
}

static bool add_store(struct reader *reader, const char *name, const char *value)
{
    struct config *config = reader->config;
    struct error cause;
    struct config_store *stores, store;

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

static bool add_mapping(struct reader *reader, enum mapping kind, const char *name, const char *value)
{
    const struct mapping_kind *words = &mapping_kinds[kind];
    const size_t prefix = sizeof tenant_prefix - 1;
    struct config_mapping **list = &reader->config->mappings[kind], *mapping;

    if (strncmp(value, tenant_prefix, prefix) != 0 || value[prefix] == '\0')
        return fail(reader, "%s%s must be tenant:VALUE, not \"%s\"", words->prefix, name, value);
    if (strlen(value + prefix) >= TENANT_BYTES_MAX)
        return fail(reader, "the tenant of %s \"%s\" is longer than %d bytes", words->what, name,
                    TENANT_BYTES_MAX - 1);
    HASH_FIND_STR(*list, name, mapping);
    if (mapping != NULL)
        return fail(reader, "the tenant of %s \"%s\" is given twice", words->what, name);
    mapping = calloc(1, sizeof *mapping);
    if (mapping == NULL)
        return fail_memory(reader);
    mapping->name = strdup(name);
    mapping->tenant = strdup(value + prefix);
    if (mapping->name != NULL && mapping->tenant != NULL)
        HASH_ADD_KEYPTR(hh, *list, mapping->name, strlen(mapping->name), mapping);
    if (mapping->name == NULL || mapping->tenant == NULL ||
        mapping->hh.tbl == NULL) { /* tbl: uthash ran out of memory */
        free(mapping->name);
        free(mapping->tenant);
        free(mapping);
        return fail_memory(reader);
    }
    return true;
}

/* Which mapping the key is one of, and *name what it maps; MAPPINGS: none. */
static enum mapping mapping_of(const char *section, const char *key, const char **name)
{
    for (size_t i = 0; i < MAPPINGS && strcmp(section, "routing") == 0; i++) {
        size_t prefix = strlen(mapping_kinds[i].prefix);

        if (strncmp(key, mapping_kinds[i].prefix, prefix) == 0 && key[prefix] != '\0') {
            *name = key + prefix;
            return (enum mapping)i;
        }
    }
    return MAPPINGS;
}

static bool set_key(struct reader *reader, enum config_key key, const char *value)
{
    struct config *config = reader->config;
    struct error cause;

    if (config->lines[key] != 0) {
        fail(reader, "%s is given twice", config_info(key)->name);
        return error_hint(reader->err, "It stands in line %u already.", config->lines[key]);
    }
    if (!config_parse_value(key, value, &config->numbers[key], &cause))
        return fail_with(reader, &cause);
    config->lines[key] = reader->line;
    if (config_info(key)->secret) {
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
    const char *mapped = NULL;
    enum mapping kind;
    enum config_key key;

    if (reader->failed)
        return 0;
    if (strlen(name) >= INIH_NAME_BYTES || strlen(section) >= INIH_NAME_BYTES)
        return fail(reader, "a name is longer than %d bytes", INIH_NAME_BYTES - 1);
    if (!is_section(section))
        return fail_unknown_section(reader, section);
    if (strcmp(section, "stores") == 0)
        return add_store(reader, name, value);
    kind = mapping_of(section, name, &mapped);
    if (kind != MAPPINGS)
        return add_mapping(reader, kind, mapped, value);
    if (!config_find(name, &key) || strcmp(config_info(key)->section, section) != 0)
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
    const char *preset = config->values[CONFIG_PRESET] == NULL ? "" : config->values[CONFIG_PRESET];
    struct error cause;

    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *value = preset_value(preset, (enum config_key)i);

        if (config->values[i] != NULL)
            continue;
        if (value == NULL)
            value = config_info((enum config_key)i)->default_value;
        if (value == NULL) {
            fail(reader, "%s is missing in [%s]", config_info((enum config_key)i)->name,
                 config_info((enum config_key)i)->section);
            return error_hint(reader->err, "%s = … is %s.", config_info((enum config_key)i)->name,
                              config_info((enum config_key)i)->help);
        }
        if (!config_parse_value((enum config_key)i, value, &config->numbers[i], &cause))
            return fail_with(reader, &cause);
        config->values[i] = strdup(value);
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
    if (config_text(config, CONFIG_LISTEN)[0] == '\0' &&
        config_text(config, CONFIG_UNIX_SOCKET_DIR)[0] == '\0') {
        at_line_of(reader, CONFIG_LISTEN);
        fail(reader, "listen is empty, and there is no unix_socket_dir");
        return error_hint(reader->err, "listen = 127.0.0.1:6432, for example.");
    }
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
    if (reader.config != NULL)
        atomic_init(&reader.config->references, 1);
    good = reader.config == NULL ? error_no_memory(err) : read_file(&reader);
    fclose(reader.file);
    if (!good) {
        config_give(reader.config);
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
    assert(config_is_choice(config_info(key)->choices, choice));
    return strcmp(config->values[key], choice) == 0;
}

int config_socket_port(const struct config *config)
{
    enum { PORT_OF_PGBOUNCER = 6432 };
    int port = (int)config_number(config, CONFIG_UNIX_SOCKET_PORT);
    struct slice item, host;
    size_t at = 0;

    if (port == 0 && config_next_item(config_text(config, CONFIG_LISTEN), &at, &item))
        config_parse_address(item, &host, &port);
    return port != 0 ? port : PORT_OF_PGBOUNCER;
}

unsigned config_socket_mode(const struct config *config)
{
    return (unsigned)strtoul(config_text(config, CONFIG_UNIX_SOCKET_MODE), NULL, 8);
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

static const char *find_mapping(const struct config *config, enum mapping kind, const char *name)
{
    struct config_mapping *found;

    HASH_FIND_STR(config->mappings[kind], name, found);
    return found == NULL ? NULL : found->tenant;
}

const char *config_user_tenant(const struct config *config, const char *user)
{
    return find_mapping(config, MAPPING_USER, user);
}

const char *config_database_tenant(const struct config *config, const char *database)
{
    return find_mapping(config, MAPPING_DATABASE, database);
}
