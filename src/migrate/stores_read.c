/* stores_read.c - [stores] of the configuration, parsed by libpq, so that a connection string means here what
 * it means everywhere: environment, service and defaults included. Owns:   what it makes, until
 * stores_free(). Thread: main, before others run.   Start at: stores_read(). */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "migrate/control.h"

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++) {
        if (strcmp(options->keyword, keyword) == 0)
            return options->val == NULL ? "" : options->val;
    }
    return "";
}

/* The first of a comma-separated list: the proxy's own connections know one address. */
static char *first_of(const char *list)
{
    return strndup(list, strcspn(list, ","));
}

/* A string that no log or SHOW may print; libpq marks such options with '*' itself. */
static bool is_secret(const PQconninfoOption *option_)
{
    return option_->dispchar[0] == '*' || strcmp(option_->keyword, "password") == 0 ||
           strcmp(option_->keyword, "sslpassword") == 0;
}

static char *without_secrets(const PQconninfoOption *options)
{
    struct buf out;
    char *text;

    buf_init(&out);
    for (; options->keyword != NULL; options++) {
        if (options->val == NULL || options->val[0] == '\0' || is_secret(options))
            continue;
        buf_append_format(&out, "%s%s='", buf_bytes(&out) == 0 ? "" : " ", options->keyword);
        for (const char *at = options->val; *at != '\0'; at++) {
            if (*at == '\'' || *at == '\\')
                buf_append_text(&out, "\\");
            buf_append(&out, at, 1);
        }
        buf_append_text(&out, "'");
    }
    text = buf_failed(&out) ? NULL : strdup(buf_text(&out));
    buf_done(&out);
    return text;
}

/* What the string itself does not say: the environment, then what libpq was built with. */
static char *value_or(const PQconninfoOption *options, const PQconninfoOption *defaults, const char *keyword,
                      const char *otherwise)
{
    const char *value = option(options, keyword);

    if (value[0] == '\0')
        value = option(defaults, keyword);
    return first_of(value[0] == '\0' ? otherwise : value);
}

/* Only what the string itself says: for the rest our own keys decide, not libpq's defaults. */
static bool fill_tls(struct store_tls *tls, const PQconninfoOption *options)
{
    const char *host = option(options, "host");

    tls->mode = strdup(option(options, "sslmode"));
    tls->ca_file = strdup(option(options, "sslrootcert"));
    tls->cert_file = strdup(option(options, "sslcert"));
    tls->key_file = strdup(option(options, "sslkey"));
    tls->host = first_of(host[0] == '\0' ? option(options, "hostaddr") : host);
    tls->must_bind = strcmp(option(options, "channel_binding"), "require") == 0;
    return tls->mode != NULL && tls->ca_file != NULL && tls->cert_file != NULL && tls->key_file != NULL &&
           tls->host != NULL;
}

static bool fill(struct store *store, const PQconninfoOption *options, const PQconninfoOption *defaults,
                 struct error *err)
{
    const char *address = option(options, "hostaddr");

    store->host =
        address[0] != '\0' ? first_of(address) : value_or(options, defaults, "host", "/var/run/postgresql");
    store->port = value_or(options, defaults, "port", "5432");
    store->user = value_or(options, defaults, "user", "");
    store->dbname = value_or(options, defaults, "dbname", store->user == NULL ? "" : store->user);
    store->password = strdup(option(options, "password"));
    store->conninfo_public = without_secrets(options);
    if (store->host == NULL || store->port == NULL || store->user == NULL || store->dbname == NULL ||
        store->password == NULL || store->conninfo_public == NULL || !fill_tls(&store->tls, options))
        return error_no_memory(err);
    return true;
}

static bool read_one(const struct config *config, size_t index, const PQconninfoOption *defaults,
                     struct store *store, struct error *err)
{
    const char *name = config_store_name(config, index);
    char *why = NULL;
    PQconninfoOption *options;
    bool good;

    if (strlen(name) >= sizeof store->name)
        return error_set(err, "42622", "the store name \"%.32s…\" is too long", name);
    snprintf(store->name, sizeof store->name, "%s", name);
    store->index = (unsigned)index;
    store->conninfo = strdup(config_store_conninfo(config, index));
    if (store->conninfo == NULL)
        return error_no_memory(err);
    options = PQconninfoParse(store->conninfo, &why);
    if (options == NULL) {
        /* libpq may quote the string, and with it a password. */
        error_set(err, "22023", "[stores]: the connection string of \"%s\" is not valid", name);
        error_hint(err, "Write %s = host=… port=… dbname=… user=…, as for psql.", name);
        PQfreemem(why);
        return false;
    }
    good = fill(store, options, defaults, err);
    PQconninfoFree(options);
    return good;
}

static bool find_default(const struct config *config, struct stores *stores, struct error *err)
{
    const char *name = config_text(config, CONFIG_DEFAULT_STORE);
    const struct store *store = stores_get(stores, name);

    if (store == NULL) {
        error_set(err, "42704", "default_store \"%s\" is not one of [stores]", name);
        return error_hint(err, "Add %s = host=… dbname=… under [stores].", name);
    }
    stores->default_index = store->index;
    return true;
}

static bool read_all(const struct config *config, struct stores *stores, const PQconninfoOption *defaults,
                     struct error *err)
{
    size_t count = config_store_count(config);

    if (count > STORES_MAX)
        return error_set(err, "54000", "[stores] names %zu stores, %d are possible", count, STORES_MAX);
    for (size_t i = 0; i < count; i++) {
        stores->count++; /* first, so that a half-made one is freed */
        if (!read_one(config, i, defaults, &stores->at[i], err))
            return false;
    }
    return find_default(config, stores, err);
}

bool stores_read(const struct config *config, struct stores **read, struct error *err)
{
    struct stores *stores = calloc(1, sizeof *stores);
    PQconninfoOption *defaults = PQconndefaults();
    bool good;

    *read = NULL;
    good =
        stores != NULL && defaults != NULL ? read_all(config, stores, defaults, err) : error_no_memory(err);
    PQconninfoFree(defaults);
    if (!good) {
        stores_free(stores);
        return false;
    }
    *read = stores;
    return true;
}
