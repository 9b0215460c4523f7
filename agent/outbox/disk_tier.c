/* The disk tier: its transactions, and how it is opened again. */
#include "agent/outbox/disk_tier.h"

#include "agent/base/min_max.h"
#include "agent/outbox/place.h"

#include <errno.h>
#include <string.h>

/* A transaction under way, and what it will have changed once it is committed. */
struct disk_change {
    struct place *disk;
    const struct tier_job *job;
    uint64_t boundary, disk_first, reserved_below;
    bool durable;
    uint64_t moved_cost, body_bytes;
    uint64_t not_moved; /* messages of the live tier that are acknowledged already */
    uint64_t released, damaged;
    struct evicted evicted;
    int r; /* of the last message */
};

/* --- what a transaction does ----------------------------------------------------------------- */

static bool move_one(void *context, const struct stored_message *message)
{
    struct disk_change *change = context;
    const struct custody *custody = change->disk->custody;
    change->moved_cost += eviction_cost(message->body_length);
    if (custody->live->class->is_released(custody->live, message->seq)) {
        change->not_moved++;
    } else if (!message->body) {
        loss_ledger_add_gap(custody->ledger, SPAN_DAMAGED, message->seq, message->seq, 0, 0);
        change->damaged++;
    } else {
        change->r = store_append(change->disk->store, message);
        change->body_bytes += message->body_length;
    }
    return change->r == 0;
}

static int move_messages(struct disk_change *change)
{
    const struct tier_job *job = change->job;
    const struct custody *custody = change->disk->custody;
    struct tier *live = custody->live;
    int r = live->class->read(live, custody->numbers.boundary, job->move_below, move_one, change);
    if (r < 0)
        return -EUCLEAN; /* the damaged tier is the other one */
    if (change->r < 0 || !job->with_pending)
        return change->r;
    return place_append_pending(change->disk, &change->body_bytes);
}

/* How much it may hold once MOVED bytes have left the live tier. */
static uint64_t disk_limit(const struct custody *custody, uint64_t moved)
{
    uint64_t live = custody->live->class->bytes(custody->live);
    live = live > moved ? live - moved : 0;
    return live < custody->max_bytes / 2 ? custody->max_bytes - live : custody->max_bytes / 2;
}

/* The lowest number that is still in custody once the messages have moved. */
static int find_oldest(struct disk_change *change)
{
    uint64_t first = 0, last = 0;
    int r = store_range(change->disk->store, &first, &last);
    if (r < 0)
        return r;
    change->disk_first = first ? first : change->boundary;
    loss_ledger_forget_below(change->disk->custody->ledger, change->disk_first);
    return 0;
}

static int save_disk_state(const struct disk_change *change)
{
    const struct place *disk = change->disk;
    const struct custody *custody = disk->custody;
    const struct numbers *numbers = &custody->numbers;
    bool with_pending = change->job->with_pending;
    uint64_t settled_below = numbers->next_seq;
    if (!with_pending)
        settled_below = tier_first(custody->live, change->boundary, numbers->committed_below);
    struct stored_state state = {.next_seq = numbers->next_seq,
                                 .reserved_below = change->reserved_below,
                                 .settled_below = settled_below,
                                 .disk_first = change->disk_first,
                                 .disk_below = change->boundary,
                                 .ledger_version = custody->ledger->version,
                                 .wall_ms = custody->wall_ms,
                                 .clean = change->job->clean,
                                 .alone = with_pending};
    memcpy(state.stream, numbers->stream, sizeof(state.stream));
    return store_save(disk->store, &state, place_unsaved_ledger(disk));
}

static int fill_disk(void *context)
{
    struct disk_change *change = context;
    const struct place *disk = change->disk;
    const struct custody *custody = disk->custody;
    int r = move_messages(change);
    if (r == 0)
        r = place_remove_released(disk, &change->released);
    if (r == 0)
        r = eviction_run(disk->store, custody->ledger, disk_limit(custody, change->moved_cost),
                         &change->evicted);
    if (r == 0)
        r = find_oldest(change);
    if (r == 0)
        r = save_disk_state(change);
    return r;
}

/* --- around it ------------------------------------------------------------------------------- */

bool disk_tier_reserve_is_low(const struct numbers *numbers)
{
    return numbers->reserved_below < numbers->next_seq + RESERVE_BLOCK / 2;
}

/* A power cut must not undo a drop that was recorded. */
static bool may_drop(const struct place *disk)
{
    const struct custody *custody = disk->custody;
    uint64_t bytes = store_bytes(disk->store) + message_queue_bytes(custody->memory);
    return bytes > disk_limit(custody, 0);
}

static struct disk_change plan_change(struct place *disk, const struct tier_job *job)
{
    const struct numbers *numbers = &disk->custody->numbers;
    bool reserve = numbers->reserved_below == SEQ_LIMIT || disk_tier_reserve_is_low(numbers);
    struct disk_change change = {.disk = disk, .job = job};
    change.boundary =
        job->with_pending ? numbers->next_seq : max_u64(job->move_below, numbers->boundary);
    change.reserved_below = reserve ? numbers->next_seq + RESERVE_BLOCK : numbers->reserved_below;
    change.durable = job->durable || reserve || job->clean || may_drop(disk);
    return change;
}

