/* app.h - the whole program: reads the configuration, builds the layers, connects their mailboxes, and stops
 * them in reverse order. Called by main() only. */
#ifndef PGSHUNT_APP_APP_H
#define PGSHUNT_APP_APP_H

#include <stdbool.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 /* and a wrong configuration */ };

/* Each returns an exit code and has said on stderr, or in the log, what went wrong. */
int app_run(const char *file, bool takes_over); /* until SIGTERM, SIGINT, SHUTDOWN, or a successor */
int app_check(const char *file);                /* prints "ok" */
int app_init_control(const char *file);

#endif
