/*
 * The two tiers together: one transaction of the live tier in every pass of the main loop, one of
 * the disk tier when something is due there, and how a tier that fails is bypassed.
 */
#include "agent/outbox/tiers.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/outbox/disk_tier.h"
#include "agent/outbox/live_tier.h"
#include "agent/outbox/start.h"
#include "agent/outbox/text_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHRINK_MS 10000 /* how often an empty tier is looked at */
/* How long messages wait for a reservation of their numbers before a new stream begins. */
#define RESERVATION_PATIENCE_MS 60000

struct tiers {
    struct custody custody;
    int commit_error; /* of the last commit */
    int64_t sync_ms;
    int64_t shrink_at_ms;
    int64_t now_ms;        /* as the last caller gave it */
    int64_t unreserved_ms; /* since when messages wait for a reservation; INT64_MAX: none */
};

struct tiers_state tiers_state(const struct tiers *tiers)
{
    const struct custody *custody = &tiers->custody;
    uint64_t needed = custody->ledger->historical_version;
    return (struct tiers_state){.numbers = &custody->numbers,
                                .history_saved = custody->live->ledger_version >= needed ||
                                                 custody->disk->ledger_version >= needed,
                                .commit_error = tiers->commit_error,
                                .now_ms = tiers->now_ms,
                                .dropped = custody->dropped,
                                .dropped_below = custody->dropped_below};
}

uint64_t tiers_first_live(const struct tiers *tiers, uint64_t from, uint64_t limit)
{
    return tier_first(tiers->custody.live, from, limit);
}

/* --- writing --------------------------------------------------------------------------------- */

/* The live tier does not work: into the disk tier, safe from a kill at once. */
static int commit_around_live(struct tiers *tiers, int live_r, int64_t now_ms)
{
    struct tier *live = tiers->custody.live, *disk = tiers->custody.disk;
    const struct tier_job job = {.move_below = tiers->custody.numbers.committed_below,
                                 .with_pending = true};
    int r = disk->class->commit(disk, &job, now_ms);
    if (r == 0)
        live->class->renew(live, now_ms);
    else
        live->class->fail(live, live_r, now_ms);
    return r;
}

/* The live tier, then the disk tier if there is a JOB for it (else NULL). 0 or a negative errno. */
static int tiers_settle(struct tiers *tiers, const struct tier_job *job, int64_t now_ms)
{
    struct tier *live = tiers->custody.live, *disk = tiers->custody.disk;
    tiers->now_ms = now_ms;
    int r = live->class->commit(live, NULL, now_ms);
    if (r < 0)
        r = commit_around_live(tiers, r, now_ms);
    tiers->commit_error = r;
    /* The ledger may speak of messages that are only in memory: the disk must not be ahead. */
    return r < 0 || !job ? r : disk->class->commit(disk, job, now_ms);
}

static bool may_try(const struct tier *tier, int64_t now_ms)
{
    return tier->error == 0 || now_ms >= tier->retry_at_ms;
}

static struct tier_figures figures_of(const struct tier *tier)
{
    struct tier_figures figures;
    tier->class->figures(tier, &figures);
    return figures;
}

static void describe_problem(const struct custody *custody, char *text, size_t size)
{
    const struct tier_figures live = figures_of(custody->live), disk = figures_of(custody->disk);
    text[0] = '\0';
    if (disk.problem)
        (void)snprintf(text, size, "%s: %s; messages are kept in memory", disk.path, disk.problem);
    else if (live.problem)
        (void)snprintf(text, size, "%s: %s; messages are written to disk at once", live.path,
                       live.problem);
    else if (disk.reading || live.reading)
        (void)snprintf(text, size, "%s: %s; it is read again later",
                       disk.reading ? disk.path : live.path,
                       disk.reading ? disk.reading : live.reading);
    else if (custody->damage[0])
        (void)snprintf(text, size, "%s", custody->damage);
}

