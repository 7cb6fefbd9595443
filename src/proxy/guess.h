/* guess.h - who guesses passwords: failed logins by address, and how long the next failure's answer is held
 * back. The delay doubles with every failure from the same address and is forgotten after a quiet while; a
 * login that succeeds is never delayed. Bounded: of more addresses than it holds, the one longest unheard of
 * is forgotten. One per loop. Pure. */
#ifndef PGSHUNT_PROXY_GUESS_H
#define PGSHUNT_PROXY_GUESS_H

#include <stdint.h>
#include <sys/socket.h>

struct guess;

struct guess *guess_new(void); /* NULL: no memory */
void guess_free(struct guess *guess);
/* A login from `address` has failed: how long to wait with the answer. IPv6 counts by /64, Unix sockets
 * together. */
uint32_t guess_failed(struct guess *guess, const struct sockaddr *address, uint32_t first_delay_ms,
                      uint64_t now_ms);

#endif
