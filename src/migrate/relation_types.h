/* relation_types.h - may a column's values be brought to a column of another type, every one of them, and
 * with the same text afterwards? Pure. */
#ifndef PGSHUNT_MIGRATE_RELATION_TYPES_H
#define PGSHUNT_MIGRATE_RELATION_TYPES_H

#include <stdbool.h>

/* Both as format_type() writes them. Texts must stay the same, because texts are what digests compare: an
 * integer is the same text in a wider one or a numeric, a timestamp(3) in a timestamp; a real is not in a
 * double precision, a date not in a timestamp, and json in jsonb loses its white space and doubled keys. */
bool relation_type_takes(const char *from, const char *to);

#endif
