/*
 * The disk tier: its transactions. Each one does all that is due there: it takes messages over
 * from the live tier, deletes what was acknowledged, drops the oldest when there is no room, and
 * writes the state and the ledger. Part of the outbox.
 */
#include "agent/outbox/outbox_private.h"

#include "agent/base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Messages on their way from the live tier to the disk tier. */
struct move {
    struct outbox *outbox;
    uint64_t cost, body_bytes;
    uint64_t released; /* left out: acknowledged already */
    int r;             /* of the disk tier */
};

static bool move_one(void *context, const struct store_message *message)
{
    struct move *move = context;
    struct outbox *outbox = move->outbox;
    move->cost += tiers_cost(message->body_length);
    if (seq_set_contains(&outbox->live.released, message->seq)) {
        move->released++;
    } else if (!message->body) {
        loss_ledger_add_gap(&outbox->ledger, SPAN_DAMAGED, message->seq, message->seq, 0, 0);
        outbox->dropped++;
    } else {
        move->r = store_put(outbox->disk.store, message);
        move->body_bytes += message->body_length;
    }
    return move->r == 0;
}

static int move_messages(struct outbox *outbox, const struct disk_job *job, struct move *move)
{
    struct store *from = outbox->live.store;
    int r = 0;
    if (from && job->move_below > 0)
        r = store_read(from, outbox->boundary, job->move_below, move_one, move);
    if (r < 0)
        return -EUCLEAN; /* not the disk tier is the damaged one */
    r = move->r;
    if (r == 0 && job->with_pending) {
        for (size_t i = 0; i < message_queue_count(&outbox->recent); i++) {
            const struct queued_message *queued_message = message_queue_at(&outbox->recent, i);
            if (queued_message->seq >= outbox->committed_below)
                move->body_bytes += queued_message->body_length;
        }
        r = tiers_put_pending(outbox, outbox->disk.store);
    }
    return r;
}

/* How much the disk tier may take, when the live tier is rid of MOVED bytes. */
static uint64_t disk_limit(struct outbox *outbox, uint64_t moved)
{
    uint64_t live = outbox->live.store ? store_bytes(outbox->live.store) : 0;
    live = live > moved ? live - moved : 0;
    return live < outbox->max_bytes / 2 ? outbox->max_bytes - live : outbox->max_bytes / 2;
}

/* A drop that is on record must not be undone by a power cut. */
static bool may_drop(struct outbox *outbox)
{
    uint64_t bytes = store_bytes(outbox->disk.store) + message_queue_bytes(&outbox->recent);
    return bytes > disk_limit(outbox, 0);
}

/* What the transaction will have changed in memory once it is committed. */
struct outcome {
    uint64_t boundary, disk_first, reserved_below;
    uint64_t released, dropped, dropped_below;
};

/* The lowest number that is still in custody once messages below BOUNDARY have moved. */
static int find_oldest(struct outbox *outbox, struct outcome *outcome)
{
    uint64_t first = 0, last = 0;
    int r = store_range(outbox->disk.store, &first, &last);
    if (r < 0)
        return r;
    outcome->disk_first = first ? first : outcome->boundary;
    loss_ledger_forget_below(&outbox->ledger, first ? first : outcome->boundary);
    return 0;
}

static int save_disk_state(struct outbox *outbox, const struct disk_job *job,
                           const struct outcome *outcome)
{
    struct store_state state = {.next_seq = outbox->next_seq,
                                .reserved_below = outcome->reserved_below,
                                .settled_below = job->with_pending
                                                     ? outbox->next_seq
                                                     : tiers_lowest_live(outbox, outcome->boundary,
                                                                         outbox->committed_below),
                                .disk_first = outcome->disk_first,
                                .disk_below = outcome->boundary,
                                .ledger_version = outbox->ledger.version,
                                .wall_ms = outbox->wall_ms,
                                .clean = job->clean,
                                .alone = job->with_pending};
    memcpy(state.stream, outbox->stream, sizeof(state.stream));
    int r = store_save_state(outbox->disk.store, &state);
    if (r == 0 && outbox->disk.ledger_version != outbox->ledger.version)
        r = store_save_ledger(outbox->disk.store, &outbox->ledger);
    return r;
}

/* Whatever is due, within a transaction. */
static int fill_disk(struct outbox *outbox, const struct disk_job *job, struct move *move,
                     struct outcome *outcome)
{
    struct store *store = outbox->disk.store;
    int r = move_messages(outbox, job, move);
    if (r == 0)
        r = tiers_delete_released(&outbox->disk, &outcome->released);
    if (r == 0)
        r = tiers_drop_oldest(outbox, store, disk_limit(outbox, move->cost), &outcome->dropped,
                              &outcome->dropped_below);
    if (r == 0)
        r = find_oldest(outbox, outcome);
    if (r == 0)
        r = save_disk_state(outbox, job, outcome);
    return r;
}

