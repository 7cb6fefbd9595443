/* tree.c - children by protobuf-c's own descriptors.
 * Thread: any.   Start at: tree_each(). The depth of recursion is bounded by shape.c. */
#include "sql/tree.h"

static const ProtobufCMessage *field_message(const ProtobufCMessage *message,
                                             const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;

    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(base + field->quantifier_offset) != field->id)
        return NULL;
    return *(const ProtobufCMessage *const *)(base + field->offset);
}

/* All members of a Node's union are pointers to messages: which one it is need not be known. */
static const ProtobufCMessage *node_message(const PgQuery__Node *node)
{
    return node->node_case == PG_QUERY__NODE__NODE__NOT_SET ? NULL : (const ProtobufCMessage *)node->alias;
}

void tree_each(const ProtobufCMessage *message, tree_visitor *visit, void *who)
{
    while (message != NULL && message->descriptor == &pg_query__node__descriptor)
        message = node_message((const PgQuery__Node *)message);
    if (message != NULL && visit(message, who))
        tree_children(message, visit, who);
}

void tree_children(const ProtobufCMessage *message, tree_visitor *visit, void *who)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const char *base = (const char *)message;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)(base + field->quantifier_offset);
            ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)(base + field->offset);

            for (size_t item = 0; item < count; item++)
                tree_each(items[item], visit, who);
        } else {
            tree_each(field_message(message, field), visit, who);
        }
    }
}

bool node_is(const PgQuery__Node *node, PgQuery__Node__NodeCase kind)
{
    return node != NULL && node->node_case == kind;
}

const char *node_text(const PgQuery__Node *node)
{
    return node_is(node, NODE(STRING)) ? node->string->sval : NULL;
}

const char *name_of(PgQuery__Node *const *parts, size_t count, const char **schema)
{
    *schema = count > 1 ? node_text(parts[count - 2]) : NULL;
    return count > 0 ? node_text(parts[count - 1]) : NULL;
}
