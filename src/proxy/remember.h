/* remember.h - what the last login of a user reported (ParameterStatus): with it a session can begin although
 * its home store is down, so that a tenant that lives elsewhere still connects (DESIGN §3.4). One loop's;
 * bounded. */
#ifndef PGSHUNT_PROXY_REMEMBER_H
#define PGSHUNT_PROXY_REMEMBER_H

#include <stdbool.h>

#include "proxy/session.h"

struct remember;

struct remember *remember_new(void);
void remember_free(struct remember *remember); /* NULL is fine */
void remember_login(struct remember *remember, const char *user, const char *database,
                    const struct session *session);
void remember_report(struct remember *remember, const char *user, const char *database,
                     const struct report *told);
/* Reports into `session` what was remembered. false: nothing was. */
bool remember_recall(const struct remember *remember, const char *user, const char *database,
                     struct session *session);

#endif
