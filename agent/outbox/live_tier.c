/* The live tier: what it writes, and how it is kept within bounds. */
#include "agent/outbox/live_tier.h"

#include "agent/base/min_max.h"
#include "agent/outbox/place.h"

#include <errno.h>
#include <string.h>

/* What it may hold while the disk tier cannot take anything. */
#define LIVE_MAX_BYTES (UINT64_C(16) << 20)

static int save_live_state(const struct place *live)
{
    const struct custody *custody = live->custody;
    const struct numbers *numbers = &custody->numbers;
    const struct run_list *on_disk = &custody->disk->held;
    uint64_t disk_first = run_list_first(on_disk, 1, numbers->boundary);
    struct stored_state state = {.next_seq = numbers->next_seq,
                                 .reserved_below = numbers->reserved_below,
                                 .disk_first = disk_first,
                                 .disk_below = numbers->boundary,
                                 .ledger_version = custody->ledger->version,
                                 .wall_ms = custody->wall_ms};
    memcpy(state.stream, numbers->stream, sizeof(state.stream));
    memcpy(state.previous_stream, numbers->previous_stream, sizeof(state.previous_stream));
    return place_save(live, &state);
}

/* --- what is due in every pass --------------------------------------------------------------- */

/* As long as the row next_seq - 1 is there, next_seq follows from it, and no state is written. */
static bool newest_goes(const struct place *live)
{
    const struct numbers *numbers = &live->custody->numbers;
    return numbers->committed_below == numbers->next_seq && live->released.n > 0 &&
           seq_set_contains(&live->released, numbers->next_seq - 1);
}

struct live_change {
    struct place *live;
    uint64_t released;
    struct evicted evicted;
};

static int fill_live(void *context)
{
    struct live_change *change = context;
    const struct place *live = change->live;
    const struct numbers *numbers = &live->custody->numbers;
    uint64_t body_bytes = 0;
    int r = 0;
    if (numbers->live_stale)
        r = store_remove(live->store, 0, numbers->boundary - 1, NULL);
    if (r == 0)
        r = place_append_pending(live, &body_bytes);
    if (r == 0)
        r = place_remove_released(live, &change->released);
    bool state_needed =
        numbers->live_state_stale || newest_goes(live) || place_unsaved_ledger(live);
    return r == 0 && state_needed ? save_live_state(live) : r;
}

static int change_live(struct place *live)
{
    struct tier *tier = &live->tier;
    struct custody *custody = live->custody;
    struct numbers *numbers = &custody->numbers;
    struct live_change change = {.live = live};
    if (!live->store)
        return tier->error ? tier->error : -ENODEV;
    int r = place_change(live, false, fill_live, &change);
    if (r < 0)
        return r;
    tier->error = 0;
    place_note_saved(live);
    place_note_pending(live);
    seq_set_reset(&live->released);
    custody->released += change.released;
    numbers->live_stale = numbers->live_state_stale = false;
    numbers->committed_below = numbers->next_seq;
    return 0;
}

/* --- bounds ---------------------------------------------------------------------------------- */

static uint64_t live_limit(const struct custody *custody)
{
    return min_u64(custody->max_bytes, LIVE_MAX_BYTES);
}

static int evict_live(void *context)
{
    struct live_change *change = context;
    const struct place *live = change->live;
    uint64_t limit = live_limit(live->custody);
    int r = eviction_run(live->store, live->custody->ledger, limit - limit / 16, &change->evicted);
    return r == 0 ? save_live_state(live) : r;
}

/* The disk tier accepts nothing, so this one must be kept within its bound. */
static void stay_within_bounds(struct place *live)
{
    struct custody *custody = live->custody;
    struct live_change change = {.live = live};
    if (custody->disk->error == 0 || store_bytes(live->store) <= live_limit(custody))
        return;
    loss_ledger_copy(&custody->undo, custody->ledger);
    if (place_change(live, false, evict_live, &change) < 0) {
        loss_ledger_copy(custody->ledger, &custody->undo);
        return;
    }
    place_note_saved(live);
    if (change.evicted.below > 1)
        run_list_remove(&live->tier.held, 1, change.evicted.below - 1);
    custody_note_evicted(custody, &change.evicted);
}

/* --- the two operations that are its own ----------------------------------------------------- */

static bool live_is_due(const struct place *live)
{
    const struct numbers *numbers = &live->custody->numbers;
    return numbers->committed_below != numbers->next_seq || live->released.n > 0 ||
           place_unsaved_ledger(live) || numbers->live_state_stale;
}

static int commit_live(struct place *live, const struct tier_job *job, int64_t now_ms)
{
    struct tier *tier = &live->tier;
    (void)job;
    if (!live_is_due(live))
        return 0;
    if (tier->error && now_ms < tier->retry_at_ms)
        return tier->error;
    int r = change_live(live);
    if (place_is_lost(live, PLACE_COMMIT, r, now_ms)) {
        (void)place_replace(live, now_ms);
        r = change_live(live);
    }
    if (r == 0)
        stay_within_bounds(live);
    return r;
}

/* What was in it and is not in memory will never arrive; the rest is committed again. */
static void write_off_live(struct custody *custody)
{
    struct numbers *numbers = &custody->numbers;
    uint64_t below = message_queue_seq(custody->memory, 0, numbers->committed_below);
    tier_write_off(custody->live, custody, below);
    run_list_reset(&custody->live->held);
    numbers->committed_below = max_u64(below, numbers->boundary);
    numbers->live_stale = false;
    numbers->live_state_stale = true;
}

static const struct place_kind live_kind = {"live.db", STORE_LIVE, commit_live, true,
                                            write_off_live};

struct tier *live_tier_new(struct custody *custody, const char *folder)
{
    return place_new(&live_kind, custody, folder);
}
