/* link.c - see link.h. Owns: its PGconn.   Start at: link_run(). */
#include "ctl/link.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct link {
    PGconn *conn;
};

/* For the signal handler: there is one connection in a process. PQcancel() may be called there. */
static _Atomic(PGcancel *) cancelling;

static void on_interrupt(int number)
{
    PGcancel *cancel = atomic_load(&cancelling);
    char unused[256];

    (void)number;
    if (cancel == NULL || PQcancel(cancel, unused, sizeof unused) == 0)
        _Exit(130);
    signal(SIGINT, SIG_DFL); /* a second one ends the program */
}

static void print_notice(void *who, const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const bool *quiet = who;

    if (!*quiet && message != NULL)
        fprintf(stderr, "%s\n", message);
}

static void trim(char *text)
{
    size_t bytes = strlen(text);

    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == ' '))
        text[--bytes] = '\0';
}

static bool lost(struct link *link, const char *sqlstate, struct error *err)
{
    char why[400];

    snprintf(why, sizeof why, "%s", PQerrorMessage(link->conn));
    trim(why);
    return error_set(err, sqlstate, "%s", why[0] == '\0' ? "the connection was closed" : why);
}

bool link_open(const struct link_setup *setup, struct link **opened, struct error *err)
{
    const char *const keywords[] = {
        "host", "port", "dbname", "application_name", "connect_timeout", "client_encoding", NULL
    };
    const char *const values[] = { setup->host, setup->port, "admin", "pgshuntctl", "10", "UTF8", NULL };
    struct link *link = calloc(1, sizeof *link);

    *opened = NULL;
    if (link == NULL || (link->conn = PQconnectdbParams(keywords, values, 0)) == NULL) {
        free(link);
        return error_no_memory(err);
    }
    if (PQstatus(link->conn) != CONNECTION_OK) {
        lost(link, "08001", err);
        error_hint(
            err,
            "Is pgshunt running? -f FILE takes the admin socket's place from its configuration, -h and -p "
            "name it (admin_socket_dir, admin_port).");
        link_close(link);
        return false;
    }
    PQsetNoticeReceiver(link->conn, print_notice, (void *)&setup->quiet);
    atomic_store(&cancelling, PQgetCancel(link->conn));
    signal(SIGINT, on_interrupt);
    *opened = link;
    return true;
}

void link_close(struct link *link)
{
    if (link == NULL)
        return;
    signal(SIGINT, SIG_DFL);
    PQfreeCancel(atomic_exchange(&cancelling, NULL));
    PQfinish(link->conn);
    free(link);
}

static bool refused(struct link *link, const PGresult *result, struct error *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

    if (sqlstate == NULL || PQstatus(link->conn) == CONNECTION_BAD)
        return lost(link, "08006", err);
    error_set(err, sqlstate, "%s", message == NULL ? "" : message);
    if (detail != NULL)
        error_detail(err, "%s", detail);
    if (hint != NULL)
        error_hint(err, "%s", hint);
    return false;
}

PGresult *link_run(struct link *link, const char *command, struct error *err)
{
    PGresult *result = PQexec(link->conn, command);
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
        return result;
    refused(link, result, err);
    PQclear(result);
    return NULL;
}
