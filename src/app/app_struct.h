/* app_struct.h - struct app, for the files of this folder. Main's thread. */
#ifndef PGSHUNT_APP_APP_STRUCT_H
#define PGSHUNT_APP_APP_STRUCT_H

#include "admin/console.h"
#include "app/drain.h"
#include "app/takeover.h"
#include "base/config.h"
#include "base/log.h"
#include "migrate/control.h"
#include "proxy/proxy.h"
#include "status/status.h"

struct app {
    const char *file; /* the configuration's */
    const struct config
        *config; /* as read at the start: layers borrow texts of it for as long as they live */
    const struct config *current; /* in force: another one after a RELOAD */
    struct log *log;
    int log_fd; /* -1: stderr */
    struct stores *stores;
    struct switchboard switchboard;
    struct stats *stats[LOOPS_MAX];
    struct lease lease;
    struct console *console;
    struct proxy *proxy;
    struct control *control;
    struct status *status; /* NULL: no http_listen */
    struct drain drain;
    struct takeover takeover;
    bool wrote_pid;
};

/* `follows`: another process has control; this one's loops only go by what the control database says. */
bool app_start_control(struct app *app, bool follows, struct error *err);
void app_write_pid_file(struct app *app); /* a failure is logged */
/* A CancelRequest: for a client of ours, or of our predecessor. */
void app_cancel(struct app *app, uint32_t pid, const void *key, size_t key_bytes);
bool app_open_log_file(const char *path, int *fd, struct error *err);

#endif
