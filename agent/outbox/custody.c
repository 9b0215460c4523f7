/* What the two tiers have in common. */
#include "agent/outbox/custody.h"

#include "agent/base/min_max.h"
#include "agent/outbox/tier.h"

void custody_note_evicted(struct custody *custody, const struct evicted *evicted)
{
    custody->dropped += evicted->messages;
    custody->dropped_below = max_u64(custody->dropped_below, evicted->below);
}

void custody_write_off(struct custody *custody, struct tier *tier, uint64_t below)
{
    struct evicted gone = {.messages = 0};
    for (size_t i = 0; i < tier->held.n && tier->held.runs[i].first < below; i++) {
        uint64_t first = tier->held.runs[i].first, last = min_u64(tier->held.runs[i].last, below - 1);
        loss_ledger_add_gap(custody->ledger, SPAN_DAMAGED, first, last, 0, 0);
        gone.messages += last - first + 1;
        gone.below = last + 1;
    }
    custody_note_evicted(custody, &gone); /* what was read ahead of it must not be handed out */
    if (below > 1)
        run_list_remove(&tier->held, 1, below - 1);
}
