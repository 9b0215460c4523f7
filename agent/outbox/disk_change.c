/* The transaction of the disk tier. */
#include "agent/outbox/disk_change.h"

#include "agent/base/min_max.h"

#include <errno.h>
#include <string.h>

struct disk_change {
    const struct stock *stock;
    const struct disk_job *job;
    struct disk_done done;
    uint64_t moved_cost;
    int r; /* of the last message */
};

static bool move_one(void *context, const struct stored_message *message)
{
    struct disk_change *change = context;
    const struct stock *stock = change->stock;
    struct tier *disk = stock->disk.tier;
    change->moved_cost += eviction_cost(message->body_length);
    if (seq_set_contains(&stock->live.released, message->seq)) {
        change->done.left_behind++;
    } else if (!message->body) {
        loss_ledger_add_gap(stock->ledger, SPAN_DAMAGED, message->seq, message->seq, 0, 0);
        change->done.damaged++;
    } else {
        change->r = disk->class->append(disk, message);
        change->done.body_bytes += message->body_length;
    }
    return change->r == 0;
}

static int move_messages(struct disk_change *change)
{
    const struct stock *stock = change->stock;
    struct tier *live = stock->live.tier;
    const struct numbers *numbers = &stock->numbers;
    int r = 0;
    if (live && change->job->move_below > 0)
        r = live->class->read(live, numbers->boundary, change->job->move_below, move_one, change);
    if (r < 0)
        return -EUCLEAN; /* not the disk tier is the damaged one */
    if (change->r < 0 || !change->job->with_pending)
        return change->r;
    for (size_t i = 0; i < message_queue_count(stock->memory); i++) {
        struct stored_message message = message_queue_at(stock->memory, i);
        if (message.seq >= numbers->committed_below)
            change->done.body_bytes += message.body_length;
    }
    return stock_append_pending(stock, stock->disk.tier);
}

/* How much the disk tier may take, when the live tier is rid of MOVED bytes. */
static uint64_t disk_limit(const struct stock *stock, uint64_t moved)
{
    uint64_t live = stock_bytes(&stock->live);
    live = live > moved ? live - moved : 0;
    return live < stock->max_bytes / 2 ? stock->max_bytes - live : stock->max_bytes / 2;
}

/* A drop that is on record must not be undone by a power cut. */
static bool may_drop(const struct stock *stock)
{
    uint64_t bytes = stock_bytes(&stock->disk) + message_queue_bytes(stock->memory);
    return bytes > disk_limit(stock, 0);
}

/* The lowest number that is still in custody once the messages have moved. */
static int find_oldest(struct disk_change *change)
{
    struct tier *disk = change->stock->disk.tier;
    uint64_t first = 0, last = 0;
    int r = disk->class->range(disk, &first, &last);
    if (r < 0)
        return r;
    change->done.disk_first = first ? first : change->done.boundary;
    loss_ledger_forget_below(change->stock->ledger, change->done.disk_first);
    return 0;
}

static int save_disk_state(const struct disk_change *change)
{
    const struct stock *stock = change->stock;
    const struct numbers *numbers = &stock->numbers;
    struct tier *disk = stock->disk.tier;
    uint64_t settled_below = numbers->next_seq;
    if (!change->job->with_pending)
        settled_below = stock_first_live(stock, change->done.boundary, numbers->committed_below);
    struct stored_state state = {.next_seq = numbers->next_seq,
                                 .reserved_below = change->done.reserved_below,
                                 .settled_below = settled_below,
                                 .disk_first = change->done.disk_first,
                                 .disk_below = change->done.boundary,
                                 .ledger_version = stock->ledger->version,
                                 .wall_ms = stock->wall_ms,
                                 .clean = change->job->clean,
                                 .alone = change->job->with_pending};
    memcpy(state.stream, numbers->stream, sizeof(state.stream));
    return disk->class->save(disk, &state, stock_unsaved_ledger(stock, &stock->disk));
}

static int fill_disk(void *context)
{
    struct disk_change *change = context;
    const struct stock *stock = change->stock;
    int r = move_messages(change);
    if (r == 0)
        r = place_remove_released(&stock->disk, &change->done.released);
    if (r == 0)
        r = eviction_run(stock->disk.tier, stock->ledger, disk_limit(stock, change->moved_cost),
                         &change->done.evicted);
    if (r == 0)
        r = find_oldest(change);
    if (r == 0)
        r = save_disk_state(change);
    return r;
}

bool disk_change_reserve_is_low(const struct numbers *numbers)
{
    return numbers->reserved_below < numbers->next_seq + RESERVE_BLOCK / 2;
}

int disk_change_run(const struct stock *stock, const struct disk_job *job,
                    struct disk_done *ret_done)
{
    const struct numbers *numbers = &stock->numbers;
    bool reserve = numbers->reserved_below == SEQ_LIMIT || disk_change_reserve_is_low(numbers);
    struct disk_change change = {.stock = stock, .job = job};
    struct disk_done *done = &change.done;
    done->boundary =
        job->with_pending ? numbers->next_seq : max_u64(job->move_below, numbers->boundary);
    done->reserved_below = reserve ? numbers->next_seq + RESERVE_BLOCK : numbers->reserved_below;
    done->durable = job->durable || reserve || job->clean || may_drop(stock);
    int r = place_change(&stock->disk, done->durable, fill_disk, &change);
    if (r == 0)
        *ret_done = change.done;
    return r;
}
