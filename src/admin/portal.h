/* portal.h - what one console session has prepared and bound (extended protocol). One session, one thread. */
#ifndef PGSHUNT_ADMIN_PORTAL_H
#define PGSHUNT_ADMIN_PORTAL_H

#include <stdbool.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1 /* an element that found no memory has hh.tbl == NULL, and we say so */
#include <uthash.h>

#include "admin/answer.h"
#include "admin/command.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/rows.h"
#include "sql/attribute.h"
#include "wire/msg.h"

enum {
    PREPARED_NAMED_MAX =
        256, /* per session, each up to COMMAND_BYTES_MAX: what one operator can make us hold */
    PORTALS_MAX = 64,
};

struct prepared {
    char *name; /* "" : the unnamed one */
    char *text;
    const struct command_info *info;
    size_t parameter_count;
    uint32_t *types; /* as Parse named them; 0: not named, we say text */
    UT_hash_handle hh;
};

struct portal {
    char *name;
    struct command command;
    struct buf bytes;     /* of all values, one behind the other */
    struct slice *values; /* into `bytes` */
    uint16_t *value_formats;
    uint32_t *types;
    struct parameters params; /* the three above */
    uint16_t *result_formats;
    struct answer_formats formats;
    struct rows *rows; /* the answer; NULL: none, or not yet */
    size_t row_at;     /* rows sent so far */
    bool started;      /* a portal runs once: a second Execute only goes on with its rows */
    UT_hash_handle hh;
};

struct portals {
    struct prepared *prepared;
    struct portal *bound;
};

void portals_done(struct portals *portals);

/* Parse. The unnamed statement is replaced. false: 42601, 42P05 (the name is taken), 54000 (too many), no
 * memory. */
bool portals_prepare(struct portals *portals, const struct msg *msg, struct error *err);
/* Bind. false: 26000 (no such statement), 42P03 (the name is taken), 08P01, 22023, what command_parse() says
 * … */
bool portals_bind(struct portals *portals, const struct msg *msg, struct error *err);

bool portals_find_prepared(const struct portals *portals, struct slice name, const struct prepared **prepared,
                           struct error *err);
bool portals_find_bound(const struct portals *portals, struct slice name, struct portal **portal,
                        struct error *err);
void portals_close_prepared(struct portals *portals, struct slice name); /* one that is not there is fine */
void portals_close_bound(struct portals *portals, struct slice name);
void portals_close_all_bound(struct portals *portals); /* the transaction has ended */

#endif
