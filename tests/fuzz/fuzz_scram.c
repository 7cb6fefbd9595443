/* fuzz_scram.c - SCRAM messages from a hostile peer. The input's first byte says whose: a server's (first and
 * final, to our client), or a client's (first and final, to our server). A newline stands between the two
 * messages. Promises checked: nobody gets in without the proof, nobody is believed without the signature. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "wire/scram.h"
#include "wire/scram_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

/* "@" in a message stands for the nonce that our client has just made: no fuzzer guesses it. */
static void expand(struct slice message, struct slice nonce, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < message.bytes; i++) {
        if (message.at[i] == '@')
            buf_append_slice(out, nonce);
        else
            buf_append(out, message.at + i, 1);
    }
}

/* With keys, not a password: PBKDF2 would take all the time. */
static void as_server_messages(struct slice first, struct slice final)
{
    const struct scram_keys keys = { .known = true, .client_key = { 1 }, .server_key = { 2 } };
    struct scram_client *client = scram_client_new(NULL, &keys);
    struct buf out, message;
    struct error err;
    struct slice nonce;

    buf_init(&out);
    buf_init(&message);
    require(client != NULL);
    scram_client_first(client, &out);
    nonce = (struct slice){ buf_at(&out) + 8, buf_bytes(&out) - 8 }; /* behind "n,,n=,r=" */
    expand(first, nonce, &message);
    buf_clear(&out);
    if (scram_client_final(client, buf_slice(&message), &out, &err)) {
        require(buf_bytes(&out) > 0);
        /* The signature of a server that knows server_key: 2^-256 to hit it by chance. */
        require(!scram_client_check(client, final, &err));
    }
    require(error_is_set(&err));
    scram_client_free(client);
    buf_done(&out);
    buf_done(&message);
}

static void as_client_messages(struct slice first, struct slice final)
{
    struct scram_verifier verifier = {
        .iterations = 4096, .salt = { 1, 2, 3 }, .salt_bytes = 3, .stored_key = { 9 }
    };
    struct scram_server *server = scram_server_new_with_nonce(&verifier, "ours");
    struct scram_keys keys;
    struct error err;
    struct buf out;

    buf_init(&out);
    require(server != NULL);
    if (scram_server_first(server, first, &out, &err)) {
        require(!scram_server_final(server, final, &out, &keys, &err));
        require(!keys.known);
    }
    require(error_is_set(&err));
    scram_server_free(server);
    buf_done(&out);
}

static void as_verifier(const uint8_t *data, size_t size)
{
    struct scram_verifier verifier;
    struct buf text;

    buf_init(&text);
    buf_append(&text, data, size);
    if (scram_verifier_parse(buf_text(&text), &verifier))
        require(verifier.iterations > 0 && verifier.salt_bytes > 0 &&
                verifier.salt_bytes <= SCRAM_SALT_BYTES_MAX);
    buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 1, *split;
    struct slice first, final = { NULL, 0 };

    if (size == 0)
        return 0;
    as_verifier(data, size);
    split = memchr(text, '\n', size - 1);
    first = (struct slice){ text, split == NULL ? size - 1 : (size_t)(split - text) };
    if (split != NULL)
        final = (struct slice){ split + 1, size - 2 - first.bytes };
    if (data[0] == 's')
        as_server_messages(first, final);
    else
        as_client_messages(first, final);
    return 0;
}
