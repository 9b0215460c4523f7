/*
 * The two tiers together: one transaction of the live tier in every pass of the main loop, one of
 * the disk tier when something is due there, and the ways around a tier that fails.
 */
#include "agent/outbox/tiers.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/outbox/disk_change.h"
#include "agent/outbox/live_change.h"
#include "agent/outbox/place.h"
#include "agent/outbox/start.h"
#include "agent/outbox/store.h"
#include "agent/outbox/text_set.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the live tier may hold while the disk tier cannot take anything. */
#define LIVE_MAX_BYTES (UINT64_C(16) << 20)
#define SHRINK_MS 10000 /* how often an empty tier is looked at */

struct tiers {
    struct stock stock;
    struct loss_ledger undo; /* what the ledger was before the transaction under way */
    int commit_error;        /* of the last commit */
    int64_t sync_ms;
    int64_t sync_at_ms; /* not before this the next routine transaction on disk */
    int64_t shrink_at_ms;
    int64_t now_ms; /* the last one heard */
    uint64_t released, dropped, dropped_below, disk_bytes_written;
    char damage[160]; /* what was set aside since the start; "" for nothing */
};

struct tiers_state tiers_state(const struct tiers *tiers)
{
    const struct stock *stock = &tiers->stock;
    uint64_t needed = stock->ledger->historical_version;
    return (struct tiers_state){.numbers = &stock->numbers,
                                .history_saved = stock->live.ledger_version >= needed ||
                                                 stock->disk.ledger_version >= needed,
                                .commit_error = tiers->commit_error,
                                .now_ms = tiers->now_ms,
                                .dropped = tiers->dropped,
                                .dropped_below = tiers->dropped_below};
}

uint64_t tiers_first_live(const struct tiers *tiers, uint64_t from, uint64_t limit)
{
    return stock_first_live(&tiers->stock, from, limit);
}

static void note_evicted(struct tiers *tiers, const struct evicted *evicted)
{
    tiers->dropped += evicted->messages;
    tiers->dropped_below = max_u64(tiers->dropped_below, evicted->below);
}

/* --- damage ---------------------------------------------------------------------------------- */

/* What was in the live tier and is not in memory will never arrive. */
static void write_off_live(struct tiers *tiers)
{
    struct numbers *numbers = &tiers->stock.numbers;
    uint64_t below = message_queue_seq(tiers->stock.memory, 0, numbers->committed_below);
    if (below > numbers->boundary)
        loss_ledger_add_gap(tiers->stock.ledger, SPAN_DAMAGED, numbers->boundary, below - 1, 0, 0);
    numbers->committed_below = max_u64(below, numbers->boundary);
    numbers->live_stale = false;
    numbers->live_state_stale = true;
}

static void write_off_disk(struct tiers *tiers)
{
    struct numbers *numbers = &tiers->stock.numbers;
    if (numbers->boundary > numbers->disk_first)
        loss_ledger_add_gap(tiers->stock.ledger, SPAN_DAMAGED, numbers->disk_first,
                            numbers->boundary - 1, 0, 0);
    numbers->disk_first = numbers->boundary;
    numbers->live_state_stale = true;
    numbers->disk_unsynced = true; /* the fresh one has to know stream and numbers, and soon */
    tiers->sync_at_ms = INT64_MIN;
}

/* The file turned out to be damaged: sets it aside and goes on with a fresh one. */
static void replace_damaged(struct tiers *tiers, struct place *place, int64_t now_ms)
{
    CLEANUP(strbuf_free) struct strbuf warning = STRBUF_EMPTY;
    if (place == &tiers->stock.live)
        write_off_live(tiers);
    else
        write_off_disk(tiers);
    (void)snprintf(tiers->damage, sizeof(tiers->damage), "%s was damaged and is set aside",
                   place->path);
    int r = place_replace(place, tiers->stock.wall_ms, &warning);
    if (r < 0)
        (void)place_failed(place, r, now_ms);
}

