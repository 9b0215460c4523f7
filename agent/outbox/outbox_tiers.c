/*
 * What the transactions of both tiers share: putting and deleting, dropping the oldest when all is
 * full, failures, and setting a damaged file aside. Part of the outbox.
 */
#include "agent/outbox/outbox_private.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void tiers_new_stream(char ret_stream[STORE_STREAM_DIGITS + 1])
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        abort(); /* cannot happen after boot, and anything predictable would repeat a stream */
    (void)snprintf(ret_stream, STORE_STREAM_DIGITS + 1, "%08x", bits);
}

uint64_t tiers_cost(size_t body_length)
{
    const uint64_t page = 4096, usable = 4080, overhead = 64;
    uint64_t row = body_length + overhead;
    return row < usable ? page / (usable / row) : (row / usable + 1) * page;
}

int tiers_failed(struct tier *tier, int r, int64_t now_ms)
{
    assert(r < 0);
    if (tier->error == 0)
        tier->retry_wait_ms = RETRY_MIN_MS;
    else if (now_ms >= tier->retry_at_ms)
        tier->retry_wait_ms =
            tier->retry_wait_ms * 2 < RETRY_MAX_MS ? tier->retry_wait_ms * 2 : RETRY_MAX_MS;
    tier->error = r;
    tier->retry_at_ms = now_ms + tier->retry_wait_ms;
    return r;
}

static bool note_first(void *context, const struct store_message *message)
{
    *(uint64_t *)context = message->seq;
    return false;
}

uint64_t tiers_lowest_live(struct outbox *outbox, uint64_t from, uint64_t limit)
{
    uint64_t lowest = limit;
    if (outbox->live.store)
        (void)store_read(outbox->live.store, from, limit, note_first, &lowest);
    return lowest;
}

void tiers_note_damaged(struct outbox *outbox, const struct store_message *message)
{
    struct tier *tier = message->seq < outbox->boundary ? &outbox->disk : &outbox->live;
    loss_ledger_add_gap(&outbox->ledger, SPAN_DAMAGED, message->seq, message->seq, 0, 0);
    outbox->dropped++;
    if (!seq_set_add(&tier->released, message->seq)) {
        seq_set_remove_oldest(&tier->released); /* found again after the next start */
        (void)seq_set_add(&tier->released, message->seq);
    }
}

static struct store_message message_of(const struct outbox *outbox,
                                       const struct message_queue *queue,
                                       const struct queued_message *queued_message)
{
    const char *topic = topic_ids_text(&outbox->topics, queued_message->topic);
    return (struct store_message){
        .seq = queued_message->seq,
        .wall_ms = queued_message->wall_ms,
        .topic = topic,
        .topic_length = strlen(topic),
        .facts = {.kind = queued_message->kind,
                  .owner = topic_ids_text(&outbox->topics, queued_message->owner),
                  .timestamp_ms = queued_message->timestamp_ms},
        .body = message_queue_body(queue, queued_message),
        .body_length = queued_message->body_length};
}

int tiers_put_pending(struct outbox *outbox, struct store *store)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < message_queue_count(&outbox->recent); i++) {
        const struct queued_message *queued_message = message_queue_at(&outbox->recent, i);
        if (queued_message->seq < outbox->committed_below)
            continue;
        struct store_message message = message_of(outbox, &outbox->recent, queued_message);
        r = store_put(store, &message);
    }
    return r;
}

int tiers_delete_released(struct tier *tier, uint64_t *count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < tier->released.n; i++) {
        uint64_t n = 0;
        r = store_delete(tier->store, tier->released.run[i].first, tier->released.run[i].last, &n);
        *count += n;
    }
    return r;
}

/* --- dropping the oldest --------------------------------------------------------------------- */

struct drop {
    struct loss_ledger *ledger;
    struct span run; /* kind 0: none yet */
    uint64_t rows, last;
    uint64_t bytes, enough; /* about what they take, and how much has to go */
};

static void end_run(struct drop *drop)
{
    const struct span *run = &drop->run;
    if (run->kind)
        loss_ledger_add_gap(drop->ledger, run->kind, run->first, run->last, run->from_ms,
                            run->to_ms);
}

