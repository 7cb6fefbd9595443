/* rowtext.h - a row as text, the same on both sides: what digests are made of. Pure. */
#ifndef PGSHUNT_MIGRATE_ROWTEXT_H
#define PGSHUNT_MIGRATE_ROWTEXT_H

#include "migrate/relation.h"

const char *rowtext_type(const struct relation *rel,
                         const char *column); /* "text" if there is no such column */
/* SQL: bytea, the digest of row `e`'s copied columns (but of a position that the target gives), each as text (the sessions' settings make it canonical;
 * a record's text tells NULL from empty and keeps columns apart). */
void rowtext_digest_bytes(const struct relation *rel, struct buf *out);
void rowtext_digest(const struct relation *rel, struct buf *out); /* the same in hex */
/* SQL: text of some columns of `e`, one value that tells them apart. */
void rowtext_record(char *const *columns, size_t count, struct buf *out);

#endif
