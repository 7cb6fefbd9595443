/* exits.h - what pgshuntctl's exit code tells a script. Printed by --help and in the manual page. */
#ifndef PGSHUNT_CTL_EXITS_H
#define PGSHUNT_CTL_EXITS_H

enum ctl_exit {
    CTL_OK = 0,
    CTL_REFUSED = 1,     /* pgshunt answered with an error */
    CTL_USAGE = 2,       /* the command line is wrong */
    CTL_UNREACHABLE = 3, /* nobody answers at the admin socket, or the connection was lost */
    CTL_TIMEOUT = 4,     /* wait: the state was not reached in time */
    CTL_NOT_READY = 5, /* a check found something in the way; watch: a migration failed or was rolled back */
};

#endif
