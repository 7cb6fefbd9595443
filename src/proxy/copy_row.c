/* copy_row.c - see copy_row.h. A row is decided like an INSERT of it: what it says against what stands
 * around, the store of its tenant, its gate. Thread: the client's loop.   Start at: copy_row_admit(). */
#include "proxy/copy_row.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/copying.h"
#include "proxy/loop.h"

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

void copy_row_read(const struct copying *copying, enum copy_event event, struct copy_row *row)
{
    const struct copy_rows *rows = &copying->rows;
    uint32_t type = copying_statement(copying)->tenant_type;

    *row = (struct copy_row){ .line = rows->line };
    if (event == COPY_UNREAD) {
        row->why = rows->why;
    } else if (rows->value.at == NULL) {
        row->null = true;
    } else if (memchr(rows->value.at, '\0', rows->value.bytes) != NULL &&
               rows->options.format != COPY_BINARY) {
        row->why = "its tenant has a zero byte";
    } else if (!(rows->options.format == COPY_BINARY ? tenant_from_binary
                                                     : tenant_canonical)(type, rows->value, row->tenant)) {
        row->why = "its tenant is not a value of the column's type that is understood";
    } else if (copying->encoding != COPY_ENCODING_SAME && !is_ascii(row->tenant)) {
        row->why = "its tenant is written in an encoding that is not understood";
    }
}

bool copy_row_attribute(const struct plan_statement *statement, const struct copy_row *row,
                        const struct surroundings *around, struct attribution *out, struct error *err)
{
    if (row->why == NULL)
        return attribute_row(statement, row->null ? NULL : row->tenant, around, out, err);
    out->tenancy = TENANCY_UNKNOWN;
    out->evidence = EVIDENCE_NONE;
    out->null_tenant = out->nobodys = out->contradicted = false;
    out->tenant_count = 0;
    out->why = row->why;
    return true;
}

void copy_row_name(const struct copy_row *row, struct error *err)
{
    char message[sizeof err->message];
    size_t name = strcspn(err->message, ": ");
    bool has_name = err->message[name] == ':' && err->message[name + 1] == ' ';

    /* The error's own name stands first: "cross_store_statement: COPY, line 7: …" */
    snprintf(message, sizeof message, "%.*s%sCOPY, line %llu: %.*s", has_name ? (int)name : 0, err->message,
             has_name ? ": " : "", (unsigned long long)row->line, (int)sizeof message - 64,
             err->message + (has_name ? name + 2 : 0));
    memcpy(err->message, message, sizeof err->message);
}

static bool refuse_other_store(const struct client *client, const struct copy_row *row,
                               const struct store *home, struct error *err)
{
    const struct store *here = &client->loop->shared->stores->at[client->copying->store];

    error_set(err, "0A000",
              "cross_store_statement: COPY, line %llu: the row belongs in store \"%s\", the COPY goes to "
              "store \"%s\"",
              (unsigned long long)row->line, home->name, here->name);
    if (row->null || row->why != NULL)
        error_detail(err, "Its tenant is %s. Nothing of the COPY has been stored.",
                     row->null ? "NULL" : "not known");
    else
        error_detail(err, "Its tenant is \"%s\". Nothing of the COPY has been stored.", row->tenant);
    return error_hint(
        err, "Send one COPY per store, as a message of its own, or sort out the tenants that have moved "
             "(SHOW TENANTS on the admin socket).");
}

/* The row's store is the COPY's. */
static bool is_at_home(struct client *client, const struct copy_row *row, struct error *err)
{
    const struct copying *copying = client->copying;
    struct message message = { .text = copying->text, .shape = &copying->shape, .plan = copying->plan };
    struct place_rules rules = arrive_rules(client);
    struct surroundings around;
    struct around memory;
    struct place place;

    arrive_look_around(client, &around, &memory);
    arrive_look_at_comment(client, &message, copying->index, &around, &memory);
    place_init(&place);
    if (!copy_row_attribute(copying_statement(copying), row, &around, &client->attribution, err) ||
        !place_add(&place, &rules, copying_statement(copying), &client->attribution, err)) {
        copy_row_name(row, err);
        return false;
    }
    return place.store == NULL || (int)place.store->index == copying->store ||
           refuse_other_store(client, row, place.store, err);
}

/* Once a transaction has been attributed, what in it says nothing belongs to the same tenant. */
static void note_tenant(struct client *client, const struct copy_row *row)
{
    struct txn *txn = &client->txn;

    if (txn->tenant[0] == '\0' && (txn->open || txn->branch >= 0) && row->why == NULL && !row->null)
        txn_about(txn, row->tenant, false);
}

enum arrival copy_row_admit(struct client *client, const struct copy_row *row, struct error *err)
{
    struct gates *gates = client->loop->gates;
    struct gate_ask ask = client->copying->ask;
    const struct gate_pass *keep = client->passes;
    struct gate *closed = NULL;

    if (!is_at_home(client, row, err))
        return REFUSED;
    note_tenant(client, row);
    if (gates_count(gates) == 0 || row->null) {
        gates_settle(&client->passes, NULL, clock_ms());
        return ARRIVED;
    }
    ask.lease_valid = loop_lease_is_valid(client->loop);
    ask.now_ms = clock_ms();
    switch (gates_enter(gates, row->why != NULL ? NULL : row->tenant, &ask, &client->passes, &closed)) {
    case GATE_GO:
        if (row->why == NULL)
            gates_settle(&client->passes, row->tenant, ask.now_ms);
        return ARRIVED;
    case GATE_HOLD:
        gates_retreat(&client->passes, keep, ask.now_ms);
        return arrive_hold(client, closed);
    case GATE_NO_MEMORY:
        break;
    }
    gates_retreat(&client->passes, keep, ask.now_ms);
    error_no_memory(err);
    return REFUSED;
}
