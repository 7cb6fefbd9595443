/* scram_bind.h - channel binding: the flag at the front of a client's first message (GS2 header, RFC 5802 §6)
 * and the attribute "c" of its last one, of type tls-server-end-point (RFC 5929 §4). Pure. Any thread. */
#ifndef PGSHUNT_WIRE_SCRAM_BIND_H
#define PGSHUNT_WIRE_SCRAM_BIND_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "wire/scram.h"

struct scram_gs2 {
    char flag;                    /* 'n' cannot bind, 'y' could but was not offered it, 'p' binds */
    bool chosen;                  /* the mechanism is SCRAM-SHA-256-PLUS */
    struct scram_binding binding; /* of our end of the connection; none: it was not offered either */
};

/* Takes the header off the front of client-first and checks the flag against mechanism and offer.
 * false: malformed (08P01), or a downgrade (28000): the client believes that binding was not offered. */
bool scram_gs2_take(struct scram_gs2 *gs2, struct slice *rest, struct error *err);
/* "n,,", "y,," or "p=tls-server-end-point,,". */
void scram_gs2_write(const struct scram_gs2 *gs2, struct buf *out);
/* The value of "c": base64 of the header and, for 'p', of what binds. */
void scram_gs2_write_value(const struct scram_gs2 *gs2, struct buf *out);
/* Whether `value` is just that. false: 28000 where the binding differs, 08P01 otherwise. */
bool scram_gs2_check_value(const struct scram_gs2 *gs2, struct slice value, struct error *err);

#endif
