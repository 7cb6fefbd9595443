/* scram.c - verifiers, the server's side, the client's side.
 * Owns:   its keys and what of the exchange goes into the signatures; cleansed when freed.
 * Leaves: whose verifier it is, and what a refusal is answered with, to proxy/auth; the formulas to
 * scram_core. Thread: any, one at a time. Start at: scram_server_first(), scram_server_final(); then the
 * client, which answers them. */
#include "wire/scram.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "wire/scram_bind.h"
#include "wire/scram_core.h"

/* What has been done; whatever goes wrong, a message out of order too, ends in STAGE_OVER. */
enum stage { STAGE_NEW, STAGE_FIRST_SAID, STAGE_FINAL_SAID, STAGE_OVER };

/* Leaves the stage for STAGE_OVER; a step that goes well enters the next one at its end. */
static bool leave(enum stage *stage, enum stage expected, struct error *err)
{
    const bool good = *stage == expected;

    *stage = STAGE_OVER;
    return good || error_set(err, "08P01", "unexpected SCRAM message");
}

static void cleanse_buf(struct buf *buf)
{
    if (buf->data != NULL)
        OPENSSL_cleanse(buf->data, buf->capacity);
    buf_done(buf);
}

/* ---- verifiers ---- */

static bool parse_iterations(struct slice text, int max, int *iterations)
{
    long value = 0;

    if (text.bytes == 0 || text.bytes > 9)
        return false;
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (text.at[i] - '0');
    }
    *iterations = (int)value;
    return value >= 1 && value <= max;
}

static bool decode_key(struct slice text, unsigned char key[SCRAM_KEY_BYTES])
{
    size_t count;

    return scram_base64_decode(text, key, SCRAM_KEY_BYTES, &count) && count == SCRAM_KEY_BYTES;
}

/* What stands before `end`; false: there is no `end`. */
static bool cut(const char **at, char end, struct slice *part)
{
    const char *found = strchr(*at, end);

    if (found == NULL)
        return false;
    *part = (struct slice){ *at, (size_t)(found - *at) };
    *at = found + 1;
    return true;
}

bool scram_verifier_parse(const char *text, struct scram_verifier *verifier)
{
    static const char prefix[] = "SCRAM-SHA-256$";
    struct slice iterations, salt, stored_key;

    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return false;
    text += sizeof prefix - 1;
    return cut(&text, ':', &iterations) && cut(&text, '$', &salt) && cut(&text, ':', &stored_key) &&
           parse_iterations(iterations, 999999999, &verifier->iterations) &&
           scram_base64_decode(salt, verifier->salt, sizeof verifier->salt, &verifier->salt_bytes) &&
           verifier->salt_bytes > 0 && decode_key(stored_key, verifier->stored_key) &&
           decode_key(slice_of(text), verifier->server_key);
}

bool scram_keys_derive(void *who, const char *password, const unsigned char *salt, size_t salt_bytes,
                       int iterations, struct scram_keys *keys)
{
    (void)who;
    keys->known = salt_bytes <= sizeof keys->salt &&
                  scram_derive(password, salt, salt_bytes, iterations, keys->client_key, keys->server_key);
    if (keys->known) {
        keys->iterations = iterations;
        keys->salt_bytes = salt_bytes;
        memcpy(keys->salt, salt, salt_bytes);
    }
    return keys->known;
}

bool scram_verifier_complete(struct scram_verifier *verifier, const struct scram_keys *keys)
{
    memcpy(verifier->server_key, keys->server_key, SCRAM_KEY_BYTES);
    return scram_stored_key(keys->client_key, verifier->stored_key);
}

bool scram_verifier_make(const char *password, struct scram_verifier *verifier)
{
    unsigned char client_key[SCRAM_KEY_BYTES];
    bool good;

    verifier->iterations = SCRAM_ITERATIONS_DEFAULT;
    verifier->salt_bytes = SCRAM_SALT_BYTES_DEFAULT;
    good = RAND_bytes(verifier->salt, SCRAM_SALT_BYTES_DEFAULT) == 1 &&
           scram_derive(password, verifier->salt, verifier->salt_bytes, verifier->iterations, client_key,
                        verifier->server_key) &&
           scram_stored_key(client_key, verifier->stored_key);
    OPENSSL_cleanse(client_key, sizeof client_key);
    return good;
}

