/* Drops the oldest messages. */
#include "agent/outbox/eviction.h"

uint64_t eviction_cost(size_t body_length)
{
    const uint64_t page = 4096, usable = 4080, overhead = 64;
    uint64_t row = body_length + overhead;
    return row < usable ? page / (usable / row) : (row / usable + 1) * page;
}

struct eviction {
    struct loss_ledger *ledger;
    struct span run; /* kind 0: none yet */
    uint64_t rows, last;
    uint64_t bytes, enough; /* about what they take, and how much has to go */
};

static void end_run(struct eviction *eviction)
{
    const struct span *run = &eviction->run;
    if (run->kind)
        loss_ledger_add_gap(eviction->ledger, run->kind, run->first, run->last, run->from_ms,
                            run->to_ms);
}

static bool add_evicted(void *context, const struct stored_message *message)
{
    struct eviction *eviction = context;
    if (eviction->run.kind && message->seq == eviction->run.last + 1) {
        eviction->run.last = message->seq;
        eviction->run.to_ms = message->wall_ms;
    } else {
        end_run(eviction);
        eviction->run = (struct span){SPAN_FULL,        message->seq,     message->seq,
                                      message->wall_ms, message->wall_ms, 0};
    }
    eviction->last = message->seq;
    eviction->rows++;
    eviction->bytes += eviction_cost(message->body_length);
    return eviction->bytes < eviction->enough;
}

int eviction_run(struct store *store, struct loss_ledger *ledger, uint64_t bytes,
                 struct evicted *ret_evicted)
{
    struct evicted evicted = {.messages = 0};
    for (uint64_t taken; (taken = store_bytes(store)) > bytes;) {
        struct eviction eviction = {.ledger = ledger, .enough = taken - bytes};
        int r = store_read(store, 0, SEQ_LIMIT, add_evicted, &eviction);
        end_run(&eviction);
        if (r == 0 && eviction.rows == 0)
            break; /* only tables are left */
        if (r == 0)
            r = store_remove(store, 0, eviction.last, NULL);
        if (r < 0)
            return r;
        evicted.messages += eviction.rows;
        evicted.below = eviction.last + 1;
    }
    *ret_evicted = evicted;
    return 0;
}
