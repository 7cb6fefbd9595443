/* letters.c - making and dropping the letters of letters.h. */
#include "route/letters.h"

#include <stdlib.h>
#include <string.h>

/* `letter` is the first member of every letter, so that a letter's address is its struct's. */
static void *letter_new(size_t bytes, int kind, void (*drop)(struct letter *), struct mailbox *reply_to)
{
    struct letter *letter = calloc(1, bytes);

    if (letter == NULL)
        return NULL;
    letter->kind = kind;
    letter->drop = drop;
    letter->reply_to = reply_to == NULL ? NULL : mailbox_take(reply_to);
    return letter;
}

static void plain_drop(struct letter *letter)
{
    free(letter);
}

static void publish_drop(struct letter *letter)
{
    struct publish_letter *publish = (struct publish_letter *)letter;

    route_table_give(publish->table);
    catalogue_give(publish->catalogue);
    free(publish);
}

struct publish_letter *publish_letter_new(struct mailbox *reply_to, struct route_table *table,
                                          struct catalogue *catalogue, bool ready)
{
    struct publish_letter *publish = letter_new(sizeof *publish, LETTER_PUBLISH, publish_drop, reply_to);

    if (publish == NULL)
        return NULL;
    publish->table = route_table_take(table);
    publish->catalogue = catalogue_take(catalogue);
    publish->ready = ready;
    return publish;
}

static void gate_drop(struct letter *letter)
{
    struct gate_letter *gate = (struct gate_letter *)letter;

    mailbox_give(gate->doorbell);
    free(gate);
}

struct gate_letter *gate_letter_new(enum gate_op op, const char *tenant, const char *migration,
                                    uint64_t owner_epoch, struct mailbox *reply_to, struct mailbox *doorbell)
{
    struct gate_letter *gate = letter_new(sizeof *gate, LETTER_GATE, gate_drop, reply_to);

    if (gate == NULL)
        return NULL;
    gate->op = op;
    gate->owner_epoch = owner_epoch;
    gate->doorbell = doorbell == NULL ? NULL : mailbox_take(doorbell);
    strncpy(gate->tenant, tenant, sizeof gate->tenant - 1);
    strncpy(gate->migration, migration, sizeof gate->migration - 1);
    return gate;
}

struct doorbell_letter *doorbell_letter_new(const char *tenant, int32_t backend_pid)
{
    struct doorbell_letter *doorbell = letter_new(sizeof *doorbell, LETTER_DOORBELL, plain_drop, NULL);

    if (doorbell == NULL)
        return NULL;
    doorbell->backend_pid = backend_pid;
    strncpy(doorbell->tenant, tenant, sizeof doorbell->tenant - 1);
    return doorbell;
}

struct stale_letter *stale_letter_new(enum stale_what what, const char *tenant)
{
    struct stale_letter *stale = letter_new(sizeof *stale, LETTER_STALE, plain_drop, NULL);

    if (stale == NULL)
        return NULL;
    stale->what = what;
    strncpy(stale->tenant, tenant, sizeof stale->tenant - 1);
    return stale;
}

static void show_drop(struct letter *letter)
{
    rows_free(((struct show_letter *)letter)->rows);
    free(letter);
}

struct show_letter *show_letter_new(enum show_what what, uint64_t tag, struct mailbox *reply_to)
{
    struct show_letter *letter = letter_new(sizeof *letter, LETTER_SHOW, show_drop, reply_to);

    if (letter == NULL)
        return NULL;
    letter->what = what;
    letter->tag = tag;
    return letter;
}

static void config_drop(struct letter *letter)
{
    config_give(((struct config_letter *)letter)->config);
    free(letter);
}

struct config_letter *config_letter_new(const struct config *config)
{
    struct config_letter *letter = letter_new(sizeof *letter, LETTER_CONFIG, config_drop, NULL);

    if (letter != NULL)
        letter->config = config_take(config);
    return letter;
}

struct cancel_letter *cancel_letter_new(uint32_t pid, const void *key, size_t key_bytes)
{
    struct cancel_letter *letter = letter_new(sizeof *letter, LETTER_CANCEL, plain_drop, NULL);

    if (letter == NULL)
        return NULL;
    letter->pid = pid;
    letter->key_bytes = key_bytes < sizeof letter->key ? key_bytes : sizeof letter->key;
    memcpy(letter->key, key, letter->key_bytes);
    return letter;
}

struct letter *plain_letter_new(enum letter_kind kind)
{
    return letter_new(sizeof(struct letter), (int)kind, plain_drop, NULL);
}

struct letter *stop_letter_new(void)
{
    return plain_letter_new(LETTER_STOP);
}

struct news_letter *news_letter_new(uint64_t tag)
{
    struct news_letter *news = letter_new(sizeof *news, LETTER_NEWS, plain_drop, NULL);

    if (news != NULL)
        news->tag = tag;
    return news;
}