/* To be removed from its tier; what finds no room is found again after the next start. */
static void release_anyway(struct place *place, uint64_t seq)
{
    if (seq_set_add(&place->released, seq))
        return;
    seq_set_remove_oldest(&place->released);
    (void)seq_set_add(&place->released, seq);
}

/* The tier of a committed message. */
static struct place *place_of(struct tiers *tiers, uint64_t seq)
{
    return seq < tiers->stock.numbers.boundary ? &tiers->stock.disk : &tiers->stock.live;
}

/* A stored message is unreadable: it will never arrive. */
static void note_damaged(struct tiers *tiers, uint64_t seq)
{
    loss_ledger_add_gap(tiers->stock.ledger, SPAN_DAMAGED, seq, seq, 0, 0);
    tiers->dropped++;
    release_anyway(place_of(tiers, seq), seq);
}

/* --- the live tier --------------------------------------------------------------------------- */

static int commit_live(struct tiers *tiers)
{
    struct place *live = &tiers->stock.live;
    struct numbers *numbers = &tiers->stock.numbers;
    uint64_t released = 0;
    if (!live->tier)
        return live->error ? live->error : -ENODEV;
    int r = live_change_commit(&tiers->stock, &released);
    if (r < 0)
        return r;
    live->error = 0;
    live->ledger_version = tiers->stock.ledger->version;
    seq_set_reset(&live->released);
    tiers->released += released;
    numbers->live_stale = numbers->live_state_stale = false;
    numbers->committed_below = numbers->next_seq;
    return 0;
}

/* The disk tier takes nothing: the live tier may not grow without end. */
static void bound_live(struct tiers *tiers)
{
    struct stock *stock = &tiers->stock;
    uint64_t limit = min_u64(stock->max_bytes, LIVE_MAX_BYTES);
    struct evicted evicted = {.messages = 0};
    if (!stock->live.tier || stock->disk.error == 0 || stock_bytes(&stock->live) <= limit)
        return;
    loss_ledger_copy(&tiers->undo, stock->ledger);
    if (live_change_evict(stock, limit - limit / 16, &evicted) < 0) {
        loss_ledger_copy(stock->ledger, &tiers->undo);
        return;
    }
    stock->live.ledger_version = stock->ledger->version;
    note_evicted(tiers, &evicted);
}

static int try_live(struct tiers *tiers, int64_t now_ms)
{
    struct place *live = &tiers->stock.live;
    if (!place_may_try(live, now_ms))
        return live->error;
    int r = commit_live(tiers);
    if (r != -EBADMSG)
        return r;
    replace_damaged(tiers, live, now_ms);
    return commit_live(tiers);
}

/* Everything is in the disk tier: a live tier that failed may be replaced, or at least tried. */
static void renew_live(struct tiers *tiers, int64_t now_ms)
{
    struct numbers *numbers = &tiers->stock.numbers;
    int r = place_renew(&tiers->stock.live);
    numbers->live_stale = false;
    numbers->live_state_stale = true;
    if (r == 0)
        r = commit_live(tiers);
    if (r < 0)
        (void)place_failed(&tiers->stock.live, r, now_ms);
}

/* --- the disk tier --------------------------------------------------------------------------- */

static void note_done(struct tiers *tiers, const struct disk_done *done, bool with_pending)
{
    struct numbers *numbers = &tiers->stock.numbers;
    struct place *disk = &tiers->stock.disk;
    disk->error = 0;
    disk->ledger_version = tiers->stock.ledger->version;
    seq_set_reset(&disk->released);
    numbers->disk_misses_history = false;
    numbers->disk_unsynced = !done->durable && (numbers->disk_unsynced || with_pending);
    numbers->previous_stream[0] = '\0';
    numbers->live_stale |= done->boundary > numbers->boundary;
    numbers->live_state_stale = true;
    numbers->boundary = done->boundary;
    numbers->disk_first = done->disk_first;
    numbers->reserved_below = done->reserved_below;
    tiers->released += done->released;
    tiers->dropped += done->damaged;
    tiers->disk_bytes_written += done->body_bytes;
    if (with_pending) { /* what the live tier had to delete was left behind there */
        tiers->released += done->left_behind;
        seq_set_reset(&tiers->stock.live.released);
        numbers->committed_below = numbers->next_seq;
    }
    note_evicted(tiers, &done->evicted);
}

