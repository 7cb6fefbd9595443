/* tls_set.c - see tls_set.h. Start at: tls_set_read(). */
#include "proxy/tls_set.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/tls.h"
#include "proxy/tls_cert.h"

const unsigned char tls_alpn[11] = "\12postgresql";

/* What one end is made from: keys of [tls], or a store's connection string. "" : not given. */
struct source {
    const char *what; /* "client_tls" or "store "x"": for errors */
    const char *mode, *ca_file, *cert_file, *key_file, *protocols, *ciphers, *ciphersuites;
};

static bool refuse(struct error *err, const struct source *from, const char *what, const char *file)
{
    unsigned long code = ERR_peek_error(); /* the first one: what the system said */
    const char *why = code == 0 ? NULL : ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code))
        why = strerror(ERR_GET_REASON(code));
    error_set(err, "F0000", "%s: %s \"%s\": %s", from->what, what, file, why == NULL ? "not usable" : why);
    ERR_clear_error();
    return false;
}

static enum tls_mode mode_of(const char *name)
{
    static const char *const names[] = {
        "disable", "allow", "prefer", "require", "verify-ca", "verify-full"
    };

    for (int i = TLS_DISABLE; i < TLS_VERIFY_FULL; i++)
        if (strcmp(names[i], name) == 0)
            return (enum tls_mode)i;
    return TLS_VERIFY_FULL; /* of what the configuration or libpq lets through */
}

/* ---- what both ends have ---- */

/* A key with a passphrase: nobody sits at a terminal. */
static int no_passphrase(char *space, int room, int writing, void *who)
{
    (void)space, (void)room, (void)writing, (void)who;
    return -1;
}

static bool set_protocols(SSL_CTX *context, const struct source *from, struct error *err)
{
    static const struct {
        const char *name;
        uint64_t forbid;
    } versions[] = { { "tlsv1.0", SSL_OP_NO_TLSv1 },
                     { "tlsv1.1", SSL_OP_NO_TLSv1_1 },
                     { "tlsv1.2", SSL_OP_NO_TLSv1_2 },
                     { "tlsv1.3", SSL_OP_NO_TLSv1_3 } };
    const uint64_t old = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1;
    uint64_t forbidden = old | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3;
    struct slice item;
    size_t at = 0;

    while (config_next_item(from->protocols, &at, &item)) {
        bool known = false;

        for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
            if (slice_is(item, versions[i].name)) {
                forbidden &= ~versions[i].forbid;
                known = true;
            }
        if (slice_is(item, "secure"))
            forbidden &= old;
        else if (slice_is(item, "all") || slice_is(item, "legacy"))
            forbidden = 0;
        else if (!known) {
            error_set(err, "F0000", "%s: protocol \"%.*s\" is not known", from->what, (int)item.bytes,
                      item.at);
            return error_hint(
                err, "Name some of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3; or secure (the last two) or all.");
        }
    }
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION); /* openssl.cnf may say otherwise; here only we do */
    SSL_CTX_set_max_proto_version(context, 0);
    SSL_CTX_set_options(context, forbidden);
    return true;
}

static bool set_ciphers(SSL_CTX *context, const struct source *from, struct error *err)
{
    ERR_clear_error();
    if (strcmp(from->ciphers, "default") != 0 && from->ciphers[0] != '\0' &&
        SSL_CTX_set_cipher_list(context, from->ciphers) != 1)
        return refuse(err, from, "ciphers", from->ciphers);
    if (from->ciphersuites[0] != '\0' && SSL_CTX_set_ciphersuites(context, from->ciphersuites) != 1)
        return refuse(err, from, "TLS 1.3 ciphers", from->ciphersuites);
    return true;
}

