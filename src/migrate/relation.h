/* relation.h - one store's event table: columns, types, keys, sequence, fingerprint; and what makes two of
 * them fit. */
#ifndef PGSHUNT_MIGRATE_RELATION_H
#define PGSHUNT_MIGRATE_RELATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "migrate/pg.h"

struct relation_column {
    char *name;
    char *type; /* format_type() */
    uint32_t type_oid;
    uint32_t tenant_type; /* of a domain the type below it, any enum TYPE_ENUM; 0: equal texts and equal
                             values are not the same, `odd` says why */
    const char *odd;      /* a static text; NULL: nothing */
    bool generated;       /* GENERATED ALWAYS AS (…) STORED */
    bool regenerated;     /* of regenerate_columns: it says something of the cluster, not of the event */
    bool copied;          /* neither: the target has the source's value */
    bool assigned;        /* the position, where the target gives it (by migration_connect()) */
    bool of_cluster;      /* of a type whose values mean nothing in another cluster: xid8, pg_lsn, … */
    bool text_only;       /* its binary form names OIDs of types that are not built in: another cluster's differ */
    char *cast;           /* of a source: the target's type, where that is another one; NULL: the same */
    bool identity_always; /* needs OVERRIDING SYSTEM VALUE */
    bool not_null;
    bool has_default; /* or an identity: an insert may leave it out */
    bool is_tenant, is_position, is_event_id, is_version, is_stream;
};

struct relation_sequence {
    char *column, *sequence; /* the latter quoted and qualified */
};

struct relation {
    uint32_t oid; /* 0: not read */
    bool companion;
    char *qualified; /* quoted: "public"."events" */
    char *from;      /* the same; of a companion without a tenant column a sub-select, which has one:
                        relation_append_from() */
    size_t column_count;
    struct relation_column *columns;
    bool as_text;          /* of a source: a copied column is text_only, so that rows go as text */
    char *sequence;        /* of the position column, quoted and qualified; NULL: none */
    size_t sequence_count; /* of a companion: the columns that a sequence fills */
    struct relation_sequence *sequences;
    char *key_columns; /* quoted, comma-separated: event_id, or stream columns + version */
    size_t key_count;
    char *key_names[9]; /* the same, one by one, not quoted */
    bool key_unique;    /* a unique index that is not partial stands on exactly these */
    char *fingerprint;  /* DESIGN §4.2: columns, types, pg_inherits, relfilenodes, (the tap has its own:
                           tap_check) */
    bool inheritance_children;                       /* not partitions: refused */
    char *system_identifier, *timeline, *started_at; /* identity of the cluster */
    uint32_t database_oid;
    int server_version;
};

struct event_names;

void relation_append_qualified(struct buf *out, const struct event_names *names);
/* What stands behind FROM, without an alias. A companion without a tenant column is read with one more,
 * NAMES_TENANT_OF_PARENT: the tenant of the parent's rows with the same values, NULL if there is none. */
void relation_append_from(struct buf *out, const struct event_names *names);
/* 42P01 if there is no such table, 42703 if a configured column is missing: say which store (`what`). */
bool relation_read(struct pg *pg, const char *what, const struct event_names *names, struct relation *rel,
                   struct error *err);
void relation_done(struct relation *rel);
/* 42804/42703…: the first difference between source and target that would stop a copy. */
/* How the source's rows are to be read so that the target takes them, if they fit. */
bool relation_adapt(struct relation *source, const struct relation *target, struct error *err);
bool relation_fits(const struct relation *source, const struct relation *target, struct error *err);
/* All of them, one by one, until `differ` says false. */
void relation_compare(const struct relation *source, const struct relation *target,
                      bool (*differ)(void *who, const struct error *difference), void *who);
/* Reads only the fingerprint again and compares. false: it changed (55000, says what), or a failure. */
bool relation_unchanged(struct pg *pg, const struct relation *rel, const struct event_names *names,
                        struct error *err);
/* The comparison alone, of two fingerprints as relation_read() keeps them. */
bool relation_same_fingerprint(const char *qualified, const char *before, const char *now, struct error *err);
/* Always quoted. A name comes from the server's catalogue in UTF-8, where doubling the quote is enough. */
void relation_append_identifier(struct buf *out, const char *name);
/* A column list for SQL: quoted, comma-separated, `prefix` ("e.") before each; those that are copied. With a prefix they
 * are read, and have the target's types. */
bool relation_column_list(const struct relation *rel, const char *prefix, struct buf *out);

#endif