/* What was due on disk by promise is there (R is 0), or not. */
static void note_promise(struct custody *custody, int r)
{
    struct unsafe *unsafe = &custody->unsafe;
    if (r == 0) {
        unsafe->since_ms = 0;
        unsafe->reason[0] = '\0';
        return;
    }
    if (unsafe->since_ms == 0)
        unsafe->since_ms = custody->wall_ms > 0 ? custody->wall_ms : 1;
    if (unsafe->reason[0] == '\0')
        describe_problem(custody, unsafe->reason, sizeof(unsafe->reason));
}

/* Does JOB on disk, or notes that it would have been due. */
static void do_job(struct tiers *tiers, const struct tier_job *job, bool moves_what_is_due,
                   int64_t now_ms)
{
    struct tier *disk = tiers->custody.disk;
    bool tried = may_try(disk, now_ms);
    int r = tried ? tiers_settle(tiers, job, now_ms) : disk->error;
    if (!tried && r == -ENOSPC)
        disk_tier_reserve(disk, now_ms);
    if (job->durable && (r < 0 || moves_what_is_due))
        note_promise(&tiers->custody, r);
}

int tiers_commit(struct tiers *tiers, bool on_disk, int64_t now_ms)
{
    int r = tiers_settle(tiers, NULL, now_ms);
    if (r < 0 || !on_disk)
        return r;
    const struct tier_job job = {.move_below = tiers->custody.numbers.committed_below,
                                 .durable = true};
    do_job(tiers, &job, true, now_ms);
    return tiers_settle(tiers, NULL, now_ms);
}

void tiers_reserve(struct tiers *tiers, int64_t now_ms, int64_t wall_ms)
{
    const struct numbers *numbers = &tiers->custody.numbers;
    const struct tier_job job = {.durable = true};
    tiers->custody.wall_ms = wall_ms;
    if (numbers->next_seq >= numbers->reserved_below)
        do_job(tiers, &job, false, now_ms);
}

/*
 * Numbers that the disk does not know of could be used again after a power cut, so their messages
 * wait. A stream that the disk does not know of cannot: when it takes too long, the rest goes out
 * under a new one.
 */
static void end_wait_for_reservation(struct tiers *tiers, bool link_up, int64_t now_ms)
{
    struct numbers *numbers = &tiers->custody.numbers;
    if (!link_up || numbers->committed_below <= numbers->reserved_below) {
        tiers->unreserved_ms = INT64_MAX;
        return;
    }
    tiers->unreserved_ms = min_i64(tiers->unreserved_ms, now_ms);
    if (now_ms - tiers->unreserved_ms < RESERVATION_PATIENCE_MS)
        return;
    memcpy(numbers->previous_stream, numbers->stream, sizeof(numbers->stream));
    start_new_stream(numbers->stream);
    numbers->reserved_below = SEQ_LIMIT;
    numbers->live_state_stale = true;
    (void)tiers_settle(tiers, NULL, now_ms);
}

uint64_t tiers_take_number(struct tiers *tiers)
{
    return tiers->custody.numbers.next_seq++;
}

static bool live_has_messages(const struct tiers *tiers)
{
    return !tiers->custody.numbers.live_stale && figures_of(tiers->custody.live).messages > 0;
}

/* What is due on disk; false for nothing. */
static bool find_job(const struct tiers *tiers, bool link_up, uint64_t spill_below, bool routine,
                     struct tier_job *ret_job)
{
    const struct numbers *numbers = &tiers->custody.numbers;
    uint64_t reserved_below = numbers->reserved_below;
    struct tier_job job = {.move_below = link_up ? spill_below : 0};
    if (!link_up && routine && live_has_messages(tiers))
        job.move_below = numbers->committed_below;
    bool reserve = reserved_below != SEQ_LIMIT &&
                   (disk_tier_reserve_is_low(&tiers->custody) ||
                    reservation_is_wide(&tiers->custody.reservation, numbers->next_seq,
                                        reserved_below, tiers->now_ms));
    job.durable = job.move_below > 0 || reserve || (routine && numbers->disk_unsynced);
    *ret_job = job;
    const struct tier *disk = tiers->custody.disk;
    return job.durable || (routine && (disk->error || figures_of(disk).released > 0));
}

