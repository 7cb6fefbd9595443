/* config_secret.h - ${ENV:NAME} and ${FILE:/path} in a connection string, so that no password need stand in
 * the configuration file. Any thread. */
#ifndef PGSHUNT_BASE_CONFIG_SECRET_H
#define PGSHUNT_BASE_CONFIG_SECRET_H

#include <stdbool.h>

#include "base/error.h"

/* A copy of `text` with the references replaced; the caller frees it with config_secret_free(). What comes in
 * is escaped for where it stands (percent signs in a URI, backslashes in keyword = value), so that any
 * password is one; a reference that is the whole text brings a whole connection string and is taken as it is.
 */
bool config_secret_replace(const char *text, char **replaced, struct error *err);
void config_secret_free(char *text); /* overwrites it first; NULL is fine */

#endif
