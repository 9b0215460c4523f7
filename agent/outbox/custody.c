/* What the two tiers have in common. */
#include "agent/outbox/custody.h"

#include "agent/base/min_max.h"

void custody_note_evicted(struct custody *custody, const struct evicted *evicted)
{
    custody->dropped += evicted->messages;
    custody->dropped_below = max_u64(custody->dropped_below, evicted->below);
}

void custody_write_off(struct custody *custody, uint64_t first, uint64_t below)
{
    if (first < below)
        loss_ledger_add_gap(custody->ledger, SPAN_DAMAGED, first, below - 1, 0, 0);
}