/* HMAC(mock_key, what + user), zeros if that fails: no key is known that fits either. */
static void mock_bytes(const char *what, const char *user, const unsigned char *mock_key,
                       unsigned char bytes[SCRAM_KEY_BYTES])
{
    struct buf text;

    memset(bytes, 0, SCRAM_KEY_BYTES);
    buf_init(&text);
    buf_append_text(&text, what);
    buf_append_text(&text, user);
    if (buf_failed(&text) || !scram_hmac(mock_key, SCRAM_KEY_BYTES, buf_slice(&text), bytes))
        memset(bytes, 0, SCRAM_KEY_BYTES);
    buf_done(&text);
}

void scram_verifier_mock(const char *user, const unsigned char *mock_key, struct scram_verifier *verifier)
{
    unsigned char salt[SCRAM_KEY_BYTES];

    verifier->iterations = SCRAM_ITERATIONS_DEFAULT;
    verifier->salt_bytes = SCRAM_SALT_BYTES_DEFAULT;
    mock_bytes("salt ", user, mock_key, salt);
    memcpy(verifier->salt, salt, SCRAM_SALT_BYTES_DEFAULT);
    mock_bytes("stored ", user, mock_key, verifier->stored_key);
    mock_bytes("server ", user, mock_key, verifier->server_key);
}

/* ---- the server's side ---- */

struct scram_server {
    struct scram_verifier verifier;
    enum stage stage;
    struct scram_gs2 gs2;
    char nonce_end[64]; /* our half of the nonce */
    struct buf nonce;   /* both halves */
    struct buf auth_message;
};

struct scram_server *scram_server_new_with_nonce(const struct scram_verifier *verifier, const char *nonce)
{
    struct scram_server *scram = calloc(1, sizeof *scram);

    if (scram == NULL || strlen(nonce) >= sizeof scram->nonce_end) {
        free(scram);
        return NULL;
    }
    scram->verifier = *verifier;
    memcpy(scram->nonce_end, nonce, strlen(nonce) + 1);
    buf_init(&scram->nonce);
    buf_init(&scram->auth_message);
    return scram;
}

struct scram_server *scram_server_new(const struct scram_verifier *verifier)
{
    char nonce[SCRAM_NONCE_TEXT_BYTES];

    return scram_random_text(nonce) ? scram_server_new_with_nonce(verifier, nonce) : NULL;
}

void scram_server_bind(struct scram_server *scram, const struct scram_binding *binding, bool chosen)
{
    scram->gs2.binding = *binding;
    scram->gs2.chosen = chosen;
}

void scram_server_free(struct scram_server *scram)
{
    if (scram == NULL)
        return;
    buf_done(&scram->nonce);
    cleanse_buf(&scram->auth_message);
    OPENSSL_cleanse(scram, sizeof *scram);
    free(scram);
}

void scram_server_complete(struct scram_server *scram, const struct scram_verifier *verifier)
{
    memcpy(scram->verifier.stored_key, verifier->stored_key, SCRAM_KEY_BYTES);
    memcpy(scram->verifier.server_key, verifier->server_key, SCRAM_KEY_BYTES);
}

/* "n=user,r=nonce" and extensions that need not be understood. */
static bool read_client_first(struct slice rest, struct slice *nonce, struct error *err)
{
    struct slice value;
    char name;

    if (rest.bytes > 0 && rest.at[0] == 'm')
        return error_set(err, "0A000", "client requires an unsupported SCRAM extension");
    if (!scram_attribute(&rest, &name, &value) || name != 'n')
        return scram_malformed(err, "Expected attribute \"n\".");
    if (!scram_attribute(&rest, &name, nonce) || name != 'r')
        return scram_malformed(err, "Expected attribute \"r\".");
    if (!scram_is_nonce(*nonce))
        return scram_malformed(err, "The nonce is empty or not printable.");
    while (rest.bytes > 0) {
        if (!scram_attribute(&rest, &name, &value))
            return scram_malformed(err, "An extension is not an attribute.");
    }
    return true;
}

