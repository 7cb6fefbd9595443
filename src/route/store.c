/* store.c - look-ups over the configured stores. */
#include "route/store.h"

#include <stdlib.h>
#include <string.h>

const struct store *stores_get(const struct stores *stores, const char *name)
{
    for (size_t i = 0; i < stores->count; i++)
        if (strcmp(stores->at[i].name, name) == 0)
            return &stores->at[i];
    return NULL;
}

const struct store *stores_default(const struct stores *stores)
{
    return &stores->at[stores->default_index];
}

/* A password does not outlive its store in freed memory. */
static void free_secret(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

void stores_free(struct stores *stores)
{
    if (stores == NULL)
        return;
    for (size_t i = 0; i < stores->count; i++) {
        struct store *store = &stores->at[i];

        free_secret(store->conninfo);
        free_secret(store->password);
        free(store->conninfo_public);
        free(store->host);
        free(store->port);
        free(store->dbname);
        free(store->user);
        free(store->tls.mode);
        free(store->tls.ca_file);
        free(store->tls.cert_file);
        free(store->tls.key_file);
        free(store->tls.host);
    }
    free(stores);
}
