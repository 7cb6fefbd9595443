/* auth_file.h - PgBouncer's userlist format: "user" "password or verifier", one a line, ; comments. Immutable
 * once read; shared by all loops. */
#ifndef PGSHUNT_PROXY_AUTH_FILE_H
#define PGSHUNT_PROXY_AUTH_FILE_H

#include <stdbool.h>

#include "base/error.h"

struct auth_file;

/* `path` "" : an empty one. false: cannot be read, or a line is malformed (F0000, file:line); *file is NULL.
 */
bool auth_file_read(const char *path, struct auth_file **file, struct error *err);
void auth_file_free(struct auth_file *file); /* NULL is fine */
/* Most secrets in it are SCRAM verifiers. */
bool auth_file_is_mostly_scram(const struct auth_file *file);
/* One by one, until `take` says false. */
void auth_file_each(const struct auth_file *file,
                    bool (*take)(void *who, const char *user, const char *secret), void *who);
/* The secret as written (plain, "SCRAM-SHA-256$…" or "md5…"); NULL: no such user. */
const char *auth_file_secret(const struct auth_file *file, const char *user);

#endif
