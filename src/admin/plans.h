/* plans.h - SHOW PLANS: the same shape in several loops' caches, and under several schemas, is one row. Pure.
 */
#ifndef PGSHUNT_ADMIN_PLANS_H
#define PGSHUNT_ADMIN_PLANS_H

#include "base/rows.h"

/* Adds what loops have told (proxy/tell_plans.h) up into `to`, most used first. false: no memory. */
bool plans_merge(struct rows *const *parts, unsigned count, struct rows *to);

#endif
