/* tap_text.h - the names and the generated SQL of one tap. Pure, apart from what a struct migration already
 * knows. */
#ifndef PGSHUNT_MIGRATE_TAP_TEXT_H
#define PGSHUNT_MIGRATE_TAP_TEXT_H

#include "migrate/migration.h"
#include "migrate/tap_key.h"

struct tap_names {
    int64_t key;       /* advisory lock, and "tap" in our tables */
    char key_text[24]; /* the same in decimal */
    char function[32]; /* of the event table; those of companions have a number behind it */
    char state[32], time[32], trigger[40]; /* without schema */
    char qualified_function[96];           /* for to_regproc() */
    char qualified_state[96];
};

/* SQL of one table's triggers and the function behind them. */
struct tap_table_text {
    struct buf function, triggers;
};

struct tap_text {
    struct tap_names names;
    struct buf sequences;
    size_t table_count; /* as the migration's tables */
    struct tap_table_text tables[MOVED_TABLES_MAX];
    char definition[20]; /* a digest of functions and triggers */
};

void tap_names_of(const struct migration *m, struct tap_names *names);
/* `login`: session_user of our own sessions at the source. Needs the source's relations. */
bool tap_text_make(const struct migration *m, const char *login, struct tap_text *text, struct error *err);
void tap_text_done(struct tap_text *text);
/* One of the texts that need only names (tap_read, tap_forget, …). */
void tap_text_expand(const struct migration *m, const char *sql, struct buf *out);
/* One of those that are about one table of the tap, too: tap_disable, tap_drop. */
void tap_text_expand_table(const struct migration *m, const char *sql, uint32_t table, struct buf *out);

/* Tells an open tap that its owner has our epoch now, so that an earlier one can shut it no more (55000: a
 * later one has it). Whoever works on a migration does so first. */
bool tap_claim(struct migration *m, struct error *err);
/* INSERT, UPDATE, DELETE through the tap, rolled back; false: the tap itself fails. */
bool tap_try(struct migration *m, const struct tap_names *names, struct error *err);
/* One row of the tenant at m's source, written and rolled back; false: refused, as the server says it. `tried`
 * false: there was no row to copy, or something else would fire. */
bool tap_try_write(struct migration *m, bool *tried, struct error *err);
/* tap_fingerprint.sql; empty text: no tap. */
bool tap_read_fingerprint(struct pg *pg, const struct tap_names *names, struct buf *fingerprint,
                          struct error *err);

#endif
