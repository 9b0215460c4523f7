/* What follows from the interface of a tier, for each implementation. */
#include "agent/outbox/tier.h"

static bool note_first(void *context, const struct stored_message *message)
{
    *(uint64_t *)context = message->seq;
    return false;
}

uint64_t tier_first(struct tier *tier, uint64_t from, uint64_t limit)
{
    uint64_t lowest = limit;
    (void)tier->class->read(tier, from, limit, note_first, &lowest);
    return lowest;
}
