/* tap_text.h - the names and the generated SQL of one tap. Pure, apart from what a struct migration already
 * knows. */
#ifndef PGSHUNT_MIGRATE_TAP_TEXT_H
#define PGSHUNT_MIGRATE_TAP_TEXT_H

#include "migrate/migration.h"
#include "migrate/tap_key.h"

struct tap_names {
    int64_t key;                                         /* advisory lock, and "tap" in our tables */
    char key_text[24];                                   /* the same in decimal */
    char function[32], state[32], time[32], trigger[40]; /* without schema */
    char qualified_function[96];                         /* for to_regproc() */
    char qualified_state[96];
};

struct tap_text {
    struct tap_names names;
    struct buf sequences, function, triggers; /* SQL */
    char definition[20];                      /* a digest of function and triggers */
};

void tap_names_of(const struct migration *m, struct tap_names *names);
/* `login`: session_user of our own sessions at the source. Needs m->tables[0].source. */
bool tap_text_make(const struct migration *m, const char *login, struct tap_text *text, struct error *err);
void tap_text_done(struct tap_text *text);
/* One of the texts that need only names (tap_disable, tap_drop, tap_forget). */
void tap_text_expand(const struct migration *m, const char *sql, struct buf *out);

/* Tells an open tap that its owner has our epoch now, so that an earlier one can shut it no more (55000: a
 * later one has it). Whoever works on a migration does so first. */
bool tap_claim(struct migration *m, struct error *err);
/* INSERT, UPDATE, DELETE through the tap, rolled back; false: the tap itself fails. */
bool tap_try(struct migration *m, const struct tap_names *names, struct error *err);
/* tap_fingerprint.sql; empty text: no tap. */
bool tap_read_fingerprint(struct pg *pg, const struct tap_names *names, struct buf *fingerprint,
                          struct error *err);

#endif
