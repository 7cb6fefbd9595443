/* auth_rules.c - see auth_rules.h. */
#include "proxy/auth_rules.h"

#include <stdlib.h>
#include <string.h>

static enum auth_type type_of(const struct config *config)
{
    static const struct {
        const char *name;
        enum auth_type type;
    } names[] = { { "md5", AUTH_MD5 },
                  { "trust", AUTH_TRUST },
                  { "peer", AUTH_PEER },
                  { "cert", AUTH_CERT },
                  { "hba", AUTH_HBA } };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (config_is(config, CONFIG_AUTH_TYPE, names[i].name))
            return names[i].type;
    return AUTH_SCRAM;
}

static bool copy_texts(struct auth_rules *rules, const struct config *config, struct error *err)
{
    rules->query = strdup(config_text(config, CONFIG_AUTH_QUERY));
    rules->query_user = strdup(config_text(config, CONFIG_AUTH_USER));
    rules->query_dbname = strdup(config_text(config, CONFIG_AUTH_DBNAME));
    rules->map = strdup(config_text(config, CONFIG_AUTH_MAP));
    return (rules->map != NULL && rules->query != NULL && rules->query_user != NULL &&
            rules->query_dbname != NULL) ||
           error_no_memory(err);
}

static bool read_hba(struct auth_rules *rules, const struct config *config, struct error *err)
{
    const char *path = config_text(config, CONFIG_HBA_FILE);

    if (rules->type != AUTH_HBA)
        return true;
    if (path[0] != '\0')
        return hba_read(path, &rules->hba, err);
    error_set(err, "F0000", "auth_type = hba needs hba_file");
    return error_hint(err,
                      "hba_file = /etc/pgshunt/hba.conf in [auth]; docs/authentication.md has an example.");
}

static bool check_query(const struct auth_rules *rules, struct error *err)
{
    if (rules->query_user[0] == '\0' || strstr(rules->query, "$1") != NULL)
        return true;
    error_set(err, "F0000", "auth_query does not ask for $1");
    return error_hint(err, "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1");
}

static bool check_map(const struct auth_rules *rules, const struct config *config, struct error *err)
{
    if (rules->map[0] == '\0')
        return true;
    if (rules->type != AUTH_CERT && rules->type != AUTH_PEER)
        error_set(err, "F0000", "auth_map is for auth_type = cert or peer");
    else if (config_text(config, CONFIG_IDENT_FILE)[0] == '\0')
        error_set(err, "F0000", "auth_map = %s needs ident_file", rules->map);
    else
        return true;
    return error_hint(err,
                      rules->type == AUTH_HBA
                          ? "In hba_file a line names its map itself: map=%s."
                          : "ident_file has lines such as: %s  name-in-certificate  user.",
                      rules->map);
}

bool auth_rules_read(const struct config *config, struct auth_rules **read, struct error *err)
{
    struct auth_rules *rules = calloc(1, sizeof *rules);

    *read = NULL;
    if (rules == NULL)
        return error_no_memory(err);
    rules->type = type_of(config);
    rules->delay_ms = (uint32_t)config_number(config, CONFIG_AUTH_DELAY_MS);
    rules->login_timeout_ms = (uint32_t)config_number(config, CONFIG_CLIENT_LOGIN_TIMEOUT) * 1000;
    if (!copy_texts(rules, config, err) || !check_query(rules, err) || !check_map(rules, config, err) ||
        !auth_file_read(config_text(config, CONFIG_AUTH_FILE), &rules->users, err) ||
        !ident_read(config_text(config, CONFIG_IDENT_FILE), &rules->ident, err) ||
        !read_hba(rules, config, err)) {
        auth_rules_free(rules);
        return false;
    }
    *read = rules;
    return true;
}

void auth_rules_free(struct auth_rules *rules)
{
    if (rules == NULL)
        return;
    auth_file_free(rules->users);
    hba_free(rules->hba);
    ident_free(rules->ident);
    free(rules->map);
    free(rules->query);
    free(rules->query_user);
    free(rules->query_dbname);
    free(rules);
}