static void note_done(const struct disk_change *change)
{
    struct place *disk = change->disk;
    struct custody *custody = disk->custody;
    struct numbers *numbers = &custody->numbers;
    bool with_pending = change->job->with_pending;
    disk->tier.error = 0;
    disk->tier.ledger_version = custody->ledger->version;
    seq_set_reset(&disk->released);
    numbers->disk_misses_history = false;
    numbers->disk_unsynced = !change->durable && (numbers->disk_unsynced || with_pending);
    numbers->previous_stream[0] = '\0';
    numbers->live_stale |= change->boundary > numbers->boundary;
    numbers->live_state_stale = true;
    numbers->boundary = change->boundary;
    numbers->disk_first = change->disk_first;
    numbers->reserved_below = change->reserved_below;
    custody->released += change->released;
    custody->dropped += change->damaged;
    custody->disk_bytes_written += change->body_bytes;
    if (with_pending) { /* acknowledged messages of the live tier stayed there */
        custody->released += change->not_moved;
        custody->live->class->forget_released(custody->live, true);
        numbers->committed_below = numbers->next_seq;
    }
    custody_note_evicted(custody, &change->evicted);
}

static int change_disk(struct place *disk, const struct tier_job *job)
{
    struct custody *custody = disk->custody;
    struct disk_change change = plan_change(disk, job);
    loss_ledger_copy(&custody->undo, custody->ledger);
    int r = place_change(disk, change.durable, fill_disk, &change);
    if (r < 0)
        loss_ledger_copy(custody->ledger, &custody->undo);
    else
        note_done(&change);
    return r;
}

/*
 * Opens what could not be opened before. What is there must be empty or belong to this stream;
 * anything else has to wait for the next start, which reconciles the two.
 */
static int attach_disk(struct place *disk)
{
    struct custody *custody = disk->custody;
    struct numbers *numbers = &custody->numbers;
    struct stored_state state = {.next_seq = 0};
    struct store *store = NULL;
    uint64_t first = 0, last = 0;
    int r = store_open(STORE_DISK, disk->path, &state, NULL, &store);
    if (r == 0)
        r = store_range(store, &first, &last);
    bool ours = state.stream[0] == '\0' || strcmp(state.stream, numbers->stream) == 0 ||
                strcmp(state.stream, numbers->previous_stream) == 0;
    if (r == 0 && (!ours || last >= numbers->boundary || state.next_seq > numbers->next_seq))
        r = -ESTALE;
    if (r < 0) {
        (void)store_close(store);
        return r;
    }
    disk->store = store;
    numbers->disk_first = first ? first : numbers->boundary;
    if (state.ledger_version >= custody->ledger->version)
        custody->ledger->version = state.ledger_version + 1; /* ours is the newer one */
    return 0;
}

/* --- the two operations that are its own ----------------------------------------------------- */

static int commit_disk(struct place *disk, const struct tier_job *job, int64_t now_ms)
{
    struct tier *live = disk->custody->live;
    int r = disk->store ? 0 : attach_disk(disk);
    if (r == 0)
        r = change_disk(disk, job);
    if (r == -ENOSPC && disk->store) {
        store_reuse(disk->store);
        r = change_disk(disk, job);
    }
    if (r == -EBADMSG) {
        r = place_replace(disk, now_ms);
        if (r == 0)
            r = change_disk(disk, job);
    }
    if (r == -EUCLEAN) {
        live->class->fail(live, -EBADMSG, now_ms);
        return r;
    }
    return r < 0 ? place_failed(disk, r, now_ms) : 0;
}

/* Its messages will never arrive. The stream and the numbers have to be written to the fresh file
 * soon. */
static void write_off_disk(struct custody *custody)
{
    struct numbers *numbers = &custody->numbers;
    custody_write_off(custody, numbers->disk_first, numbers->boundary);
    numbers->disk_first = numbers->boundary;
    numbers->live_state_stale = true;
    numbers->disk_unsynced = true;
    custody->sync_at_ms = INT64_MIN;
}

static const struct place_kind disk_kind = {"outbox.db", STORE_DISK, commit_disk, write_off_disk};

struct tier *disk_tier_new(struct custody *custody, const char *folder)
{
    return place_new(&disk_kind, custody, folder);
}

/* --- a live tier of another stream ----------------------------------------------------------- */

struct adoption {
    struct place *disk;
    struct stored_state state; /* as it will be */
    uint64_t next;
    int r; /* of the last message */
};

static bool adopt_one(void *context, const struct stored_message *message)
{
    struct adoption *adoption = context;
    struct stored_message adopted = *message;
    if (!message->body)
        return true;
    adopted.seq = adoption->next++;
    adoption->r = store_append(adoption->disk->store, &adopted);
    return adoption->r == 0;
}

static int fill_adoption(void *context)
{
    struct adoption *adoption = context;
    struct stored_state *state = &adoption->state;
    struct tier *live = adoption->disk->custody->live;
    int r = live->class->read(live, 0, SEQ_LIMIT, adopt_one, adoption);
    if (r == 0)
        r = adoption->r;
    if (r < 0)
        return r;
    state->next_seq = state->settled_below = state->disk_below = adoption->next;
    state->reserved_below = adoption->next + RESERVE_BLOCK;
    state->clean = false;
    return store_save(adoption->disk->store, state, NULL);
}

int disk_tier_adopt(struct tier *tier, const struct stored_state *state, uint64_t *ret_count)
{
    struct place *disk = (struct place *)tier;
    struct numbers *numbers = &disk->custody->numbers;
    struct adoption adoption = {.disk = disk, .state = *state, .next = numbers->next_seq};
    if (!disk->store)
        return -ENODEV;
    int r = place_change(disk, true, fill_adoption, &adoption);
    if (r < 0)
        return r;
    *ret_count = adoption.next - numbers->next_seq;
    numbers->next_seq = numbers->boundary = numbers->committed_below = adoption.next;
    numbers->reserved_below = adoption.state.reserved_below;
    numbers->live_stale = true;
    return 0;
}
