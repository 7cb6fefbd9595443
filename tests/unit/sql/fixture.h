/* fixture.h - a small declared schema for the tests of sql. */
#ifndef PGSHUNT_TEST_SQL_FIXTURE_H
#define PGSHUNT_TEST_SQL_FIXTURE_H

#include <stdbool.h>
#include <string.h>

#include "sql/attribute.h"

#define T1 "11111111-1111-1111-1111-111111111111"
#define T2 "22222222-2222-2222-2222-222222222222"
#define TA "abcdefab-cdef-abcd-efab-cdefabcdefab" /* letters have two cases */
#define T9 "99999999-9999-9999-9999-999999999999" /* stands around */

enum { OID_INT8 = 20, OID_INT4 = 23, OID_TEXT = 25, OID_VARCHAR = 1043, OID_UUID = 2950, OID_CITEXT = 16999, OID_ENUM = 3500, OID_NUMERIC = 1700 };

/* events(uuid), outbox(text), accounts(int8), streams(uuid), labels(varchar), odd(citext) and
 * es."Events"(text) have tenants, plans(enum) and ledgers(numeric), too; countries is everywhere; orphans is declared, and the store has no such
 * table. Functions: append_event(…, tenant) writes, es.read_stream(tenant, …) reads. */
struct schema *fixture_schema(void);

#endif
