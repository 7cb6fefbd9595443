/* attribute.h - plan + literals + parameters + transaction + settings -> tenant, or none, and by what
 * evidence (DESIGN §3.1). Pure. */
#ifndef PGSHUNT_SQL_ATTRIBUTE_H
#define PGSHUNT_SQL_ATTRIBUTE_H

#include "base/limits.h"
#include "sql/plan.h"

/* A parameter's format where its value was not understood: whatever needs it is unknown. */
enum { PARAMETER_UNREAD = 2 };

/* The values of a Bind; NULL where there is none (simple query, Parse). */
struct parameters {
    size_t count;
    const struct slice *values; /* .at NULL: SQL NULL */
    const uint16_t *formats;    /* expanded to `count`: 0 text, 1 binary, PARAMETER_UNREAD */
    size_t type_count;
    const uint32_t *types; /* of Parse; 0 or missing: unspecified, the column's type */
};

/* What the stream directory says of a key. */
enum stream_answer {
    STREAM_TENANT, /* its tenant */
    STREAM_NULL,   /* its events have no tenant */
    STREAM_NOBODY, /* there is no such stream, in any store */
    STREAM_MIXED,  /* it has events of several tenants */
    STREAM_ASKED,  /* it is being looked up: ask again */
    STREAM_FAILED, /* it cannot be looked up */
};

/* The stream directory, as far as attribution needs it. A key is enum schema_key_kind as one byte, then the
 * canonical text of each of its columns with its NUL. */
struct stream_finder {
    enum stream_answer (*find)(void *who, struct slice key, char tenant[TENANT_BYTES_MAX]);
    void *who;
};
enum { STREAM_KEYS_MAX = 64 }; /* of one statement; beyond, it is as if it named none */

/* What stands around a statement. Empty text: nothing. */
struct surroundings {
    const char *comment_tenant; /* attribute_read_comment() */
    bool comment_unknown;
    const char *transaction_tenant;
    bool transaction_several; /* and of others: none of them is what a statement means that names none */
    const char *setting_tenant;
    bool setting_unknown; /* the setting was changed to something that could not be read */
    const char *user_tenant; /* of the mapping of the login name */
    bool mapped_database;    /* … of that of the database's name */
    bool strict; /* contradictions are errors (some tenant is paused or lives elsewhere) */
    const struct stream_finder *streams; /* NULL: the directory is not asked */
};

enum tenancy {
    TENANCY_NONE,    /* touches neither event nor companion table */
    TENANCY_KNOWN,   /* `tenants`, at least one */
    TENANCY_UNKNOWN, /* touches them, and cannot be told */
    TENANCY_ASKED,   /* the stream directory is being asked: attribute again when it has answered */
    TENANCY_FAILED,  /* it could not be, and nothing else says a tenant */
};

enum evidence {
    EVIDENCE_NONE,
    EVIDENCE_LITERAL,
    EVIDENCE_PARAMETER,
    EVIDENCE_STREAM,
    EVIDENCE_COMMENT,
    EVIDENCE_TRANSACTION,
    EVIDENCE_SETTING,
    EVIDENCE_USER,
    EVIDENCE_DATABASE,
    EVIDENCE_PATTERN, /* the declared pattern on the id of a stream */
    EVIDENCE_ROW, /* of a COPY */
};

struct attribution {
    enum tenancy tenancy;
    enum evidence evidence;
    bool null_tenant; /* also rows without a tenant: they live in the default store */
    bool nobodys; /* … or of streams that nobody has yet: there are no such rows, and any may be written */
    bool contradicted; /* evidence around says otherwise (counted and logged when not strict) */
    size_t tenant_count;
    char (*tenants)[TENANT_BYTES_MAX]; /* canonical, distinct; memory of the attribution, reused */
    size_t tenant_capacity;
    const char *why; /* TENANCY_UNKNOWN: a static sentence for logs and EXPLAIN ROUTE */
};

void attribution_init(struct attribution *attribution);
void attribution_done(struct attribution *attribution);

/* Calls `visit` with the stream and the tenant of each row that a statement with `sown` writes, in its order;
 * those that cannot be read are left out. */
typedef void stream_visitor(void *who, struct slice key, const char *tenant);
void attribute_each_row(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                        const struct parameters *params, stream_visitor *visit, void *who);

/* `params` NULL: none (a $n then is unknown). false: conflicting_evidence (0A000) where strict, or no memory.
 */
bool attribute(const struct plan_statement *statement, struct slice text, const struct shape *shape,
               const struct parameters *params, const struct surroundings *around, struct attribution *out,
               struct error *err);

/* A COPY whose rows are read (statement->copy), before any row: what stands around it says whose they must be
 * (the transaction's tenant does not). KNOWN or UNKNOWN. */
bool attribute_before_rows(const struct plan_statement *statement, const struct surroundings *around,
                           struct attribution *out, struct error *err);
/* One row of it: its tenant in canonical form, NULL: it has none. */
bool attribute_row(const struct plan_statement *statement, const char *tenant,
                   const struct surroundings *around, struct attribution *out, struct error *err);

enum comment_reading { COMMENT_NONE, COMMENT_TENANT, COMMENT_UNKNOWN };

/* What the comments around and in statement `index` of the text (counted without empty ones) say under `key`,
 * in the manner of sqlcommenter: key='value' with commas between, values URL-encoded. Comments are not part
 * of a shape: they are read anew for every statement. UNKNOWN: two of them differ, or the value is too long.
 */
enum comment_reading attribute_read_comment(const struct shape *shape, struct slice text, size_t index,
                                            const char *key, char tenant[TENANT_BYTES_MAX]);
/* The key that a tenant setting suggests: the last part of its name (app.tenant_id: tenant_id). */
const char *attribute_comment_key(const char *tenant_setting);

/* The value that a STATEMENT_SET(_LOCAL) gives its setting, as text. false: cannot be read (setting_unknown).
 */
bool attribute_set_value(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                         const struct parameters *params, struct buf *value);

/* The canonical form of a tenant: uuid in lower case, integers without leading zeros or sign '+', text as it
 * is. false: not a value of that type, or TENANT_BYTES_MAX or longer. */
bool tenant_type_is_known(uint32_t type_oid); /* anyenum stands for every enum */
bool tenant_canonical(uint32_t type_oid, struct slice text, char out[TENANT_BYTES_MAX]);
bool tenant_from_binary(uint32_t type_oid, struct slice bytes, char out[TENANT_BYTES_MAX]);

const char *evidence_name(enum evidence evidence); /* "literal", "parameter", … */

#endif
