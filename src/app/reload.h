/* reload.h - RELOAD and SIGHUP: the configuration file again, applied to whoever runs. Main's thread. */
#ifndef PGSHUNT_APP_RELOAD_H
#define PGSHUNT_APP_RELOAD_H

#include <stdbool.h>

#include "base/error.h"
#include "base/rows.h"

struct app;

/* Appends a row (key, old, new, status) for what has changed; returns when it is in force. false: the file,
 * or one that it names, is wrong; nothing has changed. */
bool reload_run(struct app *app, struct rows *changes, struct error *err);

#endif
