/* ledger_notes.h - what is written down of a migration without changing its state: progress, errors, reports.
 * Row and audit entry are one transaction (sql/control_004.sql). Blocking; the ledger's thread. */
#ifndef PGSHUNT_MIGRATE_LEDGER_NOTES_H
#define PGSHUNT_MIGRATE_LEDGER_NOTES_H

#include "base/buf.h"
#include "migrate/ledger.h"

struct ledger_progress {
    int64_t total_events, events_copied, sync_lag_events, source_position;
    double percentage;
};
/* Audited at every tenth of the copy. */
bool ledger_progress(struct ledger *ledger, const char *id, uint64_t epoch,
                     const struct ledger_progress *progress, struct error *err);
/* An error that does not change the state, audited when it is another than before. `why` NULL: it is over. */
bool ledger_note(struct ledger *ledger, const char *id, uint64_t epoch, const struct error *why,
                 const char *severity, const char *recoverability, struct error *err);
/* An audit entry and nothing else; `details` a JSON object or NULL, `operator_name` NULL: pgshunt itself. */
bool ledger_event(struct ledger *ledger, const char *id, const char *event, const char *operator_name,
                  const char *details, struct error *err);
/* Keeps a report (SHOW REPORT); of a verification and a cutover the row has the last one, too. Audited under
 * `event`. */
enum ledger_report { LEDGER_VERIFICATION, LEDGER_CUTOVER, LEDGER_REPAIR, LEDGER_RESYNC };
bool ledger_report(struct ledger *ledger, const char *id, enum ledger_report what, const char *event,
                   const char *json, const char *operator_name, struct error *err);
bool ledger_write_failed(struct ledger *ledger, const char *id, int64_t entries, const struct error *why,
                         struct error *err);
bool ledger_write_recovered(struct ledger *ledger, const char *id, struct error *err);
/* RESUME, while there is no free slot; and PAUSE, which takes that back. */
bool ledger_want_resume(struct ledger *ledger, const char *id, uint64_t epoch, const char *operator_name,
                        const char *reason, struct error *err);
bool ledger_unwant_resume(struct ledger *ledger, const char *id, uint64_t epoch, const char *operator_name,
                          const char *reason, struct error *err);
/* Nothing is left to do at the source. */
bool ledger_settled(struct ledger *ledger, const char *id, struct error *err);

/* `why` as a JSON object for row and audit; NULL if there is none or no memory. */
const char *ledger_error_json(struct buf *json, const struct error *why, const char *severity,
                              const char *recoverability);

#endif
