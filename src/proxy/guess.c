/* guess.c - see guess.h. */
#include "proxy/guess.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { KEY_BYTES = 9, QUIET_MS = 60000, DOUBLINGS_MAX = 6 };

struct guesser {
    unsigned char key[KEY_BYTES]; /* the family, then what of the address counts */
    unsigned failures;
    uint64_t last_ms;
    UT_hash_handle hh;
};

struct guess {
    struct guesser *guessers; /* in the order of their last failure */
};

struct guess *guess_new(void)
{
    return calloc(1, sizeof(struct guess));
}

static void forget(struct guess *guess, struct guesser *guesser)
{
    HASH_DEL(guess->guessers, guesser);
    free(guesser);
}

void guess_free(struct guess *guess)
{
    while (guess != NULL && guess->guessers != NULL)
        forget(guess, guess->guessers);
    free(guess);
}

static void key_of(const struct sockaddr *address, unsigned char key[KEY_BYTES])
{
    memset(key, 0, KEY_BYTES);
    key[0] = (unsigned char)address->sa_family;
    if (address->sa_family == AF_INET)
        memcpy(key + 1, &((const struct sockaddr_in *)address)->sin_addr, 4);
    else if (address->sa_family == AF_INET6)
        memcpy(key + 1, &((const struct sockaddr_in6 *)address)->sin6_addr, 8);
}

/* NULL: no memory; it is then as if this were its first failure. */
static struct guesser *find_or_add(struct guess *guess, const unsigned char key[KEY_BYTES])
{
    struct guesser *guesser = NULL;

    if (guess->guessers != NULL)
        HASH_FIND(hh, guess->guessers, key, KEY_BYTES, guesser);
    if (guesser != NULL) {
        HASH_DEL(guess->guessers, guesser); /* to the back */
    } else {
        if (guess->guessers != NULL && HASH_COUNT(guess->guessers) >= GUESSERS_MAX)
            forget(guess, guess->guessers);
        guesser = calloc(1, sizeof *guesser);
        if (guesser == NULL)
            return NULL;
        memcpy(guesser->key, key, KEY_BYTES);
    }
    HASH_ADD(hh, guess->guessers, key, KEY_BYTES, guesser);
    if (guesser->hh.tbl == NULL) {
        free(guesser);
        return NULL;
    }
    return guesser;
}

uint32_t guess_failed(struct guess *guess, const struct sockaddr *address, uint32_t first_delay_ms,
                      uint64_t now_ms)
{
    unsigned char key[KEY_BYTES];
    struct guesser *guesser;

    key_of(address, key);
    guesser = find_or_add(guess, key);
    if (guesser == NULL)
        return first_delay_ms;
    if (now_ms - guesser->last_ms > QUIET_MS)
        guesser->failures = 0;
    guesser->last_ms = now_ms;
    if (guesser->failures < DOUBLINGS_MAX)
        return first_delay_ms << guesser->failures++;
    return first_delay_ms << DOUBLINGS_MAX;
}
