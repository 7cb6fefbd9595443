/* msg.h - the next message of a protocol 3 stream (PostgreSQL documentation, "Frontend/Backend Protocol",
 * "Message Formats"). Pure: reads a buf, never waits, remembers nothing. */
#ifndef PGSHUNT_WIRE_MSG_H
#define PGSHUNT_WIRE_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum wire_result { WIRE_MSG, WIRE_MORE, WIRE_BAD };

/* Types as the frontend sends them … */
enum {
    FE_BIND = 'B', FE_CLOSE = 'C', FE_COPY_DATA = 'd', FE_COPY_DONE = 'c', FE_COPY_FAIL = 'f', FE_DESCRIBE = 'D',
    FE_EXECUTE = 'E', FE_FLUSH = 'H', FE_FUNCTION_CALL = 'F', FE_PARSE = 'P', FE_PASSWORD = 'p', FE_QUERY = 'Q',
    FE_SYNC = 'S', FE_TERMINATE = 'X',
};
/* … and as the backend does. */
enum {
    BE_AUTHENTICATION = 'R', BE_BACKEND_KEY_DATA = 'K', BE_BIND_COMPLETE = '2', BE_CLOSE_COMPLETE = '3',
    BE_COMMAND_COMPLETE = 'C', BE_COPY_BOTH = 'W', BE_COPY_DATA = 'd', BE_COPY_DONE = 'c', BE_COPY_IN = 'G',
    BE_COPY_OUT = 'H', BE_DATA_ROW = 'D', BE_EMPTY_QUERY = 'I', BE_ERROR = 'E', BE_FUNCTION_RESULT = 'V',
    BE_NEGOTIATE_VERSION = 'v', BE_NO_DATA = 'n', BE_NOTICE = 'N', BE_NOTIFICATION = 'A',
    BE_PARAMETER_DESCRIPTION = 't', BE_PARAMETER_STATUS = 'S', BE_PARSE_COMPLETE = '1', BE_PORTAL_SUSPENDED = 's',
    BE_READY = 'Z', BE_ROW_DESCRIPTION = 'T',
};

enum { MSG_HEADER_BYTES = 5 };

struct msg {
    char type;
    const char *body;   /* in the buf; valid until the buf changes */
    size_t body_bytes;
    size_t total_bytes; /* with type and length: what to consume or to forward */
};

/* Only the header: type and sizes, body not promised to have come. BAD: a length below four or above
 * MESSAGE_BYTES_MAX (08P01). */
enum wire_result msg_peek(const struct buf *in, struct msg *msg, struct error *err);
/* A whole message: MORE until all of it is in the buf. Does not consume. */
enum wire_result msg_next(const struct buf *in, struct msg *msg, struct error *err);

/* "Query", "Bind" …; frontend types where `from_frontend`. "unknown" for others. */
const char *msg_name(char type, bool from_frontend);
bool msg_is_frontend(char type); /* a type that a client may send after startup */

#endif