static int try_disk(struct tiers *tiers, const struct disk_job *job)
{
    struct disk_done done;
    loss_ledger_copy(&tiers->undo, tiers->stock.ledger);
    int r = disk_change_run(&tiers->stock, job, &done);
    if (r < 0)
        loss_ledger_copy(tiers->stock.ledger, &tiers->undo);
    else
        note_done(tiers, &done, job->with_pending);
    return r;
}

/*
 * Opens the disk tier that could not be opened before. What is there must be empty or belong to
 * this stream; anything else has to wait for the next start, which reconciles the two.
 */
static int attach_disk(struct tiers *tiers)
{
    struct place *disk = &tiers->stock.disk;
    struct numbers *numbers = &tiers->stock.numbers;
    struct stored_state state = {.next_seq = 0};
    struct tier *tier = NULL;
    uint64_t first = 0, last = 0;
    int r = disk->kind->open(disk->path, &state, NULL, &tier);
    if (r == 0)
        r = tier->class->range(tier, &first, &last);
    bool ours = state.stream[0] == '\0' || strcmp(state.stream, numbers->stream) == 0 ||
                strcmp(state.stream, numbers->previous_stream) == 0;
    if (r == 0 && (!ours || last >= numbers->boundary || state.next_seq > numbers->next_seq))
        r = -ESTALE;
    if (r < 0) {
        (void)tier_close(tier);
        return r;
    }
    disk->tier = tier;
    numbers->disk_first = first ? first : numbers->boundary;
    if (state.ledger_version >= tiers->stock.ledger->version)
        tiers->stock.ledger->version = state.ledger_version + 1; /* ours is the newer one */
    return 0;
}

/* 0 or a negative errno: nothing has changed then, and the error of the tier is noted. */
static int change_disk(struct tiers *tiers, const struct disk_job *job, int64_t now_ms)
{
    struct place *disk = &tiers->stock.disk;
    int r = disk->tier ? 0 : attach_disk(tiers);
    if (r == 0)
        r = try_disk(tiers, job);
    if (r == -ENOSPC && disk->tier) {
        disk->tier->class->reuse(disk->tier);
        r = try_disk(tiers, job);
    }
    if (r == -EBADMSG) {
        replace_damaged(tiers, disk, now_ms);
        r = disk->tier ? try_disk(tiers, job) : disk->error;
    }
    if (r == -EUCLEAN) {
        replace_damaged(tiers, &tiers->stock.live, now_ms);
        return r;
    }
    return r < 0 ? place_failed(disk, r, now_ms) : 0;
}

/* --- both ------------------------------------------------------------------------------------ */

/* The live tier does not work: into the disk tier, safe from a kill at once. */
static int commit_around_live(struct tiers *tiers, int live_r, int64_t now_ms)
{
    struct place *live = &tiers->stock.live;
    bool renew = place_may_try(live, now_ms); /* after the first failure at once */
    const struct disk_job job = {.move_below = tiers->stock.numbers.committed_below,
                                 .with_pending = true};
    if (live->error == 0)
        live->retry_at_ms = now_ms;
    int r = change_disk(tiers, &job, now_ms);
    if (r == 0 && renew)
        renew_live(tiers, now_ms);
    if (r < 0)
        (void)place_failed(live, live_r, now_ms);
    return r;
}

