/* md5.h - PostgreSQL's md5 password answer, as a client of old servers: "md5" + md5(md5(password + user) + salt). */
#ifndef PGSHUNT_WIRE_MD5_H
#define PGSHUNT_WIRE_MD5_H

#include <stdbool.h>

enum { MD5_ANSWER_BYTES = 36 };

/* `password` is plain, or already "md5…" as stored. false: OpenSSL refuses MD5. */
bool md5_answer(const char *password, const char *user, const unsigned char salt[4], char answer[MD5_ANSWER_BYTES]);

#endif
