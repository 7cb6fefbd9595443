/* mirror.h - captured keys -> their rows -> target, by key (DESIGN §4.4). Runner's thread. */
#ifndef PGSHUNT_MIGRATE_MIRROR_H
#define PGSHUNT_MIGRATE_MIRROR_H

#include "migrate/migration.h"

struct mirror;

struct mirror_pass {
    int64_t entries; /* captured entries settled by this pass */
    int64_t rows_put, keys_deleted;
    bool more; /* the batch was full: pass again at once */
};

struct mirror *mirror_new(struct migration *m); /* borrows m; NULL: no memory */
void mirror_free(struct mirror *mirror);
/* One batch; a crash anywhere inside repeats it with the same result. Checks the fingerprint. */
bool mirror_run(struct mirror *mirror, struct mirror_pass *pass, struct error *err);
/* Passes until nothing is captured. Every snapshot begins after the call. */
bool mirror_drain(struct mirror *mirror, struct error *err);
/* Backends that rang a doorbell, and captured entries whose backend never did: hidden writers. */
void mirror_know_backend(struct mirror *mirror, int32_t pid);
struct mirror_hidden {
    int32_t pid;
    char application[64];
    int64_t entries;
    uint64_t last_ms_ago;
};
size_t mirror_hidden_writers(struct mirror *mirror, struct mirror_hidden *out, size_t max);
/* Keys applied since the last verify-behind that still have to be compared. */
int64_t mirror_unverified(const struct mirror *mirror);
/* Compares (by digest, both sides) the rows of the keys applied and not yet verified; entries captured
 * meanwhile are left for later. XX001 names the first difference. */
bool mirror_verify_behind(struct mirror *mirror, struct error *err);
/* Forgets connections' prepared state after a reconnect. */
void mirror_reset(struct mirror *mirror);

#endif
