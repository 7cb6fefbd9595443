/* tree.h - libpg_query's tree, walked without naming its 240 kinds of nodes (private to sql).
 * Every field of a message that is a message is a child; a Node is only a wrapper and is passed through.
 * Pure. */
#ifndef PGSHUNT_SQL_TREE_H
#define PGSHUNT_SQL_TREE_H

#include <stdbool.h>

#include <pg_query/pg_query.pb-c.h>

#define NODE(name) PG_QUERY__NODE__NODE_##name

/* Called for a message before its children; true: go into them. Tell messages apart by ->descriptor. */
typedef bool tree_visitor(const ProtobufCMessage *message, void *who);

void tree_each(const ProtobufCMessage *message, tree_visitor *visit, void *who);     /* NULL is fine */
void tree_children(const ProtobufCMessage *message, tree_visitor *visit, void *who); /* without itself */

bool node_is(const PgQuery__Node *node, PgQuery__Node__NodeCase kind); /* NULL is nothing */
/* The text of a String node; NULL: it is something else. */
const char *node_text(const PgQuery__Node *node);
/* The last part of a qualified name, and in *schema the one before it, or NULL. NULL: no name (a star). */
const char *name_of(PgQuery__Node *const *parts, size_t count, const char **schema);

#endif
