/* scram_bind.c - see scram_bind.h. Errors are worded as PostgreSQL's (auth-scram.c). */
#include "wire/scram_bind.h"

#include <openssl/crypto.h>
#include <string.h>

#include "wire/scram_core.h"

static const char binding_type[] = "tls-server-end-point";

static bool check_flag(const struct scram_gs2 *gs2, struct error *err)
{
    if (gs2->chosen && gs2->flag != 'p')
        return scram_malformed(err, "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not "
                                    "include channel binding data.");
    if (!gs2->chosen && gs2->flag == 'p')
        return scram_malformed(err,
                               "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM "
                               "message includes channel binding data.");
    /* Somebody between us has taken SCRAM-SHA-256-PLUS out of what we offered. */
    if (gs2->flag == 'y' && gs2->binding.bytes > 0) {
        error_set(err, "28000", "SCRAM channel binding negotiation error");
        return error_detail(err, "The client supports SCRAM channel binding but thinks the server does not. "
                                 "However, this server does support channel binding.");
    }
    return true;
}

/* "=tls-server-end-point" behind the 'p'. */
static bool take_type(struct slice *rest, struct error *err)
{
    const char *comma = memchr(rest->at, ',', rest->bytes);
    struct slice type;

    if (rest->bytes < 2 || rest->at[1] != '=' || comma == NULL)
        return scram_malformed(err, "Expected the type of the channel binding.");
    type = (struct slice){ rest->at + 2, (size_t)(comma - rest->at) - 2 };
    if (!slice_is(type, binding_type))
        return error_set(err, "08P01", "unsupported SCRAM channel-binding type \"%.*s\"",
                         type.bytes > 60 ? 60 : (int)type.bytes, type.at);
    rest->bytes -= (size_t)(comma - rest->at);
    rest->at = comma;
    return true;
}

bool scram_gs2_take(struct scram_gs2 *gs2, struct slice *rest, struct error *err)
{
    if (rest->bytes == 0)
        return scram_malformed(err, "The message is empty.");
    if (memchr(rest->at, '\0', rest->bytes) != NULL)
        return scram_malformed(err, "The message has a NUL byte.");
    gs2->flag = rest->at[0];
    if (memchr("nyp", gs2->flag, 3) == NULL)
        return scram_malformed(err, "Expected a channel-binding flag and a comma.");
    if (!check_flag(gs2, err))
        return false;
    if (gs2->flag == 'p') {
        if (!take_type(rest, err))
            return false;
    } else {
        rest->at++;
        rest->bytes--;
    }
    if (rest->bytes < 2 || rest->at[0] != ',')
        return scram_malformed(err, "Expected a channel-binding flag and a comma.");
    if (rest->at[1] == 'a')
        return error_set(err, "0A000", "client uses authorization identity, but it is not supported");
    if (rest->at[1] != ',')
        return scram_malformed(err, "Expected a comma after the channel-binding flag.");
    rest->at += 2;
    rest->bytes -= 2;
    return true;
}

void scram_gs2_write(const struct scram_gs2 *gs2, struct buf *out)
{
    buf_append(out, &gs2->flag, 1);
    if (gs2->flag == 'p')
        buf_append_format(out, "=%s", binding_type);
    buf_append_text(out, ",,");
}

void scram_gs2_write_value(const struct scram_gs2 *gs2, struct buf *out)
{
    struct buf value;

    buf_init(&value);
    scram_gs2_write(gs2, &value);
    if (gs2->flag == 'p')
        buf_append(&value, gs2->binding.hash, gs2->binding.bytes);
    if (buf_failed(&value))
        out->failed = true;
    else
        scram_append_base64(out, (const unsigned char *)buf_at(&value), buf_bytes(&value));
    buf_done(&value);
}

bool scram_gs2_check_value(const struct scram_gs2 *gs2, struct slice value, struct error *err)
{
    struct buf expected;
    bool same, failed;

    buf_init(&expected);
    scram_gs2_write_value(gs2, &expected);
    failed = buf_failed(&expected);
    same = !failed && slice_equal(value, buf_slice(&expected));
    buf_done(&expected);
    if (failed)
        return error_no_memory(err);
    if (same)
        return true;
    if (gs2->flag == 'p') {
        error_set(err, "28000", "SCRAM channel binding check failed");
        return error_detail(err,
                            "The client is connected to another certificate than the one of this server.");
    }
    return error_set(err, "08P01", "unexpected SCRAM channel-binding attribute in client-final-message");
}