/* The live tier, then the disk tier if there is a JOB for it (else NULL). 0 or a negative errno. */
static int settle(struct tiers *tiers, const struct disk_job *job, int64_t now_ms)
{
    const struct numbers *numbers = &tiers->stock.numbers;
    const struct place *live = &tiers->stock.live;
    bool live_due = numbers->committed_below != numbers->next_seq || live->released.n > 0 ||
                    stock_unsaved_ledger(&tiers->stock, live) || numbers->live_state_stale;
    tiers->now_ms = now_ms;
    if (live_due) {
        int r = try_live(tiers, now_ms);
        if (r == 0)
            bound_live(tiers);
        else
            r = commit_around_live(tiers, r, now_ms);
        tiers->commit_error = r;
        if (r < 0)
            return r; /* the ledger may speak of messages that are only in memory */
    }
    return job ? change_disk(tiers, job, now_ms) : 0;
}

int tiers_commit(struct tiers *tiers, int64_t now_ms)
{
    return settle(tiers, NULL, now_ms);
}

void tiers_reserve(struct tiers *tiers, int64_t now_ms, int64_t wall_ms)
{
    struct numbers *numbers = &tiers->stock.numbers;
    const struct disk_job job = {.durable = true};
    tiers->stock.wall_ms = wall_ms;
    if (numbers->next_seq < numbers->reserved_below)
        return;
    if (place_may_try(&tiers->stock.disk, now_ms) && settle(tiers, &job, now_ms) == 0)
        return;
    /*
     * Numbers that the disk does not know of could be used again after a power cut. A stream that
     * the disk does not know of cannot: the rest goes out under a new one.
     */
    memcpy(numbers->previous_stream, numbers->stream, sizeof(numbers->stream));
    start_new_stream(numbers->stream);
    numbers->reserved_below = SEQ_LIMIT;
    numbers->live_state_stale = true;
}

uint64_t tiers_take_number(struct tiers *tiers)
{
    return tiers->stock.numbers.next_seq++;
}

static bool live_has_messages(const struct tiers *tiers)
{
    const struct tier *live = tiers->stock.live.tier;
    return !tiers->stock.numbers.live_stale && live && live->messages > 0;
}

/* What is due on disk; false for nothing. */
static bool find_job(const struct tiers *tiers, bool link_up, uint64_t spill_below, bool routine,
                     struct disk_job *ret_job)
{
    const struct numbers *numbers = &tiers->stock.numbers;
    struct disk_job job = {.move_below = link_up ? spill_below : 0};
    if (!link_up && routine && live_has_messages(tiers))
        job.move_below = numbers->committed_below;
    bool reserve = numbers->reserved_below != SEQ_LIMIT && disk_change_reserve_is_low(numbers);
    job.durable = job.move_below > 0 || reserve || (routine && numbers->disk_unsynced);
    *ret_job = job;
    return job.durable ||
           (routine && (tiers->stock.disk.released.n > 0 || tiers->stock.disk.error));
}

void tiers_shrink(struct tiers *tiers, int64_t now_ms)
{
    struct tier *both[] = {tiers->stock.live.tier, tiers->stock.disk.tier};
    if (now_ms < tiers->shrink_at_ms)
        return;
    tiers->shrink_at_ms = now_ms + SHRINK_MS;
    for (size_t i = 0; i < ARRAY_LENGTH(both); i++) {
        if (both[i])
            both[i]->class->shrink(both[i]);
    }
}

void tiers_work(struct tiers *tiers, bool link_up, uint64_t spill_below, int64_t now_ms)
{
    struct disk_job job;
    bool routine = now_ms >= tiers->sync_at_ms;
    if (find_job(tiers, link_up, spill_below, routine, &job) &&
        place_may_try(&tiers->stock.disk, now_ms)) {
        (void)settle(tiers, &job, now_ms);
        (void)settle(tiers, NULL, now_ms); /* the live tier lets go of what has moved */
        tiers->sync_at_ms = now_ms + tiers->sync_ms;
    }
}