bool scram_server_first(struct scram_server *scram, struct slice client_first, struct buf *server_first,
                        struct error *err)
{
    struct slice bare = client_first, client_nonce;
    size_t start;

    if (!leave(&scram->stage, STAGE_NEW, err))
        return false;
    if (!scram_gs2_take(&scram->gs2, &bare, err) || !read_client_first(bare, &client_nonce, err))
        return false;
    buf_append_slice(&scram->nonce, client_nonce);
    buf_append_text(&scram->nonce, scram->nonce_end);

    buf_append_slice(&scram->auth_message, bare);
    buf_append_text(&scram->auth_message, ",");
    start = buf_bytes(&scram->auth_message);
    buf_append_text(&scram->auth_message, "r=");
    buf_append_slice(&scram->auth_message, buf_slice(&scram->nonce));
    buf_append_text(&scram->auth_message, ",s=");
    scram_append_base64(&scram->auth_message, scram->verifier.salt, scram->verifier.salt_bytes);
    buf_append_format(&scram->auth_message, ",i=%d", scram->verifier.iterations);
    if (buf_failed(&scram->auth_message) || buf_failed(&scram->nonce))
        return error_no_memory(err);
    buf_append(server_first, buf_at(&scram->auth_message) + start, buf_bytes(&scram->auth_message) - start);
    scram->stage = STAGE_FIRST_SAID;
    return !buf_failed(server_first) || error_no_memory(err);
}

/* "c=…,r=nonce[,extensions],p=proof": `without_proof` is what stands before ",p=". */
static bool read_client_final(const struct scram_server *scram, struct slice message,
                              struct slice *without_proof, unsigned char proof[SCRAM_KEY_BYTES],
                              struct error *err)
{
    struct slice rest = message, value;
    char name;

    if (message.bytes == 0 || memchr(message.at, '\0', message.bytes) != NULL)
        return scram_malformed(err, "The message is empty or has a NUL byte.");
    if (!scram_attribute(&rest, &name, &value) || name != 'c')
        return scram_malformed(err, "Expected attribute \"c\".");
    if (!scram_gs2_check_value(&scram->gs2, value, err))
        return false;
    if (!scram_attribute(&rest, &name, &value) || name != 'r')
        return scram_malformed(err, "Expected attribute \"r\".");
    if (!slice_equal(value, buf_slice(&scram->nonce))) {
        error_set(err, "08P01", "invalid SCRAM response");
        return error_detail(err, "Nonce does not match.");
    }
    do {
        *without_proof = (struct slice){ message.at, (size_t)(rest.at - message.at) };
        if (!scram_attribute(&rest, &name, &value))
            return scram_malformed(err, "Expected attribute \"p\".");
    } while (name != 'p');
    without_proof->bytes--; /* the comma */
    if (!decode_key(value, proof))
        return scram_malformed(err, "Malformed proof in client-final-message.");
    return rest.bytes == 0 || scram_malformed(err, "Garbage found at the end of client-final-message.");
}

/* ClientKey = proof XOR HMAC(StoredKey, AuthMessage); it is the client's if it hashes to StoredKey. */
static bool check_proof(const struct scram_server *scram, unsigned char proof[SCRAM_KEY_BYTES],
                        unsigned char client_key[SCRAM_KEY_BYTES], struct error *err)
{
    unsigned char signature[SCRAM_KEY_BYTES], stored_key[SCRAM_KEY_BYTES];
    bool good =
        scram_hmac(scram->verifier.stored_key, SCRAM_KEY_BYTES, buf_slice(&scram->auth_message), signature);

    for (int i = 0; good && i < SCRAM_KEY_BYTES; i++)
        client_key[i] = proof[i] ^ signature[i];
    good = good && scram_stored_key(client_key, stored_key);
    OPENSSL_cleanse(signature, sizeof signature);
    if (!good)
        return error_no_memory(err);
    if (CRYPTO_memcmp(stored_key, scram->verifier.stored_key, SCRAM_KEY_BYTES) != 0)
        return error_set(err, "28P01", "password authentication failed");
    return true;
}

bool scram_server_final(struct scram_server *scram, struct slice client_final, struct buf *server_final,
                        struct scram_keys *keys, struct error *err)
{
    unsigned char proof[SCRAM_KEY_BYTES], signature[SCRAM_KEY_BYTES];
    struct slice without_proof;
    bool good;