void tiers_shrink(struct tiers *tiers, int64_t now_ms)
{
    struct tier *live = tiers->custody.live, *disk = tiers->custody.disk;
    if (now_ms < tiers->shrink_at_ms)
        return;
    tiers->shrink_at_ms = now_ms + SHRINK_MS;
    live->class->shrink(live);
    disk->class->shrink(disk);
}

void tiers_work(struct tiers *tiers, bool link_up, uint64_t spill_below, int64_t now_ms)
{
    struct tier_job job;
    bool routine = now_ms >= tiers->custody.sync_at_ms;
    if (find_job(tiers, link_up, spill_below, routine, &job)) {
        bool tried = may_try(tiers->custody.disk, now_ms);
        job.durable |= tiers->custody.unsafe.since_ms != 0; /* so that it is known to be over */
        do_job(tiers, &job, true, now_ms);
        if (tried) {
            (void)tiers_settle(tiers, NULL, now_ms); /* the live tier removes what has moved */
            tiers->custody.sync_at_ms = now_ms + tiers->sync_ms;
        }
    }
    end_wait_for_reservation(tiers, link_up, now_ms);
}

int64_t tiers_next_due(const struct tiers *tiers, bool link_up, int64_t spill_at_ms,
                       int64_t pause_ms, int64_t now_ms)
{
    int64_t due_ms = now_ms + pause_ms;
    if (link_up)
        due_ms = min_i64(due_ms, spill_at_ms);
    else if (live_has_messages(tiers))
        due_ms = min_i64(due_ms, tiers->custody.sync_at_ms);
    bool waits = tiers->custody.disk->error && due_ms < tiers->custody.disk->retry_at_ms;
    return due_ms <= now_ms || waits ? now_ms + pause_ms : due_ms;
}

/* --- the link -------------------------------------------------------------------------------- */

void tiers_link_down(struct tiers *tiers, uint64_t first, int64_t now_ms)
{
    struct numbers *numbers = &tiers->custody.numbers;
    numbers->disk_misses_history |= first < numbers->boundary;
    loss_ledger_outage_begins(tiers->custody.ledger, first);
    tiers->custody.sync_at_ms = now_ms + tiers->sync_ms;
}

/*
 * The disk has to know which of its messages are historical before they go out as such. It learns
 * that with the messages it takes over; only for those it had before the outage there is a write.
 */
void tiers_link_up(struct tiers *tiers, int64_t now_ms)
{
    const struct numbers *numbers = &tiers->custody.numbers;
    const struct tier_job job = {.durable = true};
    loss_ledger_outage_ends(tiers->custody.ledger, numbers->next_seq);
    if (figures_of(tiers->custody.disk).messages == 0)
        loss_ledger_forget_below(tiers->custody.ledger, tiers_first_live(tiers, numbers->boundary,
                                                                         numbers->committed_below));
    (void)tiers_settle(tiers, NULL, now_ms);
    if (numbers->disk_misses_history)
        (void)tiers_settle(tiers, &job, now_ms);
}

/* --- reading and releasing ------------------------------------------------------------------- */

/* The tier of a committed message. */
static struct tier *tier_of(const struct tiers *tiers, uint64_t seq)
{
    const struct custody *custody = &tiers->custody;
    return seq < custody->numbers.boundary ? custody->disk : custody->live;
}

/* A message whose acknowledgement finds no room is found again after the next start. */
static void release_anyway(struct tiers *tiers, uint64_t seq)
{
    struct tier *tier = tier_of(tiers, seq);
    if (tier->class->release(tier, seq))
        return;
    tier->class->forget_released(tier, false);
    (void)tier->class->release(tier, seq);
}

