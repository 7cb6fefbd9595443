/* write.c - the messages that pgshunt says itself.
 * Marks are offsets from the buf's head, so that a buf may move its bytes between write_begin() and
 * write_end(). Thread: the buf's owner's.   Start at: write_begin(). */
#include "wire/write.h"

#include <string.h>

#include "wire/msg.h"
#include "wire/startup.h"

enum {
    AUTH_OK = 0,
    AUTH_PASSWORD = 3,
    AUTH_MD5 = 5,
    AUTH_SASL = 10,
    AUTH_SASL_CONTINUE = 11,
    AUTH_SASL_FINAL = 12
};

static const uint32_t protocol_3 = 3u << 16;

void write_u8(struct buf *out, uint8_t value)
{
    buf_append(out, &value, 1);
}

void write_u16(struct buf *out, uint16_t value)
{
    const unsigned char bytes[] = { (unsigned char)(value >> 8), (unsigned char)value };

    buf_append(out, bytes, sizeof bytes);
}

static void put_u32(unsigned char bytes[4], uint32_t value)
{
    bytes[0] = (unsigned char)(value >> 24);
    bytes[1] = (unsigned char)(value >> 16);
    bytes[2] = (unsigned char)(value >> 8);
    bytes[3] = (unsigned char)value;
}

void write_u32(struct buf *out, uint32_t value)
{
    unsigned char bytes[4];

    put_u32(bytes, value);
    buf_append(out, bytes, sizeof bytes);
}

void write_text(struct buf *out, const char *text)
{
    buf_append(out, text, strlen(text) + 1);
}

void write_slice_text(struct buf *out, struct slice text)
{
    buf_append_slice(out, text);
    write_u8(out, 0);
}

/* The packets before the first typed message have only the length. */
static size_t begin_untyped(struct buf *out)
{
    size_t mark = buf_bytes(out);

    write_u32(out, 0);
    return mark;
}

size_t write_begin(struct buf *out, char type)
{
    write_u8(out, (uint8_t)type);
    return begin_untyped(out);
}

void write_end(struct buf *out, size_t mark)
{
    if (buf_failed(out))
        return;
    put_u32((unsigned char *)out->data + out->head + mark, (uint32_t)(buf_bytes(out) - mark));
}

static void write_bare(struct buf *out, char type)
{
    write_end(out, write_begin(out, type));
}

/* ---- what a backend says ---- */

static void write_auth(struct buf *out, uint32_t code, struct slice data)
{
    size_t mark = write_begin(out, BE_AUTHENTICATION);

    write_u32(out, code);
    buf_append_slice(out, data);
    write_end(out, mark);
}

void write_auth_ok(struct buf *out)
{
    write_auth(out, AUTH_OK, (struct slice){ NULL, 0 });
}

void write_auth_password(struct buf *out)
{
    write_auth(out, AUTH_PASSWORD, (struct slice){ NULL, 0 });
}

void write_auth_md5(struct buf *out, const unsigned char salt[4])
{
    write_auth(out, AUTH_MD5, (struct slice){ (const char *)salt, 4 });
}

void write_auth_sasl(struct buf *out, const char *const *mechanisms, size_t count)
{
    size_t mark = write_begin(out, BE_AUTHENTICATION);

    write_u32(out, AUTH_SASL);
    for (size_t i = 0; i < count; i++)
        write_text(out, mechanisms[i]);
    write_u8(out, 0);
    write_end(out, mark);
}

void write_auth_sasl_continue(struct buf *out, struct slice data)
{
    write_auth(out, AUTH_SASL_CONTINUE, data);
}

void write_auth_sasl_final(struct buf *out, struct slice data)
{
    write_auth(out, AUTH_SASL_FINAL, data);
}

void write_backend_key_data(struct buf *out, uint32_t pid, const void *key, size_t key_bytes)
{
    size_t mark = write_begin(out, BE_BACKEND_KEY_DATA);

    write_u32(out, pid);
    buf_append(out, key, key_bytes);
    write_end(out, mark);
}

