/* All that is in custody, as it is. */
#include "agent/outbox/stock.h"

static bool note_first(void *context, const struct stored_message *message)
{
    *(uint64_t *)context = message->seq;
    return false;
}

uint64_t stock_first_live(const struct stock *stock, uint64_t from, uint64_t limit)
{
    uint64_t lowest = limit;
    struct tier *live = stock->live.tier;
    if (live)
        (void)live->class->read(live, from, limit, note_first, &lowest);
    return lowest;
}

uint64_t stock_bytes(const struct place *place)
{
    return place->tier ? place->tier->class->bytes(place->tier) : 0;
}

static bool note_wall(void *context, const struct stored_message *message)
{
    *(int64_t *)context = message->wall_ms;
    return false;
}

int64_t stock_oldest_wall_ms(const struct stock *stock)
{
    int64_t wall_ms = 0;
    uint64_t boundary = stock->numbers.boundary;
    struct tier *live = stock->live.tier, *disk = stock->disk.tier;
    if (disk)
        (void)disk->class->read(disk, 0, boundary, note_wall, &wall_ms);
    if (wall_ms == 0 && live)
        (void)live->class->read(live, boundary, SEQ_LIMIT, note_wall, &wall_ms);
    if (wall_ms == 0 && message_queue_count(stock->memory))
        wall_ms = message_queue_at(stock->memory, 0).wall_ms;
    return wall_ms;
}

uint64_t stock_pending(const struct stock *stock)
{
    uint64_t count = 0;
    for (size_t i = message_queue_count(stock->memory); i-- > 0; count++) {
        if (message_queue_at(stock->memory, i).seq < stock->numbers.committed_below)
            break;
    }
    return count;
}

uint64_t stock_messages(const struct place *place)
{
    uint64_t stored = place->tier ? place->tier->messages : 0;
    uint64_t gone = seq_set_count(&place->released);
    return stored > gone ? stored - gone : 0;
}

const struct loss_ledger *stock_unsaved_ledger(const struct stock *stock, const struct place *place)
{
    return place->ledger_version != stock->ledger->version ? stock->ledger : NULL;
}

int stock_append_pending(const struct stock *stock, struct tier *tier)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < message_queue_count(stock->memory); i++) {
        struct stored_message message = message_queue_at(stock->memory, i);
        if (message.seq >= stock->numbers.committed_below)
            r = tier->class->append(tier, &message);
    }
    return r;
}