static void note_done(struct outbox *outbox, const struct disk_job *job, bool durable,
                      const struct move *move, const struct outcome *outcome)
{
    outbox->disk.error = 0;
    outbox->disk.ledger_version = outbox->ledger.version;
    outbox->disk_misses_history = false;
    outbox->disk_unsynced = !durable && (outbox->disk_unsynced || job->with_pending);
    outbox->previous_stream[0] = '\0';
    outbox->live_stale |= outcome->boundary > outbox->boundary;
    outbox->live_state_stale = true;
    outbox->boundary = outcome->boundary;
    outbox->disk_first = outcome->disk_first;
    outbox->reserved_below = outcome->reserved_below;
    outbox->released += outcome->released;
    outbox->disk_bytes_written += move->body_bytes;
    seq_set_reset(&outbox->disk.released);
    if (job->with_pending) { /* what the live tier had to delete was left behind there */
        outbox->released += move->released;
        seq_set_reset(&outbox->live.released);
        outbox->committed_below = outbox->next_seq;
    }
    tiers_note_dropped(outbox, outcome->dropped, outcome->dropped_below);
}

static int try_disk(struct outbox *outbox, const struct disk_job *job)
{
    struct store *store = outbox->disk.store;
    struct move move = {.outbox = outbox};
    struct outcome outcome = {.boundary = outbox->boundary,
                              .reserved_below = outbox->reserved_below};
    if (job->move_below > outcome.boundary)
        outcome.boundary = job->move_below;
    if (job->with_pending)
        outcome.boundary = outbox->next_seq;
    bool reserve = outcome.reserved_below == SEQ_LIMIT ||
                   outcome.reserved_below < outbox->next_seq + RESERVE_BLOCK / 2;
    if (reserve)
        outcome.reserved_below = outbox->next_seq + RESERVE_BLOCK;
    loss_ledger_copy(&outbox->undo, &outbox->ledger);
    uint64_t dropped_before = outbox->dropped;
    bool durable = job->durable || reserve || job->clean || may_drop(outbox);
    int r = store_begin(store, durable);
    if (r == 0)
        r = fill_disk(outbox, job, &move, &outcome);
    if (r == 0)
        r = store_commit(store);
    if (r == 0) {
        note_done(outbox, job, durable, &move, &outcome);
        return 0;
    }
    store_rollback(store);
    loss_ledger_copy(&outbox->ledger, &outbox->undo);
    outbox->dropped = dropped_before;
    return r;
}

/*
 * Opens the disk tier that could not be opened before. What is there must be empty or belong to
 * this stream; anything else has to wait for the next start, which reconciles the two.
 */
static int attach_disk(struct outbox *outbox)
{
    struct tier *disk = &outbox->disk;
    struct store_state state = {.next_seq = 0};
    struct store *store = NULL;
    uint64_t first = 0, last = 0;
    int r = store_open(STORE_DISK, disk->path, &state, &store);
    if (r == 0)
        r = store_range(store, &first, &last);
    bool ours = state.stream[0] == '\0' || strcmp(state.stream, outbox->stream) == 0 ||
                strcmp(state.stream, outbox->previous_stream) == 0;
    if (r == 0 && (!ours || last >= outbox->boundary || state.next_seq > outbox->next_seq))
        r = -ESTALE;
    if (r < 0) {
        (void)store_close(store);
        return r;
    }
    disk->store = store;
    outbox->disk_first = first ? first : outbox->boundary;
    if (state.ledger_version >= outbox->ledger.version)
        outbox->ledger.version = state.ledger_version + 1; /* ours is the newer one */
    return 0;
}

int tiers_work_on_disk(struct outbox *outbox, const struct disk_job *job, int64_t now_ms)
{
    struct tier *disk = &outbox->disk;
    /* The ledger may speak of messages that are only in memory: it must not get ahead of them. */
    int r = job->with_pending ? 0 : tiers_commit(outbox, now_ms);
    if (r < 0)
        return r;
    r = disk->store ? 0 : attach_disk(outbox);
    if (r == 0)
        r = try_disk(outbox, job);
    if (r == -ENOSPC && disk->store) {
        (void)store_checkpoint(disk->store); /* the room of its log can be used again */
        r = try_disk(outbox, job);
    }
    if (r == -EBADMSG) {
        tiers_replace_damaged(outbox, disk, now_ms);
        r = disk->store ? try_disk(outbox, job) : disk->error;
    }
    if (r == -EUCLEAN) {
        tiers_replace_damaged(outbox, &outbox->live, now_ms);
        return r;
    }
    return r < 0 ? tiers_failed(disk, r, now_ms) : 0;
}

void tiers_reserve(struct outbox *outbox, int64_t now_ms)
{
    const struct disk_job job = {.durable = true};
    if (outbox->next_seq < outbox->reserved_below)
        return;
    bool try_now = outbox->disk.error == 0 || now_ms >= outbox->disk.retry_at_ms;
    if (try_now && tiers_work_on_disk(outbox, &job, now_ms) == 0)
        return;
    /*
     * Numbers that the disk does not know of could be used again after a power cut. A stream that
     * the disk does not know of cannot: the rest goes out under a new one.
     */
    memcpy(outbox->previous_stream, outbox->stream, sizeof(outbox->stream));
    tiers_new_stream(outbox->stream);
    outbox->reserved_below = SEQ_LIMIT;
    outbox->live_state_stale = true;
}