void write_parameter_status(struct buf *out, struct slice name, struct slice value)
{
    size_t mark = write_begin(out, BE_PARAMETER_STATUS);

    write_slice_text(out, name);
    write_slice_text(out, value);
    write_end(out, mark);
}

void write_negotiate_version(struct buf *out, uint32_t minor, const struct slice *options, size_t count)
{
    size_t mark = write_begin(out, BE_NEGOTIATE_VERSION);

    /* The documentation calls it the minor version; PostgreSQL sends, and libpq expects, major and minor. */
    write_u32(out, protocol_3 | minor);
    write_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        write_slice_text(out, options[i]);
    write_end(out, mark);
}

void write_ready(struct buf *out, char tx_status)
{
    size_t mark = write_begin(out, BE_READY);

    write_u8(out, (uint8_t)tx_status);
    write_end(out, mark);
}

void write_command_complete(struct buf *out, const char *tag)
{
    size_t mark = write_begin(out, BE_COMMAND_COMPLETE);

    write_text(out, tag);
    write_end(out, mark);
}

void write_empty_query(struct buf *out)
{
    write_bare(out, BE_EMPTY_QUERY);
}

void write_parse_complete(struct buf *out)
{
    write_bare(out, BE_PARSE_COMPLETE);
}

void write_bind_complete(struct buf *out)
{
    write_bare(out, BE_BIND_COMPLETE);
}

void write_close_complete(struct buf *out)
{
    write_bare(out, BE_CLOSE_COMPLETE);
}

void write_no_data(struct buf *out)
{
    write_bare(out, BE_NO_DATA);
}

void write_parameter_description_empty(struct buf *out)
{
    size_t mark = write_begin(out, BE_PARAMETER_DESCRIPTION);

    write_u16(out, 0);
    write_end(out, mark);
}

static void write_field(struct buf *out, char code, const char *text)
{
    if (text[0] == '\0')
        return;
    write_u8(out, (uint8_t)code);
    write_text(out, text);
}

/* ErrorResponse and NoticeResponse have the same fields. */
static void write_report(struct buf *out, char type, const char *severity, const char *sqlstate,
                         const char *message, const char *detail, const char *hint)
{
    size_t mark = write_begin(out, type);

    write_field(out, 'S', severity);
    write_field(out, 'V', severity);
    write_field(out, 'C', sqlstate);
    write_field(out, 'M', message);
    write_field(out, 'D', detail);
    write_field(out, 'H', hint);
    write_u8(out, 0);
    write_end(out, mark);
}

void write_error(struct buf *out, const char *severity, const struct error *err)
{
    write_report(out, BE_ERROR, severity, err->sqlstate, err->message, err->detail, err->hint);
}

void write_error_old(struct buf *out, const char *severity, const struct error *err)
{
    buf_append_format(out, "%c%s:  %s\n", BE_ERROR, severity, err->message);
    write_u8(out, 0);
}

void write_notice(struct buf *out, const char *severity, const char *sqlstate, const char *message)
{
    write_report(out, BE_NOTICE, severity, sqlstate, message, "", "");
}

/* pg_type.typlen of the types that a console's column may have. */
static uint16_t type_bytes(uint32_t type_oid)
{
    static const struct {
        uint32_t oid;
        uint16_t bytes;
    } types[] = { { 16, 1 }, { 20, 8 }, { 23, 4 }, { 701, 8 }, { 1184, 8 }, { 2950, 16 } };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].oid == type_oid)
            return types[i].bytes;
    }
    return (uint16_t)-1; /* variable */
}

void write_row_description(struct buf *out, const struct write_column *columns, size_t count)
{
    size_t mark = write_begin(out, BE_ROW_DESCRIPTION);

    write_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        write_text(out, columns[i].name);
        write_u32(out, 0); /* of no table … */
        write_u16(out, 0); /* … and no column of it */
        write_u32(out, columns[i].type_oid);
        write_u16(out, type_bytes(columns[i].type_oid));
        write_u32(out, (uint32_t)-1); /* typmod */
        write_u16(out, 0);            /* text */
    }
    write_end(out, mark);
}

