/* auth_rules.h - all that decides who may log in: auth_type, and what auth_file, hba_file and ident_file
 * hold. Read as a whole, at the start and at RELOAD; immutable. Part of struct proxy_settings: whoever logs
 * in keeps the rules it began with. */
#ifndef PGSHUNT_PROXY_AUTH_RULES_H
#define PGSHUNT_PROXY_AUTH_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "proxy/auth_file.h"
#include "proxy/auth_type.h"
#include "proxy/hba.h"
#include "proxy/ident.h"

struct auth_rules {
    enum auth_type type;
    struct auth_file *users;
    struct hba *hba; /* NULL unless type is AUTH_HBA */
    struct ident *ident;
    char *map; /* auth_map; "": none. Of hba_file each line has its own */
    char *query, *query_user,
        *query_dbname; /* auth_query …; query_user "" : there is none. dbname "" : the store's */
    uint32_t delay_ms; /* auth_delay_ms */
    uint32_t login_timeout_ms;
};

/* false: `err` names file and line; *rules is NULL. Everything is copied out of `config`. Any thread. */
bool auth_rules_read(const struct config *config, struct auth_rules **rules, struct error *err);
void auth_rules_free(struct auth_rules *rules); /* NULL is fine */

#endif
