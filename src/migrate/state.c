/* state.c - see state.h. Start at: moves[]. */
#include "migrate/state.h"

#include <string.h>

static const struct {
    const char *name;
    bool active;
    enum routing_state routing;
} states[MIGRATION_STATES] = {
    [MIGRATION_PENDING] = { "pending", true, ROUTING_NORMAL },
    [MIGRATION_BULK_COPY] = { "bulk_copy", true, ROUTING_BULK_COPY },
    [MIGRATION_DUAL_WRITE] = { "dual_write", true, ROUTING_DUAL_WRITE },
    [MIGRATION_CUTOVER_PAUSED] = { "cutover_paused", true, ROUTING_CUTOVER_PAUSED },
    [MIGRATION_MIGRATED] = { "migrated", false, ROUTING_NORMAL },
    [MIGRATION_FAILED] = { "failed", false, ROUTING_NORMAL },
    [MIGRATION_ROLLED_BACK] = { "rolled_back", false, ROUTING_NORMAL },
    [MIGRATION_PAUSED] = { "paused", true, ROUTING_NORMAL },
};

#define TO(state) (1u << MIGRATION_##state)

static const unsigned moves[MIGRATION_STATES] = {
    [MIGRATION_PENDING] = TO(BULK_COPY) | TO(FAILED) | TO(ROLLED_BACK),
    [MIGRATION_BULK_COPY] = TO(DUAL_WRITE) | TO(PAUSED) | TO(FAILED) | TO(ROLLED_BACK),
    [MIGRATION_DUAL_WRITE] = TO(CUTOVER_PAUSED) | TO(PAUSED) | TO(FAILED) | TO(ROLLED_BACK),
    [MIGRATION_PAUSED] = TO(BULK_COPY) | TO(DUAL_WRITE) | TO(FAILED) | TO(ROLLED_BACK),
    [MIGRATION_CUTOVER_PAUSED] = TO(MIGRATED) | TO(DUAL_WRITE) | TO(FAILED) | TO(ROLLED_BACK),
    [MIGRATION_FAILED] = TO(ROLLED_BACK),
};

#undef TO

const char *migration_state_name(enum migration_state state)
{
    return states[state].name;
}

bool migration_state_parse(const char *name, enum migration_state *state)
{
    for (int i = 0; i < MIGRATION_STATES; i++) {
        if (strcmp(name, states[i].name) == 0) {
            *state = (enum migration_state)i;
            return true;
        }
    }
    return false;
}

bool migration_may_move(enum migration_state from, enum migration_state to)
{
    return (moves[from] & (1u << to)) != 0;
}

bool migration_is_active(enum migration_state state)
{
    return states[state].active;
}

enum routing_state migration_routing(enum migration_state state)
{
    return states[state].routing;
}
