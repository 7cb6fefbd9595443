/* link.h - the connection to a pgshunt's admin socket. One thread, blocking; Ctrl-C cancels what is under
 * way. */
#ifndef PGSHUNT_CTL_LINK_H
#define PGSHUNT_CTL_LINK_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/error.h"

struct link;

struct link_setup {
    const char *host, *port; /* the admin socket's folder and port */
    bool quiet;              /* notices are not printed */
};

/* 08001: nobody answers there; the hint says how to name another place. */
bool link_open(const struct link_setup *setup, struct link **link, struct error *err);
void link_close(struct link *link); /* NULL is fine */
/* One command; the caller's (PQclear). NULL: `err` has the server's SQLSTATE, message, detail and hint, 08006
 * for a connection that was lost. */
PGresult *link_run(struct link *link, const char *command, struct error *err);

#endif
