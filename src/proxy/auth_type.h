/* auth_type.h - how a client may prove who it is: the values of auth_type, and the methods of hba_file. */
#ifndef PGSHUNT_PROXY_AUTH_TYPE_H
#define PGSHUNT_PROXY_AUTH_TYPE_H

enum auth_type {
    AUTH_SCRAM,    /* scram-sha-256 */
    AUTH_MD5,      /* md5; where the user's secret is a SCRAM verifier: SCRAM, as PostgreSQL and PgBouncer */
    AUTH_PASSWORD, /* the password as it is; hba_file only */
    AUTH_TRUST,
    AUTH_PEER,   /* the system user at the other end of a Unix-domain socket */
    AUTH_CERT,   /* the name in a verified client certificate */
    AUTH_REJECT, /* hba_file only */
    AUTH_HBA,    /* auth_type only: hba_file decides */
};

#endif
