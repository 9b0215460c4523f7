/* The transactions of the live tier: in every pass of the main loop one, so short. */
#include "agent/outbox/live_change.h"

#include <string.h>

static int save_live_state(const struct stock *stock)
{
    const struct numbers *numbers = &stock->numbers;
    struct stored_state state = {.next_seq = numbers->next_seq,
                                 .disk_first = numbers->disk_first,
                                 .disk_below = numbers->boundary,
                                 .ledger_version = stock->ledger->version,
                                 .wall_ms = stock->wall_ms};
    memcpy(state.stream, numbers->stream, sizeof(state.stream));
    memcpy(state.previous_stream, numbers->previous_stream, sizeof(state.previous_stream));
    struct tier *live = stock->live.tier;
    return live->class->save(live, &state, stock_unsaved_ledger(stock, &stock->live));
}

/* As long as the row next_seq - 1 is there, next_seq follows from it, and no state is written. */
static bool live_needs_state(const struct stock *stock)
{
    const struct numbers *numbers = &stock->numbers;
    const struct seq_set *released = &stock->live.released;
    bool newest_goes = numbers->committed_below == numbers->next_seq && released->n > 0 &&
                       seq_set_contains(released, numbers->next_seq - 1);
    return numbers->live_state_stale || newest_goes || stock_unsaved_ledger(stock, &stock->live);
}

struct live_change {
    const struct stock *stock;
    uint64_t released;
    uint64_t bytes; /* to evict down to */
    struct evicted evicted;
};

static int fill_live(void *context)
{
    struct live_change *change = context;
    const struct stock *stock = change->stock;
    const struct numbers *numbers = &stock->numbers;
    struct tier *live = stock->live.tier;
    int r = 0;
    if (numbers->live_stale)
        r = live->class->remove(live, 0, numbers->boundary - 1, NULL);
    if (r == 0)
        r = stock_append_pending(stock, live);
    if (r == 0)
        r = place_remove_released(&stock->live, &change->released);
    if (r == 0 && live_needs_state(stock))
        r = save_live_state(stock);
    return r;
}

int live_change_commit(const struct stock *stock, uint64_t *ret_released)
{
    struct live_change change = {.stock = stock};
    int r = place_change(&stock->live, false, fill_live, &change);
    if (r == 0)
        *ret_released = change.released;
    return r;
}

static int evict_live(void *context)
{
    struct live_change *change = context;
    const struct stock *stock = change->stock;
    int r = eviction_run(stock->live.tier, stock->ledger, change->bytes, &change->evicted);
    return r == 0 ? save_live_state(stock) : r;
}

int live_change_evict(const struct stock *stock, uint64_t bytes, struct evicted *ret_evicted)
{
    struct live_change change = {.stock = stock, .bytes = bytes};
    int r = place_change(&stock->live, false, evict_live, &change);
    if (r == 0)
        *ret_evicted = change.evicted;
    return r;
}