int64_t tiers_next_due(const struct tiers *tiers, bool link_up, int64_t spill_at_ms,
                       int64_t pause_ms, int64_t now_ms)
{
    int64_t due_ms = now_ms + pause_ms;
    if (link_up)
        due_ms = min_i64(due_ms, spill_at_ms);
    else if (live_has_messages(tiers))
        due_ms = min_i64(due_ms, tiers->sync_at_ms);
    bool waits = tiers->stock.disk.error && due_ms < tiers->stock.disk.retry_at_ms;
    return due_ms <= now_ms || waits ? now_ms + pause_ms : due_ms;
}

/* --- the link -------------------------------------------------------------------------------- */

void tiers_link_down(struct tiers *tiers, uint64_t first, int64_t now_ms)
{
    struct numbers *numbers = &tiers->stock.numbers;
    numbers->disk_misses_history |= first < numbers->boundary;
    loss_ledger_outage_begins(tiers->stock.ledger, first);
    tiers->sync_at_ms = now_ms + tiers->sync_ms;
}

/*
 * The disk has to know which of its messages are historical before they go out as such. It learns
 * that with the messages it takes over; only for those it had before the outage there is a write.
 */
void tiers_link_up(struct tiers *tiers, int64_t now_ms)
{
    const struct numbers *numbers = &tiers->stock.numbers;
    const struct disk_job job = {.durable = true};
    loss_ledger_outage_ends(tiers->stock.ledger, numbers->next_seq);
    if (!tiers->stock.disk.tier || tiers->stock.disk.tier->messages == 0)
        loss_ledger_forget_below(tiers->stock.ledger, tiers_first_live(tiers, numbers->boundary,
                                                                       numbers->committed_below));
    (void)settle(tiers, NULL, now_ms);
    if (numbers->disk_misses_history)
        (void)settle(tiers, &job, now_ms);
}

/* --- reading and releasing ------------------------------------------------------------------- */

struct reading {
    struct tiers *tiers;
    const struct place *place;
    tier_visit *visit;
    void *context;
    bool any;
};

static bool is_sound(const struct stored_message *message)
{
    return message->body && message->topic_length <= TEXT_MAX_BYTES &&
           !memchr(message->topic, '\0', message->topic_length) &&
           strlen(message->facts.owner) <= TEXT_MAX_BYTES;
}

static bool read_one(void *context, const struct stored_message *message)
{
    struct reading *reading = context;
    if (seq_set_contains(&reading->place->released, message->seq))
        return true;
    if (!is_sound(message)) {
        note_damaged(reading->tiers, message->seq);
        return true;
    }
    reading->any = true;
    return reading->visit(reading->context, message);
}

static void read_place(struct reading *reading, struct place *place, uint64_t from, uint64_t below)
{
    struct tiers *tiers = reading->tiers;
    reading->place = place;
    if (!place->tier || from >= below)
        return;
    int r = place->tier->class->read(place->tier, from, below, read_one, reading);
    if (r == -EBADMSG)
        replace_damaged(tiers, place, tiers->now_ms);
    else if (r < 0)
        (void)place_failed(place, r, tiers->now_ms);
}

void tiers_read(struct tiers *tiers, uint64_t from, uint64_t below, tier_visit *visit,
                void *context)
{
    struct reading reading = {.tiers = tiers, .visit = visit, .context = context};
    uint64_t boundary = tiers->stock.numbers.boundary;
    read_place(&reading, &tiers->stock.disk, from, min_u64(below, boundary));
    if (!reading.any)
        read_place(&reading, &tiers->stock.live, max_u64(from, boundary), below);
}

void tiers_release(struct tiers *tiers, uint64_t seq)
{
    const struct disk_job job = {.durable = false};
    struct place *place = place_of(tiers, seq);
    bool on_disk = place == &tiers->stock.disk;
    if (tiers->stock.ledger->gaps.n)
        loss_ledger_report_arrived(tiers->stock.ledger, seq);
    if (seq_set_add(&place->released, seq))
        return;
    (void)settle(tiers, on_disk ? &job : NULL, tiers->now_ms);
    release_anyway(place_of(tiers, seq), seq); /* the oldest that finds no room is sent again */
}

