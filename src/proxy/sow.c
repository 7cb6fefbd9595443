/* sow.c - see sow.h. */
#include "proxy/sow.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/execute.h"
#include "proxy/finder.h"
#include "proxy/loop.h"

enum { SOWN_MAX = 256 }; /* streams of one client that are remembered before their commit */

struct sown {
    struct sown *next;
    uint64_t sync; /* the ReadyForQuery that at the earliest ends its transaction */
    char tenant[TENANT_BYTES_MAX];
    size_t key_bytes;
    char key[];
};

static struct slice key_of(const struct sown *sown)
{
    return (struct slice){ sown->key, sown->key_bytes };
}

static void on_row(void *who, struct slice key, const char *tenant)
{
    struct client *client = who;
    struct sow *sow = &client->sow;
    struct sown *sown;

    if (sow->count >= SOWN_MAX || (sown = malloc(sizeof *sown + key.bytes)) == NULL)
        return;
    sown->sync = client_ends_with(client);
    memcpy(sown->tenant, tenant, strlen(tenant) + 1);
    sown->key_bytes = key.bytes;
    memcpy(sown->key, key.at, key.bytes);
    sown->next = sow->pending;
    sow->pending = sown;
    sow->count++;
}

/* A transaction that ends within a message is not followed: which of its statements were committed? */
void sow_note(struct client *client, const struct running *running)
{
    const struct plan_statement *statement = running->statement;

    if (statement->class != CLASS_WRITE || route_table_away_count(client->loop->table) == 0)
        return;
    if (statement->unsettles)
        client->sow.unsettles = client_ends_with(client);
    if (statement->sown_count > 0 && !statement->ddl && !statement->tenants_partial && !client->sow.mixed)
        attribute_each_row(statement, running->text, running->shape, running->params, on_row, client);
}

static void settle(struct client *client, bool failed)
{
    if (client->sow.unsettles == 0 || client->sow.unsettles > client->sync_seen)
        return;
    client->sow.unsettles = 0;
    if (!failed)
        finder_unsettle(client->loop->finder);
}

void sow_ended(struct client *client, bool failed)
{
    struct sown **link = &client->sow.pending;

    settle(client, failed);
    while (*link != NULL) {
        struct sown *sown = *link;

        if (sown->sync > client->sync_seen) {
            link = &sown->next;
            continue;
        }
        if (!failed)
            finder_keep(client->loop->finder, key_of(sown), sown->tenant);
        *link = sown->next;
        client->sow.count--;
        free(sown);
    }
}

void sow_drop(struct client *client)
{
    struct sow *sow = &client->sow;

    while (sow->pending != NULL) {
        struct sown *sown = sow->pending;

        sow->pending = sown->next;
        free(sown);
    }
    sow->count = 0;
    if (sow->unsettles != 0) /* it may have committed */
        finder_unsettle(client->loop->finder);
    sow->unsettles = 0;
}

bool sow_find(const struct sow *sow, struct slice key, char tenant[TENANT_BYTES_MAX])
{
    for (const struct sown *sown = sow->pending; sown != NULL; sown = sown->next)
        if (slice_equal(key_of(sown), key)) {
            memcpy(tenant, sown->tenant, sizeof sown->tenant);
            return true;
        }
    return false;
}
