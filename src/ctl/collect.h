/* collect.h - a bundle for a bug report: what the console tells, without secrets and without payloads, as
 * JSON files in a tar.gz. */
#ifndef PGSHUNT_CTL_COLLECT_H
#define PGSHUNT_CTL_COLLECT_H

#include "ctl/link.h"

/* `output` NULL: pgshunt-TIME.tar.gz here. `log` NULL: no log; else the end of that file. What cannot be had
 * is named in errors.txt of the bundle. Prints where it is. */
bool collect_run(struct link *link, const char *output, const char *log, struct error *err);

#endif