void tiers_release(struct tiers *tiers, uint64_t seq)
{
    const struct tier_job job = {.durable = false};
    struct tier *tier = tier_of(tiers, seq);
    loss_ledger_arrived(tiers->custody.ledger, seq);
    run_list_remove(&tier->held, seq, seq);
    if (tier->class->release(tier, seq))
        return;
    (void)tiers_settle(tiers, tier == tiers->custody.disk ? &job : NULL, tiers->now_ms);
    release_anyway(tiers, seq);
}

struct tiers_reading {
    struct tiers *tiers;
    const struct tier *tier;
    store_visit *visit;
    void *context;
    bool any;
};

static bool tiers_is_sound(const struct stored_message *message)
{
    return message->body && message->topic_length <= TEXT_MAX_BYTES &&
           !memchr(message->topic, '\0', message->topic_length) &&
           strlen(message->facts.owner) <= TEXT_MAX_BYTES;
}

/* A stored message is unreadable: it will never arrive. */
static void note_damaged(struct tiers *tiers, uint64_t seq)
{
    struct tier *tier = tier_of(tiers, seq);
    if (run_list_first(&tier->held, seq, seq + 1) == seq) {
        loss_ledger_add_gap(tiers->custody.ledger, SPAN_DAMAGED, seq, seq, 0, 0);
        tiers->custody.dropped++;
    }
    run_list_remove(&tier->held, seq, seq);
    release_anyway(tiers, seq);
}

static bool tiers_read_one(void *context, const struct stored_message *message)
{
    struct tiers_reading *reading = context;
    if (reading->tier->class->is_released(reading->tier, message->seq))
        return true;
    if (!tiers_is_sound(message)) {
        note_damaged(reading->tiers, message->seq);
        return true;
    }
    reading->any = true;
    return reading->visit(reading->context, message);
}

static int read_tier(struct tiers_reading *reading, struct tier *tier, uint64_t from,
                     uint64_t below)
{
    int64_t now_ms = reading->tiers->now_ms;
    if (tier->read_error && now_ms < tier->read_at_ms)
        return tier->read_error;
    reading->tier = tier;
    int r = tier->class->read(tier, from, below, tiers_read_one, reading);
    if (r < 0 || tier->read_error)
        tier->class->note_read(tier, r, now_ms);
    return r;
}

int tiers_read(struct tiers *tiers, uint64_t from, uint64_t below, store_visit *visit,
               void *context)
{
    const struct custody *custody = &tiers->custody;
    struct tiers_reading reading = {.tiers = tiers, .visit = visit, .context = context};
    uint64_t boundary = custody->numbers.boundary;
    int r = read_tier(&reading, custody->disk, from, min_u64(below, boundary));
    if (r == 0 && !reading.any)
        r = read_tier(&reading, custody->live, max_u64(from, boundary), below);
    return r;
}

/* --- figures --------------------------------------------------------------------------------- */

static bool note_wall(void *context, const struct stored_message *message)
{
    *(int64_t *)context = message->wall_ms;
    return false;
}

static int64_t oldest_wall_ms(const struct custody *custody)
{
    int64_t wall_ms = 0;
    uint64_t boundary = custody->numbers.boundary;
    (void)custody->disk->class->read(custody->disk, 0, boundary, note_wall, &wall_ms);
    if (wall_ms == 0)
        (void)custody->live->class->read(custody->live, boundary, SEQ_LIMIT, note_wall, &wall_ms);
    if (wall_ms == 0 && message_queue_count(custody->memory))
        wall_ms = message_queue_at(custody->memory, 0).wall_ms;
    return wall_ms;
}

/* Messages that are only in memory. */
static uint64_t pending_count(const struct custody *custody)
{
    size_t count = message_queue_count(custody->memory), at = count;
    uint64_t committed_below = custody->numbers.committed_below;
    while (at > 0 && message_queue_seq(custody->memory, at - 1, SEQ_LIMIT) >= committed_below)
        at--;
    return count - at;
}

