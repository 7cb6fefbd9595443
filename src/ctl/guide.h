/* guide.h - what pgshuntctl says of itself: --help, --version, --manual (roff), --completion (bash). All of
 * it follows from the table of verbs. */
#ifndef PGSHUNT_CTL_GUIDE_H
#define PGSHUNT_CTL_GUIDE_H

#include <stdbool.h>
#include <stdio.h>

/* false: the word asks for none of them. */
bool guide_print(const char *word, FILE *to);

#endif
