/* msg.c - message boundaries and the names of message types.   Thread: any. */
#include "wire/msg.h"

#include "base/limits.h"
#include "wire/read.h"

enum wire_result msg_peek(const struct buf *in, struct msg *msg, struct error *err)
{
    struct read read;
    uint32_t length;

    if (buf_bytes(in) < MSG_HEADER_BYTES)
        return WIRE_MORE;
    read = read_bytes_of(buf_at(in), MSG_HEADER_BYTES);
    msg->type = (char)read_u8(&read);
    length = read_u32(&read); /* counts itself, not the type */
    if (length < 4 || length > MESSAGE_BYTES_MAX) {
        error_set(err, "08P01", "invalid message length");
        error_detail(err, "The message's type byte is %d, its length says %lu.", (unsigned char)msg->type,
                     (unsigned long)length);
        return WIRE_BAD;
    }
    msg->body = buf_at(in) + MSG_HEADER_BYTES;
    msg->body_bytes = length - 4;
    msg->total_bytes = (size_t)length + 1;
    return WIRE_MSG;
}

enum wire_result msg_next(const struct buf *in, struct msg *msg, struct error *err)
{
    enum wire_result result = msg_peek(in, msg, err);

    if (result == WIRE_MSG && buf_bytes(in) < msg->total_bytes)
        return WIRE_MORE;
    return result;
}

/* By type byte; NULL: not a type. */
static const char *const frontend_names[128] = {
    [FE_BIND] = "Bind",
    [FE_CLOSE] = "Close",
    [FE_COPY_DATA] = "CopyData",
    [FE_COPY_DONE] = "CopyDone",
    [FE_COPY_FAIL] = "CopyFail",
    [FE_DESCRIBE] = "Describe",
    [FE_EXECUTE] = "Execute",
    [FE_FLUSH] = "Flush",
    [FE_FUNCTION_CALL] = "FunctionCall",
    [FE_PARSE] = "Parse",
    [FE_PASSWORD] = "PasswordMessage",
    [FE_QUERY] = "Query",
    [FE_SYNC] = "Sync",
    [FE_TERMINATE] = "Terminate",
};

static const char *const backend_names[128] = {
    [BE_AUTHENTICATION] = "Authentication",
    [BE_BACKEND_KEY_DATA] = "BackendKeyData",
    [BE_BIND_COMPLETE] = "BindComplete",
    [BE_CLOSE_COMPLETE] = "CloseComplete",
    [BE_COMMAND_COMPLETE] = "CommandComplete",
    [BE_COPY_BOTH] = "CopyBothResponse",
    [BE_COPY_DATA] = "CopyData",
    [BE_COPY_DONE] = "CopyDone",
    [BE_COPY_IN] = "CopyInResponse",
    [BE_COPY_OUT] = "CopyOutResponse",
    [BE_DATA_ROW] = "DataRow",
    [BE_EMPTY_QUERY] = "EmptyQueryResponse",
    [BE_ERROR] = "ErrorResponse",
    [BE_FUNCTION_RESULT] = "FunctionCallResponse",
    [BE_NEGOTIATE_VERSION] = "NegotiateProtocolVersion",
    [BE_NO_DATA] = "NoData",
    [BE_NOTICE] = "NoticeResponse",
    [BE_NOTIFICATION] = "NotificationResponse",
    [BE_PARAMETER_DESCRIPTION] = "ParameterDescription",
    [BE_PARAMETER_STATUS] = "ParameterStatus",
    [BE_PARSE_COMPLETE] = "ParseComplete",
    [BE_PORTAL_SUSPENDED] = "PortalSuspended",
    [BE_READY] = "ReadyForQuery",
    [BE_ROW_DESCRIPTION] = "RowDescription",
};

const char *msg_name(char type, bool from_frontend)
{
    const unsigned char index = (unsigned char)type;
    const char *name = index >= 128 ? NULL : from_frontend ? frontend_names[index] : backend_names[index];

    return name == NULL ? "unknown" : name;
}

bool msg_is_frontend(char type)
{
    return (unsigned char)type < 128 && frontend_names[(unsigned char)type] != NULL;
}
