/* The disk tier: its transactions, and how it is opened again. */
#include "agent/outbox/disk_tier.h"

#include "agent/base/min_max.h"
#include "agent/outbox/place.h"

#include <errno.h>
#include <string.h>

#define RESERVE_DOUBLINGS 10 /* of a reservation, at most */

/* A transaction under way, and what it will have changed once it is committed. */
struct disk_change {
    struct place *disk;
    const struct tier_job *job;
    uint64_t boundary, disk_first, block, reserved_below;
    bool durable;
    uint64_t moved_cost, body_bytes;
    uint64_t not_moved; /* messages of the live tier that are acknowledged already */
    uint64_t released, damaged;
    struct evicted evicted;
    int r;      /* of the last message */
    int live_r; /* of reading the live tier */
};

/* --- what a transaction does ----------------------------------------------------------------- */

static void append_moved(struct disk_change *change, const struct stored_message *message)
{
    change->r = store_append(change->disk->store, message);
    change->body_bytes += message->body_length;
    run_list_add(&change->disk->custody->moved, message->seq, message->seq);
}

/* The copy of message SEQ in memory; false when there is none. */
static bool find_in_memory(const struct custody *custody, uint64_t seq,
                           struct stored_message *ret_message)
{
    for (size_t i = 0; i < message_queue_count(custody->memory); i++) {
        if (message_queue_seq(custody->memory, i, SEQ_LIMIT) != seq)
            continue;
        *ret_message = message_queue_at(custody->memory, i);
        return true;
    }
    return false;
}

static bool move_one(void *context, const struct stored_message *message)
{
    struct disk_change *change = context;
    struct stored_message copy;
    const struct custody *custody = change->disk->custody;
    change->moved_cost += eviction_cost(message->body_length);
    if (custody->live->class->is_released(custody->live, message->seq)) {
        change->not_moved++;
    } else if (message->body) {
        append_moved(change, message);
    } else if (find_in_memory(custody, message->seq, &copy)) {
        append_moved(change, &copy);
    } else {
        loss_ledger_add_gap(custody->ledger, SPAN_DAMAGED, message->seq, message->seq, 0, 0);
        change->damaged++;
    }
    return change->r == 0;
}

