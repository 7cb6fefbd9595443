/* hba.h - hba_file: PostgreSQL's pg_hba.conf, the part that a proxy can decide. Which client must prove
 * itself how. Immutable once read; any thread. */
#ifndef PGSHUNT_PROXY_HBA_H
#define PGSHUNT_PROXY_HBA_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"
#include "proxy/auth_type.h"

struct hba;

/* A connection that asks to be let in. */
struct hba_ask {
    const struct sockaddr *address; /* AF_INET, AF_INET6; AF_UNIX: "local" */
    bool encrypted;                 /* TLS */
    bool replication;               /* physical replication: no database is named */
    const char *database, *user;
};

struct hba_verdict {
    enum auth_type method; /* never AUTH_HBA */
    const char *map;       /* of ident_file; NULL: names must be equal. Borrowed from the hba */
    unsigned line;
};

/* false: F0000, with file and line. */
bool hba_read(const char *path, struct hba **hba, struct error *err);
void hba_free(struct hba *hba); /* NULL is fine */
/* The first line that matches. false: none does. */
bool hba_match(const struct hba *hba, const struct hba_ask *ask, struct hba_verdict *verdict);

#endif
