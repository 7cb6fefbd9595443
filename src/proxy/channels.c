/* channels.c - see channels.h. */
#include "proxy/channels.h"

#include <stdlib.h>
#include <string.h>

void channels_init(struct channels *channels, struct journal *journal)
{
    *channels = (struct channels){ .journal = journal };
}

void channels_drop(struct channels *channels, struct journal_step *step)
{
    struct channel_change *change = (struct channel_change *)step;

    channels->change_count--;
    free(change->name);
    free(change);
}

static void forget(struct channels *channels, struct channel *channel)
{
    HASH_DEL(channels->all, channel);
    free(channel->name);
    free(channel);
}

void channels_done(struct channels *channels)
{
    struct channel *channel, *next;

    HASH_ITER(hh, channels->all, channel, next)
        forget(channels, channel);
}

bool channels_note(struct channels *channels, struct slice name, bool listen, unsigned store)
{
    struct channel_change *change;

    if (channels->change_count + HASH_COUNT(channels->all) >= CHANNELS_MAX)
        return false;
    change = calloc(1, sizeof *change);
    if (change == NULL)
        return false;
    change->name = name.at == NULL ? NULL : strndup(name.at, name.bytes);
    if (name.at != NULL && change->name == NULL) {
        free(change);
        return false;
    }
    change->listen = listen;
    change->store = store;
    channels->change_count++;
    journal_add(channels->journal, &change->step, JOURNAL_CHANNEL);
    return true;
}

static struct channel *find(const struct channels *channels, struct slice name)
{
    struct channel *channel = NULL;

    if (channels->all != NULL)
        HASH_FIND(hh, channels->all, name.at, name.bytes, channel);
    return channel;
}

static void turn_on(struct channels *channels, struct channel_change *change)
{
    struct channel *channel = find(channels, slice_of(change->name));

    if (channel == NULL) {
        channel = calloc(1, sizeof *channel);
        if (channel == NULL)
            return; /* its own server is heard all the same */
        channel->name = change->name;
        change->name = NULL;
        HASH_ADD_KEYPTR(hh, channels->all, channel->name, strlen(channel->name), channel);
    }
    channels->changed = channels->changed || !channel->on;
    channel->on = true;
    channel->own |= UINT64_C(1) << change->store;
}

static void turn_off(struct channels *channels, struct channel *channel, unsigned store)
{
    channels->changed = channels->changed || channel->on;
    channel->on = false;
    channel->own &= ~(UINT64_C(1) << store);
    if (channel->own == 0)
        forget(channels, channel);
}

static void apply(struct channels *channels, struct channel_change *change)
{
    struct channel *channel, *next;

    if (change->listen) {
        turn_on(channels, change);
        return;
    }
    if (change->name == NULL) {
        HASH_ITER(hh, channels->all, channel, next)
            turn_off(channels, channel, change->store);
        return;
    }
    channel = find(channels, slice_of(change->name));
    if (channel != NULL)
        turn_off(channels, channel, change->store);
}

void channels_settle(struct channels *channels, struct journal_step *step)
{
    apply(channels, (struct channel_change *)step);
    channels_drop(channels, step);
}

void channels_lost(struct channels *channels, unsigned store)
{
    struct channel *channel, *next;

    HASH_ITER(hh, channels->all, channel, next) {
        uint64_t own = channel->own & ~(UINT64_C(1) << store);

        channels->changed = channels->changed || (channel->on && own != channel->own);
        channel->own = own;
        if (!channel->on && own == 0)
            forget(channels, channel);
    }
}

bool channels_is_any_on(const struct channels *channels)
{
    for (const struct channel *channel = channels->all; channel != NULL; channel = channel->hh.next)
        if (channel->on)
            return true;
    return false;
}

bool channels_hears_own(const struct channels *channels, struct slice name)
{
    const struct channel *channel = find(channels, name);

    return channel == NULL || channel->on;
}

bool channels_hears(const struct channels *channels, struct slice name, unsigned store)
{
    const struct channel *channel = find(channels, name);

    return channel != NULL && channel->on && !(channel->own >> store & 1);
}
