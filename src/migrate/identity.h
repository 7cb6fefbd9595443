/* identity.h - what a cursor speaks of: the source's cluster, its table and the tap, as one text in the
 * target. */
#ifndef PGSHUNT_MIGRATE_IDENTITY_H
#define PGSHUNT_MIGRATE_IDENTITY_H

#include "migrate/cursor.h"

/* "system identifier/timeline/fingerprints/start time" of the source as it is now. Needs tables[0].source and
 * a tap. */
bool identity_read(struct migration *m, char *text, size_t bytes, struct error *err);
/* Is the copy that `before` speaks of still one of this source? 55000 if not. A source that was only
 * restarted is logged: the full verification before the cutover looks for what a crash may have lost. */
bool identity_check(struct migration *m, const char *before, const char *now, struct error *err);

/* Is the target still the one that was written? What a failover to a standby has lost of what was mirrored is not
 * captured any more: 55000. As long as the scan is not done, rows and cursor are lost together, and it goes on. */
bool identity_check_target(struct migration *m, struct cursor *cursor, struct error *err);

/* Waits until the source's WAL is flushed up to `lsn`: the target may not know more than the source would
 * after a crash (DESIGN §4.3). 0: nothing to wait for. `in_transaction`: source_pg is busy with a snapshot,
 * so that a flush has to be forced on a connection of its own. */
bool identity_wait_flushed(struct migration *m, uint64_t lsn, bool in_transaction, struct error *err);
uint64_t identity_parse_lsn(const char *text); /* "16/B374D848"; 0 for "" */

#endif