static bool load_own(SSL_CTX *context, const struct source *from, struct error *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, from->cert_file) != 1)
        return refuse(err, from, "cannot use certificate file", from->cert_file);
    ERR_clear_error();
    if (SSL_CTX_use_PrivateKey_file(context, from->key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(err, from, "cannot use key file", from->key_file);
    return SSL_CTX_check_private_key(context) == 1 ||
           refuse(err, from, "the certificate does not belong to key file", from->key_file);
}

static bool load_authorities(SSL_CTX *context, const struct source *from, struct error *err)
{
    ERR_clear_error();
    if (strcmp(from->ca_file, "system") == 0) /* as libpq 16 has it: what the system trusts */
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               refuse(err, from, "cannot use certificates", "system");
    return SSL_CTX_load_verify_locations(context, from->ca_file, NULL) == 1 ||
           refuse(err, from, "cannot use CA file", from->ca_file);
}

static SSL_CTX *make_context(const SSL_METHOD *method, const struct source *from, struct error *err)
{
    SSL_CTX *context = SSL_CTX_new(method);

    if (context == NULL) {
        error_no_memory(err);
        return NULL;
    }
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    /* Partial writes may come back with their bytes moved: buffers grow. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_dh_auto(context, 1);
    if (!set_protocols(context, from, err) || !set_ciphers(context, from, err)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

/* ---- clients ---- */

/* Who offers ALPN must offer "postgresql": a browser that was led here by force is let go (ALPACA). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_bytes, const unsigned char *in,
                   unsigned in_bytes, void *who)
{
    unsigned char *chosen = NULL;

    (void)ssl, (void)who;
    if (SSL_select_next_proto(&chosen, out_bytes, tls_alpn, sizeof tls_alpn, in, in_bytes) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A CA file: certificates are asked for, and one that is sent must be good. Whether there must be one is
 * secure.c's to say, in words. */
static bool ask_clients(struct tls_end *end, const struct source *from, struct error *err)
{
    STACK_OF(X509_NAME) * names;

    if (from->ca_file[0] == '\0') {
        if (end->mode < TLS_VERIFY_CA)
            return true;
        error_set(err, "F0000", "client_tls_sslmode = %s needs client_tls_ca_file", from->mode);
        return error_hint(err, "Add client_tls_ca_file = /path/to/root.crt under [tls].");
    }
    if (!load_authorities(end->context, from, err))
        return false;
    names = SSL_load_client_CA_file(from->ca_file);
    if (names != NULL)
        SSL_CTX_set_client_CA_list(end->context, names);
    SSL_CTX_set_verify(end->context, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, tls_on_verify);
    return true;
}

/* auth_type = cert lives on what is asked for here. */
static bool serves_auth(const struct config *config, const struct source *from, struct error *err)
{
    if (!config_is(config, CONFIG_AUTH_TYPE, "cert") ||
        (strcmp(from->mode, "disable") != 0 && from->ca_file[0] != '\0'))
        return true;
    error_set(err, "F0000", "auth_type = cert needs TLS and client_tls_ca_file");
    return error_hint(
        err, "Add client_tls_sslmode = verify-full and client_tls_ca_file = /path/to/root.crt under [tls].");
}

static bool make_clients(struct tls_end *end, const struct config *config, struct error *err)
{
    const struct source from = {
        .what = "client_tls",
        .mode = config_text(config, CONFIG_CLIENT_TLS_SSLMODE),
        .ca_file = config_text(config, CONFIG_CLIENT_TLS_CA_FILE),
        .cert_file = config_text(config, CONFIG_CLIENT_TLS_CERT_FILE),
        .key_file = config_text(config, CONFIG_CLIENT_TLS_KEY_FILE),
        .protocols = config_text(config, CONFIG_CLIENT_TLS_PROTOCOLS),
        .ciphers = config_text(config, CONFIG_CLIENT_TLS_CIPHERS),
        .ciphersuites = config_text(config, CONFIG_CLIENT_TLS13_CIPHERS),
    };

    end->mode = mode_of(from.mode);
    if (!serves_auth(config, &from, err))
        return false;
    if (end->mode == TLS_DISABLE)
        return true;
    if (from.cert_file[0] == '\0' || from.key_file[0] == '\0') {
        error_set(err, "F0000", "client_tls_sslmode = %s needs client_tls_key_file and client_tls_cert_file",
                  from.mode);
        return error_hint(err, "Add both under [tls], or client_tls_sslmode = disable.");
    }
    end->context = make_context(TLS_server_method(), &from, err);
    if (end->context == NULL || !load_own(end->context, &from, err) || !ask_clients(end, &from, err))
        return false;
    SSL_CTX_set_alpn_select_cb(end->context, on_alpn, NULL);
    tls_cert_binding(SSL_CTX_get0_certificate(end->context), &end->binding);
    return true;
}

/* ---- stores ---- */

/* The connection string wins, else [tls] decides. */
static const char *either(const char *own, const struct config *config, enum config_key key)
{
    return own != NULL && own[0] != '\0' ? own : config_text(config, key);
}

/* As libpq: with a CA at hand, `require` verifies the chain, too. */
static bool verify_store(struct tls_end *end, const struct source *from, struct error *err)
{
    if (end->mode < TLS_REQUIRE || (end->mode == TLS_REQUIRE && from->ca_file[0] == '\0'))
        return true;
    if (from->ca_file[0] == '\0') {
        error_set(err, "F0000", "%s: %s needs a CA file", from->what, from->mode);
        return error_hint(
            err, "Add server_tls_ca_file = /path/to/root.crt under [tls], or sslrootcert=… in [stores].");
    }
    SSL_CTX_set_verify(end->context, SSL_VERIFY_PEER, tls_on_verify);
    return load_authorities(end->context, from, err);
}

static bool make_store(struct tls_end *end, const struct config *config, const struct store *store,
                       struct error *err)
{
    const struct store_tls *own = &store->tls;
    char what[STORE_NAME_BYTES_MAX + 16];
    const struct source from = {
        .what = what,
        .mode = either(own->mode, config, CONFIG_SERVER_TLS_SSLMODE),
        .ca_file = either(own->ca_file, config, CONFIG_SERVER_TLS_CA_FILE),
        .cert_file = either(own->cert_file, config, CONFIG_SERVER_TLS_CERT_FILE),
        .key_file = either(own->key_file, config, CONFIG_SERVER_TLS_KEY_FILE),
        .protocols = config_text(config, CONFIG_SERVER_TLS_PROTOCOLS),
        .ciphers = config_text(config, CONFIG_SERVER_TLS_CIPHERS),
        .ciphersuites = config_text(config, CONFIG_SERVER_TLS13_CIPHERS),
    };

    snprintf(what, sizeof what, "store \"%s\"", store->name);
    end->mode =
        store->host[0] == '/' ? TLS_DISABLE : mode_of(from.mode); /* never through a Unix-domain socket */
    if (end->mode == TLS_DISABLE)
        return true;
    end->host = strdup(own->host);
    if (end->host == NULL)
        return error_no_memory(err);
    end->context = make_context(TLS_client_method(), &from, err);
    if (end->context == NULL || !verify_store(end, &from, err))
        return false;
    if ((from.cert_file[0] == '\0') != (from.key_file[0] == '\0'))
        return error_set(err, "F0000", "%s: a certificate and its key are given together or not at all",
                         what);
    if (from.cert_file[0] != '\0' && !load_own(end->context, &from, err))
        return false;
    SSL_CTX_set_alpn_protos(end->context, tls_alpn, sizeof tls_alpn);
    return true;
}

/* ---- the set ---- */

bool tls_set_read(const struct config *config, const struct stores *stores, struct tls_set **read,
                  struct error *err)
{
    struct tls_set *set = calloc(1, sizeof *set);
    bool good;

    *read = NULL;
    if (set == NULL)
        return error_no_memory(err);
    atomic_init(&set->references, 1);
    set->bufs = tls_make_bufs();
    good = (set->bufs != NULL || error_no_memory(err)) && make_clients(&set->clients, config, err);
    for (size_t i = 0; good && i < stores->count; i++)
        good = make_store(&set->stores[i], config, &stores->at[i], err);
    ERR_clear_error();
    if (!good) {
        tls_set_give(set);
        return false;
    }
    *read = set;
    return true;
}

struct tls_set *tls_set_take(struct tls_set *set)
{
    atomic_fetch_add(&set->references, 1);
    return set;
}

void tls_set_give(struct tls_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) != 1)
        return;
    SSL_CTX_free(set->clients.context);
    for (size_t i = 0; i < STORES_MAX; i++) {
        SSL_CTX_free(set->stores[i].context);
        free(set->stores[i].host);
    }
    BIO_meth_free(set->bufs);
    free(set);
}
