/* write.h - one function per message that pgshunt says itself. All append to a buf; failure is the buf's. */
#ifndef PGSHUNT_WIRE_WRITE_H
#define PGSHUNT_WIRE_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* Frames: write_begin() leaves room for the length and returns where; write_end() fills it in. */
size_t write_begin(struct buf *out, char type);
void write_end(struct buf *out, size_t mark);
void write_u8(struct buf *out, uint8_t value);
void write_u16(struct buf *out, uint16_t value);
void write_u32(struct buf *out, uint32_t value);
void write_text(struct buf *out, const char *text); /* with its NUL */
void write_slice_text(struct buf *out, struct slice text); /* with a NUL behind */

/* What a backend says. */
void write_auth_ok(struct buf *out);
void write_auth_password(struct buf *out); /* as plain text */
void write_auth_md5(struct buf *out, const unsigned char salt[4]);
void write_auth_sasl(struct buf *out, const char *const *mechanisms, size_t count);
void write_auth_sasl_continue(struct buf *out, struct slice data);
void write_auth_sasl_final(struct buf *out, struct slice data);
void write_backend_key_data(struct buf *out, uint32_t pid, const void *key, size_t key_bytes);
void write_parameter_status(struct buf *out, struct slice name, struct slice value);
/* What newest 3.x version we speak, and the _pq_. options that we do not know. */
void write_negotiate_version(struct buf *out, uint32_t minor, const struct slice *options, size_t count);
void write_ready(struct buf *out, char tx_status);
void write_command_complete(struct buf *out, const char *tag);
void write_empty_query(struct buf *out);
void write_parse_complete(struct buf *out);
void write_bind_complete(struct buf *out);
void write_close_complete(struct buf *out);
void write_no_data(struct buf *out);
void write_copy_in_response(struct buf *out, bool binary, unsigned columns);
void write_parameter_description_empty(struct buf *out);
/* severity "ERROR", "FATAL", …: S, V, C, M, then D and H where the error has them. */
void write_error(struct buf *out, const char *severity, const struct error *err);
/* To a client of protocol 1 or 2: a line of text. */
void write_error_old(struct buf *out, const char *severity, const struct error *err);
void write_notice(struct buf *out, const char *severity, const char *sqlstate, const char *message);

/* Rows that we answer ourselves (admin console), all in text format. */
struct write_column {
    const char *name;
    uint32_t type_oid;
};
void write_row_description(struct buf *out, const struct write_column *columns, size_t count);
/* NULL values are SQL NULL. */
void write_data_row(struct buf *out, const char *const *values, size_t count);

/* What a frontend says. */
/* Protocol 3.`minor`. */
void write_startup(struct buf *out, unsigned minor, const char *const *names_and_values, size_t pairs);
void write_ssl_request(struct buf *out);
void write_cancel(struct buf *out, uint32_t pid, const void *key, size_t key_bytes);
void write_query(struct buf *out, struct slice text);
void write_parse(struct buf *out, struct slice name, struct slice text, const uint32_t *types, size_t count);
void write_close(struct buf *out, char what /* 'S' | 'P' */, struct slice name);
void write_sync(struct buf *out);
void write_flush(struct buf *out);
void write_terminate(struct buf *out);
void write_password(struct buf *out, struct slice password);
void write_sasl_initial(struct buf *out, const char *mechanism, struct slice data);
void write_sasl_response(struct buf *out, struct slice data);
void write_copy_fail(struct buf *out, const char *why);
/* A statement without parameters, results as text. */
void write_bind_plain(struct buf *out, struct slice portal, struct slice name);
void write_execute(struct buf *out, struct slice portal);

#endif
