/* fuzz_msg.c - bytes from a peer: as a first packet, as messages, as an error's body, as options.
 * Promises checked: a view lies inside the buf, a size adds up, a parser that says MORE or BAD leaves nothing
 * behind. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "wire/msg.h"
#include "wire/read.h"
#include "wire/startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

static void require_inside(const struct buf *in, struct slice view)
{
    if (view.at != NULL)
        require(view.at >= buf_at(in) && view.at + view.bytes <= buf_at(in) + buf_bytes(in));
}

static void walk_options(struct slice options)
{
    struct buf name, value;
    size_t at = 0, before = 0;

    buf_init(&name);
    buf_init(&value);
    while (startup_options_next(options, &at, &name, &value)) {
        require(at > before && at <= options.bytes);
        require(buf_bytes(&name) > 0);
        before = at;
    }
    require(at <= options.bytes);
    buf_done(&name);
    buf_done(&value);
}

static void as_startup(const struct buf *in)
{
    struct startup startup;
    struct error err;

    error_clear(&err);
    switch (startup_next(in, &startup, &err)) {
    case WIRE_MORE:
        require(!error_is_set(&err));
        return;
    case WIRE_BAD:
        require(error_is_set(&err));
        return;
    case WIRE_MSG:
        break;
    }
    require(startup.total_bytes >= 8 && startup.total_bytes <= buf_bytes(in));
    require(startup.parameter_count <= STARTUP_PARAMETERS_MAX && startup.option_count <= STARTUP_OPTIONS_MAX);
    require_inside(in, startup.cancel_key);
    for (size_t i = 0; i < startup.parameter_count; i++) {
        require_inside(in, startup.parameters[i].name);
        require_inside(in, startup.parameters[i].value);
    }
    for (size_t i = 0; i < startup.option_count; i++)
        require_inside(in, startup.options[i]);
    walk_options(startup_get(&startup, "options"));
}

/* Reads of sizes that the input itself chooses. */
static void read_body(const struct buf *in, const struct msg *msg)
{
    struct read read = read_msg(msg);

    while (read_left(&read) > 0) {
        switch (read_u8(&read) % 5) {
        case 0:
            read_u16(&read);
            break;
        case 1:
            require_inside(in, read_slice(&read, read_u32(&read)));
            break;
        case 2:
            require_inside(in, read_text(&read));
            break;
        case 3:
            read_i32(&read);
            break;
        default:
            break;
        }
    }
    require(read_done(&read) != read.bad);
    for (const char *code = "SVCMDHPpqWstcdnFLR"; *code != '\0'; code++)
        require_inside(in, read_error_field(msg, *code));
}

static void as_messages(struct buf *in)
{
    struct msg msg;
    struct error err;

    while (msg_next(in, &msg, &err) == WIRE_MSG) {
        require(msg.total_bytes == msg.body_bytes + MSG_HEADER_BYTES && msg.total_bytes <= buf_bytes(in));
        require(msg.body == buf_at(in) + MSG_HEADER_BYTES);
        require(msg_name(msg.type, true) != NULL && msg_name(msg.type, false) != NULL);
        read_body(in, &msg);
        buf_consume(in, msg.total_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf in;

    buf_init(&in);
    buf_append(&in, data, size);
    as_startup(&in);
    as_messages(&in);
    buf_done(&in);
    walk_options((struct slice){ (const char *)data, size });
    return 0;
}