    keys->known = false;
    if (!leave(&scram->stage, STAGE_FIRST_SAID, err))
        return false;
    if (!read_client_final(scram, client_final, &without_proof, proof, err))
        return false;
    buf_append_text(&scram->auth_message, ",");
    buf_append_slice(&scram->auth_message, without_proof);
    good = (!buf_failed(&scram->auth_message) || error_no_memory(err)) &&
           check_proof(scram, proof, keys->client_key, err);
    OPENSSL_cleanse(proof, sizeof proof);
    if (!good) {
        OPENSSL_cleanse(keys, sizeof *keys); /* known: false */
        return false;
    }
    if (!scram_hmac(scram->verifier.server_key, SCRAM_KEY_BYTES, buf_slice(&scram->auth_message), signature))
        return error_no_memory(err);
    memcpy(keys->server_key, scram->verifier.server_key, SCRAM_KEY_BYTES);
    keys->iterations = scram->verifier.iterations;
    keys->salt_bytes = scram->verifier.salt_bytes;
    memcpy(keys->salt, scram->verifier.salt, keys->salt_bytes);
    keys->known = true;
    buf_append_text(server_final, "v=");
    scram_append_base64(server_final, signature, sizeof signature);
    return !buf_failed(server_final) || error_no_memory(err);
}

/* ---- the client's side ---- */

struct scram_client {
    enum stage stage;
    struct scram_gs2 gs2;
    char *password; /* NULL: the keys are known */
    scram_deriver *deriver;
    void *deriver_who;
    struct scram_keys keys;
    char nonce[SCRAM_NONCE_TEXT_BYTES]; /* our half; empty if there was no randomness */
    struct buf auth_message;
};

struct scram_client *scram_client_new(const char *password, const struct scram_keys *keys)
{
    struct scram_client *scram = calloc(1, sizeof *scram);

    if (scram == NULL)
        return NULL;
    scram->deriver = scram_keys_derive;
    if (password != NULL)
        scram->password = strdup(password);
    else if (keys != NULL && keys->known)
        scram->keys = *keys;
    scram->gs2.flag = 'n';
    if ((scram->password == NULL && !scram->keys.known) || !scram_random_text(scram->nonce)) {
        scram_client_free(scram);
        return NULL;
    }
    return scram;
}

void scram_client_free(struct scram_client *scram)
{
    if (scram == NULL)
        return;
    if (scram->password != NULL)
        OPENSSL_cleanse(scram->password, strlen(scram->password));
    free(scram->password);
    cleanse_buf(&scram->auth_message);
    OPENSSL_cleanse(scram, sizeof *scram);
    free(scram);
}

void scram_client_bind(struct scram_client *scram, const struct scram_binding *binding, bool offered)
{
    scram->gs2.binding = *binding;
    scram->gs2.flag = binding->bytes == 0 ? 'n' : offered ? 'p' : 'y';
}

void scram_client_derive_by(struct scram_client *scram, scram_deriver *deriver, void *who)
{
    scram->deriver = deriver;
    scram->deriver_who = who;
}

void scram_client_first(struct scram_client *scram, struct buf *client_first)
{
    /* The user is empty, as libpq has it: PostgreSQL takes the one of the startup packet. */
    scram_gs2_write(&scram->gs2, client_first);
    buf_append_format(client_first, "n=,r=%s", scram->nonce);
    buf_clear(&scram->auth_message);
    buf_append_format(&scram->auth_message, "n=,r=%s,", scram->nonce);
    scram->stage = STAGE_FIRST_SAID;
}

struct server_first {
    struct slice nonce;
    unsigned char salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_bytes;
    int iterations;
};

/* "r=nonce,s=salt,i=iterations", nothing else: as libpq. */
static bool read_server_first(const struct scram_client *scram, struct slice rest, struct server_first *first,
                              struct error *err)
{
    const size_t ours = strlen(scram->nonce);
    struct slice value;
    char name;

