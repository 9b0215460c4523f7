/* What follows from the interface of a tier, for each implementation. */
#include "agent/outbox/tier.h"

#include "agent/base/min_max.h"

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

void tier_write_off(struct tier *tier, struct custody *custody, uint64_t below)
{
    struct evicted gone = {.messages = 0};
    for (size_t i = 0; i < tier->held.n && tier->held.runs[i].first < below; i++) {
        uint64_t first = tier->held.runs[i].first,
                 last = min_u64(tier->held.runs[i].last, below - 1);
        loss_ledger_add_gap(custody->ledger, SPAN_DAMAGED, first, last, 0, 0);
        gone.messages += last - first + 1;
        gone.below = last + 1;
    }
    custody_note_evicted(custody, &gone); /* what was read ahead of it must not be handed out */
    if (below > 1)
        run_list_remove(&tier->held, 1, below - 1);
}