static bool add_dropped(void *context, const struct store_message *message)
{
    struct drop *drop = context;
    if (drop->run.kind && message->seq == drop->run.last + 1) {
        drop->run.last = message->seq;
        drop->run.to_ms = message->wall_ms;
    } else {
        end_run(drop);
        drop->run = (struct span){SPAN_FULL,        message->seq,     message->seq,
                                  message->wall_ms, message->wall_ms, 0};
    }
    drop->last = message->seq;
    drop->rows++;
    drop->bytes += tiers_cost(message->body_length);
    return drop->bytes < drop->enough;
}

int tiers_drop_oldest(struct outbox *outbox, struct store *store, uint64_t bytes,
                      uint64_t *ret_dropped, uint64_t *ret_below)
{
    uint64_t dropped = 0, below = 0;
    for (uint64_t taken; (taken = store_bytes(store)) > bytes;) {
        struct drop drop = {.ledger = &outbox->ledger, .enough = taken - bytes};
        int r = store_read(store, 0, SEQ_LIMIT, add_dropped, &drop);
        end_run(&drop);
        if (r == 0 && drop.rows == 0)
            break; /* only tables are left */
        if (r == 0)
            r = store_delete(store, 0, drop.last, NULL);
        if (r < 0)
            return r;
        dropped += drop.rows;
        below = drop.last + 1;
    }
    *ret_dropped = dropped;
    *ret_below = below;
    return 0;
}

void tiers_note_dropped(struct outbox *outbox, uint64_t dropped, uint64_t below)
{
    if (dropped == 0)
        return;
    outbox->dropped += dropped;
    message_queue_drop_below(&outbox->backlog, below);
    message_queue_drop_below(&outbox->ahead, below);
    message_queue_drop_below(&outbox->recent,
                             below < outbox->committed_below ? below : outbox->committed_below);
}

/* --- damage ---------------------------------------------------------------------------------- */

/* What was in the live tier and is not in memory will never arrive. */
static void write_off_live(struct outbox *outbox)
{
    uint64_t below = outbox->committed_below;
    if (message_queue_count(&outbox->recent) && message_queue_at(&outbox->recent, 0)->seq < below)
        below = message_queue_at(&outbox->recent, 0)->seq;
    if (below > outbox->boundary)
        loss_ledger_add_gap(&outbox->ledger, SPAN_DAMAGED, outbox->boundary, below - 1, 0, 0);
    outbox->committed_below = below > outbox->boundary ? below : outbox->boundary;
    outbox->live_stale = false;
    outbox->live_state_stale = true;
}

static void write_off_disk(struct outbox *outbox)
{
    if (outbox->boundary > outbox->disk_first)
        loss_ledger_add_gap(&outbox->ledger, SPAN_DAMAGED, outbox->disk_first, outbox->boundary - 1,
                            0, 0);
    outbox->disk_first = outbox->boundary;
    outbox->live_state_stale = true;
    outbox->disk_unsynced = true; /* the fresh one has to know stream and numbers, and soon */
    outbox->sync_at_ms = INT64_MIN;
}

void tiers_replace_damaged(struct outbox *outbox, struct tier *tier, int64_t now_ms)
{
    CLEANUP(memory_free_pointer) char *name = NULL;
    struct store_state state = {.next_seq = 0};
    tier->store = store_close(tier->store);
    seq_set_reset(&tier->released);
    tier->ledger_version = 0;
    if (tier == &outbox->live)
        write_off_live(outbox);
    else
        write_off_disk(outbox);
    int r = store_set_aside(tier->path, outbox->wall_ms, &name);
    if (r == 0)
        r = store_open(tier == &outbox->live ? STORE_LIVE : STORE_DISK, tier->path, &state,
                       &tier->store);
    (void)snprintf(outbox->damage, sizeof(outbox->damage), "%s was damaged and is set aside",
                   tier->path);
    if (r < 0)
        (void)tiers_failed(tier, r, now_ms);
}