void write_data_row(struct buf *out, const char *const *values, size_t count)
{
    size_t mark = write_begin(out, BE_DATA_ROW);

    write_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = values[i] == NULL ? 0 : strlen(values[i]);

        write_u32(out, values[i] == NULL ? (uint32_t)-1 : (uint32_t)bytes);
        buf_append(out, values[i], bytes);
    }
    write_end(out, mark);
}

/* ---- what a frontend says ---- */

void write_startup(struct buf *out, unsigned minor, const char *const *names_and_values, size_t pairs)
{
    size_t mark = begin_untyped(out);

    write_u32(out, protocol_3 | minor);
    for (size_t i = 0; i < 2 * pairs; i++)
        write_text(out, names_and_values[i]);
    write_u8(out, 0);
    write_end(out, mark);
}

void write_ssl_request(struct buf *out)
{
    size_t mark = begin_untyped(out);

    write_u32(out, STARTUP_CODE_SSL);
    write_end(out, mark);
}

void write_cancel(struct buf *out, uint32_t pid, const void *key, size_t key_bytes)
{
    size_t mark = begin_untyped(out);

    write_u32(out, STARTUP_CODE_CANCEL);
    write_u32(out, pid);
    buf_append(out, key, key_bytes);
    write_end(out, mark);
}

void write_query(struct buf *out, struct slice text)
{
    size_t mark = write_begin(out, FE_QUERY);

    write_slice_text(out, text);
    write_end(out, mark);
}

void write_parse(struct buf *out, struct slice name, struct slice text, const uint32_t *types, size_t count)
{
    size_t mark = write_begin(out, FE_PARSE);

    write_slice_text(out, name);
    write_slice_text(out, text);
    write_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++)
        write_u32(out, types[i]);
    write_end(out, mark);
}

void write_close(struct buf *out, char what, struct slice name)
{
    size_t mark = write_begin(out, FE_CLOSE);

    write_u8(out, (uint8_t)what);
    write_slice_text(out, name);
    write_end(out, mark);
}

void write_sync(struct buf *out)
{
    write_bare(out, FE_SYNC);
}

void write_flush(struct buf *out)
{
    write_bare(out, FE_FLUSH);
}

void write_terminate(struct buf *out)
{
    write_bare(out, FE_TERMINATE);
}

void write_password(struct buf *out, struct slice password)
{
    size_t mark = write_begin(out, FE_PASSWORD);

    write_slice_text(out, password);
    write_end(out, mark);
}

void write_sasl_initial(struct buf *out, const char *mechanism, struct slice data)
{
    size_t mark = write_begin(out, FE_PASSWORD);

    write_text(out, mechanism);
    write_u32(out, (uint32_t)data.bytes);
    buf_append_slice(out, data);
    write_end(out, mark);
}

void write_sasl_response(struct buf *out, struct slice data)
{
    size_t mark = write_begin(out, FE_PASSWORD);

    buf_append_slice(out, data);
    write_end(out, mark);
}

void write_copy_fail(struct buf *out, const char *why)
{
    size_t mark = write_begin(out, FE_COPY_FAIL);

    write_text(out, why);
    write_end(out, mark);
}

void write_copy_in_response(struct buf *out, bool binary, unsigned columns)
{
    size_t mark = write_begin(out, BE_COPY_IN);

    write_u8(out, binary);
    write_u16(out, (uint16_t)columns);
    for (unsigned i = 0; i < columns; i++)
        write_u16(out, binary);
    write_end(out, mark);
}

void write_bind_plain(struct buf *out, struct slice portal, struct slice name)
{
    size_t mark = write_begin(out, FE_BIND);

    write_slice_text(out, portal);
    write_slice_text(out, name);
    for (int i = 0; i < 3; i++) /* no formats, no parameters, no formats of results */
        write_u16(out, 0);
    write_end(out, mark);
}

void write_execute(struct buf *out, struct slice portal)
{
    size_t mark = write_begin(out, FE_EXECUTE);

    write_slice_text(out, portal);
    write_u32(out, 0);
    write_end(out, mark);
}