static int move_messages(struct disk_change *change)
{
    const struct tier_job *job = change->job;
    const struct custody *custody = change->disk->custody;
    struct tier *live = custody->live;
    change->live_r =
        live->class->read(live, custody->numbers.boundary, job->move_below, move_one, change);
    if (change->live_r < 0)
        return -EUCLEAN; /* it is the other tier that failed */
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

/* SAVED: the ledger that is in it afterwards, which is the present one unless LEDGER is false. */
static int save_disk_state(const struct disk_change *change, bool ledger)
{
    const struct place *disk = change->disk;
    const struct custody *custody = disk->custody;
    const struct numbers *numbers = &custody->numbers;
    bool with_pending = change->job->with_pending;
    uint64_t settled_below = numbers->next_seq;
    if (!with_pending)
        settled_below =
            run_list_first(&custody->live->held, change->boundary, numbers->committed_below);
    struct stored_state state = {.next_seq = numbers->next_seq,
                                 .reserved_below = change->reserved_below,
                                 .settled_below = settled_below,
                                 .disk_first = change->disk_first,
                                 .disk_below = change->boundary,
                                 .ledger_version =
                                     ledger ? custody->ledger->version : disk->tier.ledger_version,
                                 .wall_ms = custody->wall_ms,
                                 .clean = change->job->clean,
                                 .alone = with_pending};
    memcpy(state.stream, numbers->stream, sizeof(state.stream));
    return ledger ? place_save(disk, &state) : store_save(disk->store, &state, NULL, NULL);
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
        r = save_disk_state(change, true);
    return r;
}

/* Where there is no room for anything else: it takes the place of the state that was there. */
static int fill_reservation(void *context)
{
    return save_disk_state(context, false);
}

/* --- around it ------------------------------------------------------------------------------- */

bool disk_tier_reserve_is_low(const struct custody *custody)
{
    const struct numbers *numbers = &custody->numbers;
    return numbers->reserved_below == SEQ_LIMIT ||
           reservation_is_low(&custody->reservation, numbers->next_seq, numbers->reserved_below);
}

/* A power cut must not undo a drop that was recorded. */
static bool may_drop(const struct place *disk)
{
    const struct custody *custody = disk->custody;
    uint64_t bytes = store_bytes(disk->store) + message_queue_bytes(custody->memory);
    return bytes > disk_limit(custody, 0);
}

static struct disk_change plan_change(struct place *disk, const struct tier_job *job,
                                      int64_t now_ms)
{
    const struct custody *custody = disk->custody;
    const struct numbers *numbers = &custody->numbers;
    struct disk_change change = {.disk = disk, .job = job};
    change.boundary =
        job->with_pending ? numbers->next_seq : max_u64(job->move_below, numbers->boundary);
    change.durable =
        job->durable || disk_tier_reserve_is_low(custody) || job->clean || may_drop(disk);
    change.block = reservation_next(&custody->reservation, numbers->next_seq, now_ms);
    change.reserved_below =
        change.durable ? numbers->next_seq + change.block : numbers->reserved_below;
    return change;
}

static void note_reserved(const struct disk_change *change, int64_t now_ms)
{
    struct custody *custody = change->disk->custody;
    struct numbers *numbers = &custody->numbers;
    numbers->live_state_stale |= numbers->reserved_below != change->reserved_below;
    numbers->reserved_below = change->reserved_below;
    if (change->durable)
        reservation_made(&custody->reservation, change->block, numbers->next_seq, now_ms);
}

/* Which messages are where now. */
static void note_moved(const struct disk_change *change)
{
    struct place *disk = change->disk;
    struct custody *custody = disk->custody;
    struct run_list *held = &disk->tier.held;
    for (size_t i = 0; i < custody->moved.n; i++)
        run_list_add(held, custody->moved.runs[i].first, custody->moved.runs[i].last);
    if (change->job->with_pending)
        place_note_pending(disk);
    if (change->boundary > 1)
        run_list_remove(&custody->live->held, 1, change->boundary - 1);
    if (change->evicted.below > 1)
        run_list_remove(held, 1, change->evicted.below - 1);
}

static void note_done(const struct disk_change *change)
{
    struct place *disk = change->disk;
    struct custody *custody = disk->custody;
    struct numbers *numbers = &custody->numbers;
    bool with_pending = change->job->with_pending;
    disk->tier.error = 0;
    place_note_saved(disk);
    note_moved(change);
    seq_set_reset(&disk->released);
    numbers->disk_misses_history = false;
    numbers->disk_unsynced = !change->durable && (numbers->disk_unsynced || with_pending);
    numbers->previous_stream[0] = '\0';
    numbers->live_stale |= change->boundary > numbers->boundary;
    numbers->live_state_stale = true;
    numbers->boundary = change->boundary;
    numbers->disk_first = change->disk_first;
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

static int change_disk(struct place *disk, const struct tier_job *job, int64_t now_ms)
{
    struct custody *custody = disk->custody;
    struct tier *live = custody->live;
    struct disk_change change = plan_change(disk, job, now_ms);
    loss_ledger_copy(&custody->undo, custody->ledger);
    run_list_reset(&custody->moved);
    int r = store_keep_room(disk->store, false);
    if (r == 0)
        r = place_change(disk, change.durable, fill_disk, &change);
    if (r < 0)
        loss_ledger_copy(custody->ledger, &custody->undo);
    else
        note_done(&change);
    if (r == 0) {
        note_reserved(&change, now_ms);
        custody->short_of_room = 0;
        (void)store_keep_room(disk->store, false); /* the log may have grown */
    }
    if (r == 0 || r == -EUCLEAN)
        live->class->note_read(live, change.live_r, now_ms);
    return r;
}

/* There is room for some reservations only, so each is longer than the one before. */
void disk_tier_reserve(struct tier *tier, int64_t now_ms)
{
    const struct tier_job job = {.durable = true};
    struct place *disk = (struct place *)tier;
    struct custody *custody = disk->custody;
    if (!disk->store || !disk_tier_reserve_is_low(custody))
        return;
    struct disk_change change = plan_change(disk, &job, now_ms);
    custody->short_of_room += custody->short_of_room < RESERVE_DOUBLINGS;
    change.reserved_below = custody->numbers.next_seq + (change.block << custody->short_of_room);
    change.disk_first = disk->custody->numbers.disk_first;
    if (place_change(disk, true, fill_reservation, &change) == 0)
        note_reserved(&change, now_ms);
}

/* Which of the messages that the disk tier held are in the file that could be opened again. */
static int find_attached(struct place *disk, struct store *store, const struct stored_state *state)
{
    struct custody *custody = disk->custody;
    struct numbers *numbers = &custody->numbers;
    uint64_t first = 0, last = 0;
    int r = store_range(store, &first, &last);
    if (r < 0)
        return r;
    bool same = strcmp(state->stream, numbers->stream) == 0;
    bool ours =
        state->stream[0] == '\0' || same || strcmp(state->stream, numbers->previous_stream) == 0;
    bool fits = last < numbers->boundary || (same && last < numbers->committed_below);
    if (!ours || !fits || state->next_seq > numbers->next_seq)
        return -ESTALE;
    if (last >= numbers->boundary) { /* moved here just before the last end */
        numbers->boundary = last + 1;
        numbers->live_stale = numbers->live_state_stale = true;
        run_list_remove(&custody->live->held, 1, last);
    }
    if (first == 0) /* they were in a file that is not there any more */
        tier_write_off(&disk->tier, custody, numbers->boundary);
    run_list_reset(&disk->tier.held);
    numbers->disk_first = first ? first : numbers->boundary;
    return store_held(store, &disk->tier.held);
}

/*
 * Opens what could not be opened before. What is there must be empty or belong to this stream;
 * anything else has to wait for the next start, which reconciles the two.
 */
static int attach_disk(struct place *disk)
{
    struct custody *custody = disk->custody;
    struct stored_state state = {.next_seq = 0};
    struct store *store = NULL;
    int r = store_open(STORE_DISK, disk->path, &state, NULL, NULL, &store);
    if (r == 0)
        r = find_attached(disk, store, &state);
    if (r < 0) {
        (void)store_close(store);
        return r;
    }
    disk->store = store;
    if (state.ledger_version >= custody->ledger->version)
        custody->ledger->version = state.ledger_version + 1; /* ours is the newer one */
    return 0;
}

/* --- the two operations that are its own ----------------------------------------------------- */

static int commit_disk(struct place *disk, const struct tier_job *job, int64_t now_ms)
{
    int r = disk->store ? 0 : attach_disk(disk);
    if (r == 0)
        r = change_disk(disk, job, now_ms);
    if (r == -ENOSPC && disk->store) {
        (void)store_keep_room(disk->store, true);
        r = change_disk(disk, job, now_ms);
        if (r == -ENOSPC)
            disk_tier_reserve(&disk->tier, now_ms);
    }
    if (place_is_lost(disk, PLACE_COMMIT, r, now_ms)) {
        r = place_replace(disk, now_ms);
        if (r == 0)
            r = change_disk(disk, job, now_ms);
    }
    if (r == -EUCLEAN)
        return r; /* change_disk() has told the other tier */
    return r < 0 ? place_failed(disk, r, now_ms) : 0;
}

/* Its messages will never arrive. The stream and the numbers have to be written to the fresh file
 * soon. */
static void write_off_disk(struct custody *custody)
{
    struct numbers *numbers = &custody->numbers;
    tier_write_off(custody->disk, custody, numbers->boundary);
    run_list_reset(&custody->disk->held);
    numbers->disk_first = numbers->boundary;
    numbers->live_state_stale = true;
    numbers->disk_unsynced = true;
    custody->sync_at_ms = INT64_MIN;
}

static const struct place_kind disk_kind = {"outbox.db", STORE_DISK, commit_disk, false,
                                            write_off_disk};

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
    adopted.seq = adoption->next++;
    if (!message->body) { /* its number is used, so that its loss can be proved */
        loss_ledger_add_gap(adoption->disk->custody->ledger, SPAN_DAMAGED, adopted.seq, adopted.seq,
                            0, 0);
        return true;
    }
    run_list_add(&adoption->disk->custody->moved, adopted.seq, adopted.seq);
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
    state->reserved_below = adoption->next + RESERVATION_MIN;
    state->clean = false;
    state->ledger_version = adoption->disk->custody->ledger->version;
    return place_save(adoption->disk, state);
}

static void note_adopted(struct place *disk)
{
    struct custody *custody = disk->custody;
    for (size_t i = 0; i < custody->moved.n; i++)
        run_list_add(&disk->tier.held, custody->moved.runs[i].first, custody->moved.runs[i].last);
    run_list_reset(&custody->live->held);
    place_note_saved(disk);
}

int disk_tier_adopt(struct tier *tier, const struct stored_state *state, uint64_t *ret_count)
{
    struct place *disk = (struct place *)tier;
    struct numbers *numbers = &disk->custody->numbers;
    struct adoption adoption = {.disk = disk, .state = *state, .next = numbers->next_seq};
    if (!disk->store)
        return -ENODEV;
    loss_ledger_copy(&disk->custody->undo, disk->custody->ledger);
    run_list_reset(&disk->custody->moved);
    int r = place_change(disk, true, fill_adoption, &adoption);
    if (r < 0) {
        loss_ledger_copy(disk->custody->ledger, &disk->custody->undo);
        return r;
    }
    note_adopted(disk);
    *ret_count = adoption.next - numbers->next_seq;
    numbers->next_seq = numbers->boundary = numbers->committed_below = adoption.next;
    numbers->reserved_below = adoption.state.reserved_below;
    numbers->live_stale = true;
    return 0;
}
