/* secrets.h - what auth_query has answered lately: user → secret, or that there is none. Bounded, the oldest
 * goes first. Pure. */
#ifndef PGSHUNT_PROXY_SECRETS_H
#define PGSHUNT_PROXY_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secrets;

struct secrets *secrets_new(size_t entries_max); /* NULL: no memory */
void secrets_free(struct secrets *secrets);
/* secret NULL: there is no such user. Copied; without memory it is not kept. */
void secrets_keep(struct secrets *secrets, const char *user, const char *secret, uint64_t until_ms);
/* false: not known (any more). *secret is valid until the next call. */
bool secrets_recall(struct secrets *secrets, const char *user, uint64_t now_ms, const char **secret);
void secrets_forget(struct secrets *secrets, const char *user);
void secrets_forget_all(struct secrets *secrets);

#endif
