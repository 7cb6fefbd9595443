/* limits.h - every bound of the program, with its reason. */
#ifndef PGSHUNT_BASE_LIMITS_H
#define PGSHUNT_BASE_LIMITS_H

enum {
    TENANT_BYTES_MAX = 256,         /* a tenant with its terminator; longer ones are unknown */
    IDENTIFIER_BYTES_MAX = 64,      /* NAMEDATALEN */
    STORE_NAME_BYTES_MAX = 64,      /* a store's name with its terminator */
    STORES_MAX = 64,                /* stores of one configuration; client_store arrays are this long */
    LOOPS_MAX = 64,                 /* workers */
    STARTUP_BYTES_MAX = 10000,      /* MAX_STARTUP_PACKET_LENGTH of PostgreSQL: behind the length word */
    AUTH_MESSAGE_BYTES_MAX = 65535, /* PG_MAX_AUTH_TOKEN_LENGTH of PostgreSQL */
    ATTRIBUTE_BYTES_MAX = 16 * 1024 * 1024, /* a longer statement streams through as unknown */
    SHAPE_BYTES_MAX = 256 * 1024,           /* a longer shape is not planned: unknown */
    MESSAGE_BYTES_MAX = 1024 * 1024 * 1024 - 1, /* PostgreSQL's own bound on a message */
    STREAM_HIGH_BYTES = 256 * 1024, /* bytes queued for a peer before its source stops being read */
    STREAM_LOW_BYTES = 64 * 1024,   /* and below which it is read again */
    READ_CHUNK_BYTES = 64 * 1024,   /* what one read may bring */
    BUF_BYTES_MAX = 2147483647,     /* what one buffer holds: the longest message and what came with it */
    BUF_KEEP_BYTES = 64 * 1024,     /* an idle buffer gives back what is larger */
    PLAN_CACHE_ENTRIES_MAX = 4096,  /* per loop; an LRU beyond that */
    DIRECTORY_BYTES_MAX = 16 * 1024 * 1024, /* per loop: streams whose tenant is remembered; an LRU beyond that */
    PREPARED_MAX = 65536,           /* prepared statements one client may hold */
    CHANNELS_MAX = 65536,           /* LISTENs of one client that the proxy knows of */
    BELONGINGS_MAX = 4096,          /* temporary tables, cursors of one client that the proxy knows of */
    NOTIFIED_BYTES_MAX = 16 * 1024 * 1024, /* notifications from other stores that wait for one client */
    CLIENT_PORTALS_MAX = 16384,     /* named portals and cursors of one client whose store is remembered */
    JOURNAL_BYTES_MAX = 1024 * 1024,/* remembered SETs, savepoints of one session; beyond: it cannot move */
    JOURNAL_STEPS_MAX = 262144,     /* … and statements of it; beyond: its settings are unknown */
    CANCEL_KEY_BYTES = 4,           /* protocol 3.0 */
    CANCEL_KEY_BYTES_LONG = 32,     /* what we give from protocol 3.2 on, as PostgreSQL 18 does */
    CANCEL_KEY_BYTES_MAX = 256,     /* what another server may give us: protocol 3.2's own bound */
    LOGIN_TIMEOUT_MS = 60000,     /* authentication_timeout of PostgreSQL: of an operator's session */
    DRAIN_YOUNG_MS = 1000, /* a graceful shutdown leaves whoever has just logged in alone for so long */
    LAST_WORDS_MS = 2000,         /* a peer that does not read its last message by then is closed anyway */
    REMEMBERED_LOGINS_MAX = 4096, /* users whose reported parameters a loop remembers */
    GUESSERS_MAX = 4096,          /* addresses whose failed logins a loop remembers */
    REFUSED_WAITING_MAX = 1024,   /* refusals a loop holds back at a time; beyond that they are said at once */
    AUTH_QUERY_KEPT_MAX = 4096,   /* answers of auth_query a loop remembers */
    AUTH_QUERY_KEPT_MS = 5000,    /* and how long: a password changed in the store works here after that */
    AUTH_QUERY_NOBODY_MS = 1000,  /* … that there is no such user: it may be made any moment */
    AUTH_QUERY_LINE_MAX = 4096,   /* logins that wait for it */
    AUTH_QUERY_TIMEOUT_MS = 5000, /* a store that answers later is unavailable */
    DERIVED_KEYS_MAX = 4096, /* passwords whose SCRAM keys a loop has at hand; a user may need one per store */
    SERVER_TEND_TIMEOUT_MS = 5000,   /* server_reset_query, server_check_query: then the connection is closed */
    SERVER_LOGIN_TIMEOUT_MS = 15000, /* a store that does not answer a login by then is unavailable */
    LOG_LINE_BYTES_MAX = 8192,      /* a longer line is cut: one line is one write() from the stack */
    CONFIG_LINE_BYTES_MAX = 8192,   /* a configuration line with its line end; a longer one is an error */
    CONFIG_SECRET_BYTES_MAX = 4096, /* what ${FILE:…} and ${ENV:…} may bring */
};

#endif