    if (!scram_attribute(&rest, &name, &first->nonce) || name != 'r')
        return scram_malformed(err, "Expected attribute \"r\" from the server.");
    if (!scram_is_nonce(first->nonce) || first->nonce.bytes <= ours ||
        memcmp(first->nonce.at, scram->nonce, ours) != 0)
        return scram_malformed(err, "The server's nonce does not begin with ours.");
    if (!scram_attribute(&rest, &name, &value) || name != 's' ||
        !scram_base64_decode(value, first->salt, sizeof first->salt, &first->salt_bytes) ||
        first->salt_bytes == 0)
        return scram_malformed(err, "Expected a salt from the server.");
    if (!scram_attribute(&rest, &name, &value) || name != 'i' ||
        !parse_iterations(value, SCRAM_ITERATIONS_MAX, &first->iterations))
        return scram_malformed(err, "Expected an iteration count from 1 to 10000000 from the server.");
    return rest.bytes == 0 || scram_malformed(err, "Garbage found at the end of server-first-message.");
}

/* Keys that are known fit one verifier: of another one the salt tells, before a wrong proof is sent. */
static bool find_keys(struct scram_client *scram, const struct server_first *first, struct error *err)
{
    const struct scram_keys *keys = &scram->keys;

    if (scram->password != NULL)
        return scram->deriver(scram->deriver_who, scram->password, first->salt, first->salt_bytes,
                              first->iterations, &scram->keys) ||
               error_no_memory(err);
    if (keys->salt_bytes > 0 && (keys->iterations != first->iterations || keys->salt_bytes != first->salt_bytes ||
                                 memcmp(keys->salt, first->salt, first->salt_bytes) != 0))
        return error_set(err, "28P01", "the server's verifier is another one than the known keys belong to");
    return true;
}

bool scram_client_final(struct scram_client *scram, struct slice server_first, struct buf *client_final,
                        struct error *err)
{
    unsigned char proof[SCRAM_KEY_BYTES];
    struct server_first first;
    size_t start;

    if (!leave(&scram->stage, STAGE_FIRST_SAID, err))
        return false;
    if (!read_server_first(scram, server_first, &first, err))
        return false;
    if (!find_keys(scram, &first, err))
        return false;

    buf_append_slice(&scram->auth_message, server_first);
    buf_append_text(&scram->auth_message, ",");
    start = buf_bytes(&scram->auth_message);
    buf_append_text(&scram->auth_message, "c=");
    scram_gs2_write_value(&scram->gs2, &scram->auth_message);
    buf_append_text(&scram->auth_message, ",r=");
    buf_append_slice(&scram->auth_message, first.nonce);
    if (buf_failed(&scram->auth_message) ||
        !scram_proof(scram->keys.client_key, buf_slice(&scram->auth_message), proof))
        return error_no_memory(err);
    buf_append(client_final, buf_at(&scram->auth_message) + start, buf_bytes(&scram->auth_message) - start);
    buf_append_text(client_final, ",p=");
    scram_append_base64(client_final, proof, sizeof proof);
    OPENSSL_cleanse(proof, sizeof proof);
    scram->stage = STAGE_FINAL_SAID;
    return !buf_failed(client_final) || error_no_memory(err);
}

bool scram_client_check(struct scram_client *scram, struct slice server_final, struct error *err)
{
    unsigned char expected[SCRAM_KEY_BYTES], signature[SCRAM_KEY_BYTES];
    struct slice value;
    char name;

    if (!leave(&scram->stage, STAGE_FINAL_SAID, err))
        return false;
    if (!scram_attribute(&server_final, &name, &value))
        return scram_malformed(err, "Expected an attribute from the server.");
    if (name == 'e')
        return error_set(err, "28000", "server refused SCRAM authentication: %.*s",
                         value.bytes > 100 ? 100 : (int)value.bytes, value.at);
    if (name != 'v' || server_final.bytes > 0 || !decode_key(value, signature))
        return scram_malformed(err, "Expected attribute \"v\" with the server's signature.");
    if (!scram_hmac(scram->keys.server_key, SCRAM_KEY_BYTES, buf_slice(&scram->auth_message), expected))
        return error_no_memory(err);
    if (CRYPTO_memcmp(expected, signature, sizeof signature) != 0) {
        error_set(err, "28000", "incorrect server signature");
        return error_detail(err, "The server does not know the verifier of the password it asked for.");
    }
    return true;
}