/* --- figures --------------------------------------------------------------------------------- */

static void describe_problem(const struct tiers *tiers, char *text, size_t size)
{
    const struct place *live = &tiers->stock.live, *disk = &tiers->stock.disk;
    text[0] = '\0';
    if (disk->error)
        (void)snprintf(text, size, "%s: %s; messages are kept in memory", disk->path,
                       place_problem(disk));
    else if (live->error)
        (void)snprintf(text, size, "%s: %s; messages are written to disk at once", live->path,
                       place_problem(live));
    else if (tiers->damage[0])
        (void)snprintf(text, size, "%s", tiers->damage);
}

void tiers_get_figures(const struct tiers *tiers, struct tiers_figures *ret_figures)
{
    const struct stock *stock = &tiers->stock;
    const struct place *live = &stock->live, *disk = &stock->disk;
    struct tiers_figures figures = {
        .live_messages = stock_messages(live) + stock_pending(stock),
        .disk_messages = stock_messages(disk),
        .bytes = stock_bytes(live) + stock_bytes(disk),
        .released =
            tiers->released + seq_set_count(&live->released) + seq_set_count(&disk->released),
        .disk_bytes_written = tiers->disk_bytes_written,
        .oldest_wall_ms = stock_oldest_wall_ms(stock),
    };
    describe_problem(tiers, figures.problem, sizeof(figures.problem));
    *ret_figures = figures;
}

/* --- start and stop -------------------------------------------------------------------------- */

/* Makes what was found true in both tiers. A tier that fails now is tried again later. */
static void begin(struct tiers *tiers)
{
    const struct numbers *numbers = &tiers->stock.numbers;
    const struct disk_job job = {.durable = true};
    bool disk_due = numbers->live_stale;
    if (tiers->stock.disk.tier)
        disk_due |= numbers->reserved_below == SEQ_LIMIT || disk_change_reserve_is_low(numbers);
    loss_ledger_outage_begins(tiers->stock.ledger, numbers->next_seq);
    if (disk_due)
        (void)settle(tiers, &job, 0);
    (void)settle(tiers, NULL, 0);
}

static struct tiers *tiers_free(struct tiers *tiers)
{
    place_free(&tiers->stock.live);
    place_free(&tiers->stock.disk);
    loss_ledger_free(&tiers->undo);
    free(tiers);
    return NULL;
}

int tiers_open(const struct tiers_settings *settings, const struct message_queue *memory,
               struct loss_ledger *ledger, int64_t wall_ms, struct strbuf *warning,
               struct tiers **ret_tiers)
{
    struct tiers *tiers = memory_zeroed(1, sizeof(*tiers));
    struct stock *stock = &tiers->stock;
    place_init(&stock->live, &store_live, settings->runtime_dir);
    place_init(&stock->disk, &store_disk, settings->state_dir);
    stock->ledger = ledger;
    stock->memory = memory;
    stock->max_bytes = settings->max_bytes;
    stock->wall_ms = wall_ms;
    tiers->sync_ms = settings->sync_ms;
    tiers->sync_at_ms = INT64_MIN;
    int r = start_open(stock, settings->state_dir, settings->runtime_dir, warning);
    if (r < 0) {
        (void)tiers_free(tiers);
        return r;
    }
    begin(tiers);
    *ret_tiers = tiers;
    return 0;
}

struct tiers *tiers_close(struct tiers *tiers)
{
    if (!tiers)
        return NULL;
    const struct disk_job job = {.move_below = tiers->stock.numbers.committed_below,
                                 .with_pending = true,
                                 .durable = true,
                                 .clean = true};
    if (change_disk(tiers, &job, tiers->now_ms) == 0)
        (void)settle(tiers, NULL, tiers->now_ms);
    return tiers_free(tiers);
}
