/* What the two tiers have in common. */
#include "agent/outbox/custody.h"

#include "agent/base/min_max.h"

void custody_note_evicted(struct custody *custody, const struct evicted *evicted)
{
    custody->dropped += evicted->messages;
    custody->dropped_below = max_u64(custody->dropped_below, evicted->below);
}