static uint64_t kept(const struct tier_figures *figures)
{
    return figures->messages - min_u64(figures->released, figures->messages);
}

void tiers_get_figures(const struct tiers *tiers, struct tiers_figures *ret_figures)
{
    const struct custody *custody = &tiers->custody;
    const struct tier_figures live = figures_of(custody->live), disk = figures_of(custody->disk);
    *ret_figures = (struct tiers_figures){
        .live_messages = kept(&live) + pending_count(custody),
        .disk_messages = kept(&disk),
        .bytes =
            custody->live->class->bytes(custody->live) + custody->disk->class->bytes(custody->disk),
        .released = custody->released + live.released + disk.released,
        .disk_bytes_written = custody->disk_bytes_written,
        .oldest_wall_ms = oldest_wall_ms(custody),
        .unsafe_since_ms = custody->unsafe.since_ms,
    };
    memcpy(ret_figures->unsafe_reason, custody->unsafe.reason, sizeof(custody->unsafe.reason));
    describe_problem(custody, ret_figures->problem, sizeof(ret_figures->problem));
}

/* --- start and stop -------------------------------------------------------------------------- */

/* Makes what was found true in both tiers. A tier that fails now is tried again later. */
static void tiers_begin(struct tiers *tiers)
{
    const struct numbers *numbers = &tiers->custody.numbers;
    const struct tier_job job = {.durable = true};
    const struct reservation *reservation = &tiers->custody.reservation;
    bool disk_due = numbers->live_stale;
    if (figures_of(tiers->custody.disk).open)
        disk_due |= disk_tier_reserve_is_low(&tiers->custody) ||
                    reservation_is_wide(reservation, numbers->next_seq, numbers->reserved_below, 0);
    loss_ledger_outage_begins(tiers->custody.ledger, numbers->next_seq);
    if (disk_due)
        (void)tiers_settle(tiers, &job, 0);
    (void)tiers_settle(tiers, NULL, 0);
}

static struct tiers *tiers_free(struct tiers *tiers)
{
    struct custody *custody = &tiers->custody;
    custody->live->class->close(custody->live);
    custody->disk->class->close(custody->disk);
    loss_ledger_free(&custody->undo);
    run_list_free(&custody->moved);
    free(tiers);
    return NULL;
}

int tiers_open(const struct tiers_settings *settings, const struct message_queue *memory,
               struct loss_ledger *ledger, int64_t wall_ms, struct strbuf *warning,
               struct tiers **ret_tiers)
{
    struct tiers *tiers = memory_zeroed(1, sizeof(*tiers));
    struct custody *custody = &tiers->custody;
    tiers->sync_ms = settings->sync_ms;
    custody->ledger = ledger;
    custody->memory = memory;
    custody->max_bytes = settings->max_bytes;
    custody->wall_ms = wall_ms;
    custody->sync_at_ms = INT64_MIN;
    tiers->unreserved_ms = INT64_MAX;
    custody->live = live_tier_new(custody, settings->runtime_dir);
    custody->disk = disk_tier_new(custody, settings->state_dir);
    int r = start_open(custody, settings->state_dir, settings->runtime_dir, warning);
    if (r < 0) {
        (void)tiers_free(tiers);
        return r;
    }
    reservation_init(&custody->reservation,
                     RESERVATION_WINDOWS * (settings->spill_after_ms + settings->sync_ms),
                     custody->numbers.next_seq);
    tiers_begin(tiers);
    *ret_tiers = tiers;
    return 0;
}

struct tiers *tiers_close(struct tiers *tiers)
{
    if (!tiers)
        return NULL;
    struct tier *disk = tiers->custody.disk;
    const struct tier_job job = {.move_below = tiers->custody.numbers.committed_below,
                                 .with_pending = true,
                                 .durable = true,
                                 .clean = true};
    if (disk->class->commit(disk, &job, tiers->now_ms) == 0)
        (void)tiers_settle(tiers, NULL, tiers->now_ms);
    return tiers_free(tiers);
}
