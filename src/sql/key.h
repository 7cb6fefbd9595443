/* key.h - the streams and events that a statement names, by value (private to sql). Pure. */
#ifndef PGSHUNT_SQL_KEY_H
#define PGSHUNT_SQL_KEY_H

#include "sql/attribute.h"

typedef bool key_visitor(void *who, struct slice key);

/* Calls `visit` for every key (struct stream_finder) of every reference: all combinations of the values of
 * its columns. A column that can be nothing (an empty array) makes no key. false: visit() said so, no memory
 * (*why NULL), or they are not all known: *why is a static sentence. */
bool key_each(const struct plan_statement *statement, struct slice text, const struct shape *shape,
              const struct parameters *params, key_visitor *visit, void *who, const char **why);

#endif
