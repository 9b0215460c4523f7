/*
 * The live tier: one transaction in every pass of the main loop, and the way around it when it
 * cannot take anything. Part of the outbox.
 */
#include "agent/outbox/outbox_private.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void note_mark(struct outbox *outbox)
{
    int64_t step = outbox->spill_after_ms / 8;
    struct mark *newest = outbox->n_marks ? &outbox->marks[outbox->n_marks - 1] : NULL;
    if (newest && (outbox->n_marks == ARRAY_LENGTH(outbox->marks) ||
                   outbox->taken_at_ms - newest->time_ms < step))
        newest->below = outbox->next_seq;
    else
        outbox->marks[outbox->n_marks++] = (struct mark){outbox->next_seq, outbox->taken_at_ms};
}

/* What was only in memory is in a tier now. */
static void note_committed(struct outbox *outbox)
{
    if (outbox->committed_below < outbox->next_seq)
        note_mark(outbox);
    outbox->committed_below = outbox->next_seq;
    if (!outbox->link_up)
        message_queue_reset(&outbox->recent);
}

static int save_live_state(struct outbox *outbox)
{
    struct store_state state = {.next_seq = outbox->next_seq,
                                .disk_first = outbox->disk_first,
                                .disk_below = outbox->boundary,
                                .ledger_version = outbox->ledger.version,
                                .wall_ms = outbox->wall_ms};
    memcpy(state.stream, outbox->stream, sizeof(state.stream));
    memcpy(state.previous_stream, outbox->previous_stream, sizeof(state.previous_stream));
    int r = store_save_state(outbox->live.store, &state);
    if (r == 0 && outbox->live.ledger_version != outbox->ledger.version)
        r = store_save_ledger(outbox->live.store, &outbox->ledger);
    return r;
}

/* As long as the row next_seq - 1 is there, next_seq follows from it, and no state is written. */
static bool newest_is_released(const struct outbox *outbox)
{
    return outbox->committed_below == outbox->next_seq && outbox->live.released.n > 0 &&
           seq_set_contains(&outbox->live.released, outbox->next_seq - 1);
}

static int fill_live(struct outbox *outbox, uint64_t *released)
{
    struct tier *live = &outbox->live;
    int r = outbox->live_stale ? store_delete(live->store, 0, outbox->boundary - 1, NULL) : 0;
    if (r == 0)
        r = tiers_put_pending(outbox, live->store);
    if (r == 0)
        r = tiers_delete_released(live, released);
    bool state_needed = outbox->live_state_stale || newest_is_released(outbox) ||
                        live->ledger_version != outbox->ledger.version;
    if (r == 0 && state_needed)
        r = save_live_state(outbox);
    return r;
}

static int commit_live(struct outbox *outbox)
{
    struct tier *live = &outbox->live;
    uint64_t released = 0;
    if (!live->store)
        return live->error ? live->error : -ENODEV;
    int r = store_begin(live->store, false);
    if (r == 0)
        r = fill_live(outbox, &released);
    if (r == 0)
        r = store_commit(live->store);
    if (r < 0) {
        store_rollback(live->store);
        return r;
    }
    live->error = 0;
    live->ledger_version = outbox->ledger.version;
    seq_set_reset(&live->released);
    outbox->released += released;
    outbox->live_stale = outbox->live_state_stale = false;
    note_committed(outbox);
    return 0;
}

/* The disk tier takes nothing: the live tier may not grow without end. */
static int bound_live(struct outbox *outbox)
{
    uint64_t limit = outbox->max_bytes < LIVE_MAX_BYTES ? outbox->max_bytes : LIVE_MAX_BYTES;
    struct store *store = outbox->live.store;
    if (!store || outbox->disk.error == 0 || store_bytes(store) <= limit)
        return 0;
    uint64_t dropped = 0, below = 0;
    loss_ledger_copy(&outbox->undo, &outbox->ledger);
    int r = store_begin(store, false);
    if (r == 0)
        r = tiers_drop_oldest(outbox, store, limit - limit / 16, &dropped, &below);
    if (r == 0)
        r = save_live_state(outbox);
    if (r == 0)
        r = store_commit(store);
    if (r < 0) {
        store_rollback(store);
        loss_ledger_copy(&outbox->ledger, &outbox->undo);
        return r;
    }
    outbox->live.ledger_version = outbox->ledger.version;
    tiers_note_dropped(outbox, dropped, below);
    return 0;
}

/* Everything is in the disk tier: a live tier that failed may be made anew, or at least tried. */
static void renew_live(struct outbox *outbox, int64_t now_ms)
{
    struct tier *live = &outbox->live;
    struct store_state state = {.next_seq = 0};
    live->store = store_close(live->store);
    CLEANUP(memory_free_pointer) char *log = memory_printf("%s-wal", live->path);
    (void)unlink(live->path);
    (void)unlink(log);
    int r = store_open(STORE_LIVE, live->path, &state, &live->store);
    outbox->live_stale = false;
    outbox->live_state_stale = true;
    live->ledger_version = 0;
    if (r == 0)
        r = commit_live(outbox);
    if (r < 0)
        (void)tiers_failed(live, r, now_ms);
}

/* The live tier does not work: into the disk tier, safe from a kill at once. */
static int commit_around_live(struct outbox *outbox, int64_t now_ms)
{
    bool retry = now_ms >= outbox->live.retry_at_ms;
    const struct disk_job job = {.move_below = outbox->committed_below, .with_pending = true};
    int r = tiers_work_on_disk(outbox, &job, now_ms);
    if (r == 0 && retry)
        renew_live(outbox, now_ms);
    return r;
}

static int try_live(struct outbox *outbox, int64_t now_ms)
{
    struct tier *live = &outbox->live;
    if (live->error && now_ms < live->retry_at_ms)
        return live->error;
    int r = commit_live(outbox);
    if (r != -EBADMSG)
        return r;
    tiers_replace_damaged(outbox, live, now_ms);
    return commit_live(outbox);
}

int tiers_commit(struct outbox *outbox, int64_t now_ms)
{
    struct tier *live = &outbox->live;
    if (outbox->committed_below == outbox->next_seq && live->released.n == 0 &&
        live->ledger_version == outbox->ledger.version && !outbox->live_state_stale)
        return 0;
    int live_r = try_live(outbox, now_ms), r = live_r;
    if (live_r == 0) {
        (void)bound_live(outbox);
    } else {
        if (live->error == 0)
            live->retry_at_ms = now_ms; /* the first failure: it is made anew at once */
        r = commit_around_live(outbox, now_ms);
        if (r < 0)
            (void)tiers_failed(live, live_r, now_ms);
    }
    outbox->commit_error = r;
    return r;
}
