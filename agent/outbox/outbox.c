/*
 * Custody of encoded messages: taking, handing out in two lanes, releasing, and what is due when.
 * The main loop's only store. The tiers it keeps them in are the business of outbox_live.c and
 * outbox_disk.c; outbox_private.h says what holds between the two.
 */
#include "agent/outbox/outbox.h"

#include "agent/base/min_max.h"
#include "agent/outbox/outbox_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define WATCH_MS 1000   /* longest time between two ticks */
#define SHRINK_MS 10000 /* how often an empty store is looked at */

const char *outbox_stream(const struct outbox *outbox)
{
    return outbox->stream;
}

/* --- taking ---------------------------------------------------------------------------------- */

static bool recent_exceeds(const struct outbox *outbox, size_t more, size_t count, size_t bytes)
{
    return message_queue_count(&outbox->recent) >= count ||
           message_queue_bytes(&outbox->recent) + more > bytes;
}

/* Makes room in memory for one more body; what is committed can be read back from its tier. */
static bool make_room(struct outbox *outbox, size_t length, int64_t now_ms)
{
    if (!recent_exceeds(outbox, length, RECENT_COUNT, RECENT_BYTES))
        return true;
    message_queue_drop_below(&outbox->recent, outbox->committed_below);
    if (!recent_exceeds(outbox, length, RECENT_COUNT, RECENT_BYTES))
        return true;
    (void)tiers_commit(outbox, now_ms);
    message_queue_drop_below(&outbox->recent, outbox->committed_below);
    return !recent_exceeds(outbox, length, PENDING_COUNT, PENDING_BYTES);
}

/* A message that cannot be taken has its number all the same, so that its loss can be proved. */
static uint64_t refuse(struct outbox *outbox, enum span_kind why, int64_t wall_ms)
{
    uint64_t seq = outbox->next_seq++;
    loss_ledger_add_gap(&outbox->ledger, why, seq, seq, wall_ms, wall_ms);
    outbox->dropped++;
    return 0;
}

uint64_t outbox_take(struct outbox *outbox, const char *topic, const struct outbox_facts *facts,
                     const void *body, size_t body_length, int64_t now_ms, int64_t wall_ms)
{
    outbox->wall_ms = wall_ms;
    tiers_reserve(outbox, now_ms);
    if (body_length > OUTBOX_BODY_MAX_BYTES)
        return refuse(outbox, SPAN_TOO_LARGE, wall_ms);
    if (!make_room(outbox, body_length, now_ms))
        return refuse(outbox, SPAN_FULL, wall_ms);
    if (outbox->committed_below == outbox->next_seq)
        outbox->taken_at_ms = now_ms;
    const struct queued_message message = {
        .seq = outbox->next_seq,
        .wall_ms = wall_ms,
        .timestamp_ms = facts->timestamp_ms,
        .kind = facts->kind,
        .topic = topic_ids_number(&outbox->topics, topic, strlen(topic)),
        .owner = topic_ids_number(&outbox->topics, facts->owner, strlen(facts->owner)),
        .body_length = (uint32_t)body_length};
    message_queue_add(&outbox->recent, &message, body);
    outbox->taken++;
    outbox->rate.since += tiers_cost(body_length);
    return outbox->next_seq++;
}

int outbox_commit(struct outbox *outbox, int64_t now_ms)
{
    return tiers_commit(outbox, now_ms);
}

/* --- handing out ----------------------------------------------------------------------------- */

struct reading {
    struct outbox *outbox;
    struct message_queue *into;
};

static bool read_one(void *context, const struct store_message *message)
{
    struct reading *reading = context;
    struct outbox *outbox = reading->outbox;
    const struct tier *tier = message->seq < outbox->boundary ? &outbox->disk : &outbox->live;
    if (seq_set_contains(&tier->released, message->seq))
        return true;
    size_t owner_length = strlen(message->facts.owner);
    bool good = message->body && message->topic_length <= TOPIC_MAX_BYTES &&
                owner_length <= TOPIC_MAX_BYTES &&
                !memchr(message->topic, '\0', message->topic_length);
    if (!good) {
        tiers_note_damaged(outbox, message);
        return true;
    }
    const struct queued_message queued = {
        .seq = message->seq,
        .wall_ms = message->wall_ms,
        .timestamp_ms = message->facts.timestamp_ms,
        .kind = message->facts.kind,
        .topic = topic_ids_number(&outbox->topics, message->topic, message->topic_length),
        .owner = topic_ids_number(&outbox->topics, message->facts.owner, owner_length),
        .body_length = (uint32_t)message->body_length};
    message_queue_add(reading->into, &queued, message->body);
    return message_queue_count(reading->into) < AHEAD_COUNT &&
           message_queue_bytes(reading->into) < RECENT_BYTES;
}

static void read_tier(struct outbox *outbox, struct tier *tier, uint64_t from, uint64_t below,
                      struct message_queue *into)
{
    struct reading reading = {outbox, into};
    if (!tier->store || from >= below)
        return;
    int r = store_read(tier->store, from, below, read_one, &reading);
    if (r == -EBADMSG)
        tiers_replace_damaged(outbox, tier, outbox->now_ms);
    else if (r < 0)
        (void)tiers_failed(tier, r, outbox->now_ms);
}

/* Reads ahead what is stored of FROM <= seq < BELOW; INTO is empty. */
static void read_ahead(struct outbox *outbox, uint64_t from, uint64_t below,
                       struct message_queue *into)
{
    message_queue_reset(into);
    read_tier(outbox, &outbox->disk, from, min_u64(below, outbox->boundary), into);
    if (message_queue_count(into) == 0)
        read_tier(outbox, &outbox->live, max_u64(from, outbox->boundary), below, into);
}

/* Which messages are historical must be in custody before one is handed out as such. */
static bool may_hand_out(const struct outbox *outbox)
{
    uint64_t needed = outbox->ledger.historical_version;
    return outbox->link_up &&
           (outbox->live.ledger_version >= needed || outbox->disk.ledger_version >= needed);
}

static void hand_out(struct outbox *outbox, struct message_queue *from,
                     struct outbox_message *ret_message)
{
    const struct queued_message *queued_message = message_queue_at(from, 0);
    *ret_message = (struct outbox_message){
        .seq = queued_message->seq,
        .topic = topic_ids_text(&outbox->topics, queued_message->topic),
        .facts = {.kind = queued_message->kind,
                  .owner = topic_ids_text(&outbox->topics, queued_message->owner),
                  .timestamp_ms = queued_message->timestamp_ms},
        .historical = loss_ledger_is_historical(&outbox->ledger, queued_message->seq),
        .wall_ms = queued_message->wall_ms,
        .body = message_queue_body(from, queued_message),
        .body_length = queued_message->body_length};
    message_queue_drop(from, 1);
}

bool outbox_next_live(struct outbox *outbox, struct outbox_message *ret_message)
{
    struct message_queue *recent = &outbox->recent, *ahead = &outbox->ahead;
    if (!may_hand_out(outbox))
        return false;
    message_queue_drop_below(recent, min_u64(outbox->live_cursor, outbox->committed_below));
    uint64_t in_memory = outbox->committed_below;
    if (message_queue_count(recent))
        in_memory = min_u64(in_memory, message_queue_at(recent, 0)->seq);
    if (message_queue_count(ahead) == 0 && outbox->live_cursor < in_memory) {
        read_ahead(outbox, outbox->live_cursor, in_memory, ahead);
        if (message_queue_count(ahead) == 0)
            outbox->live_cursor = in_memory;
    }
    struct message_queue *from = message_queue_count(ahead) ? ahead : recent;
    if (message_queue_count(from) == 0 || message_queue_at(from, 0)->seq >= outbox->committed_below)
        return false;
    hand_out(outbox, from, ret_message);
    outbox->live_cursor = ret_message->seq + 1;
    return true;
}

bool outbox_next_backlog(struct outbox *outbox, struct outbox_message *ret_message)
{
    struct message_queue *backlog = &outbox->backlog;
    if (!may_hand_out(outbox) || outbox->backlog_done)
        return false;
    if (message_queue_count(backlog) == 0) {
        uint64_t below = min_u64(outbox->lane_start, outbox->committed_below);
        read_ahead(outbox, outbox->backlog_cursor, below, backlog);
        outbox->backlog_done =
            message_queue_count(backlog) == 0 && outbox->committed_below >= outbox->lane_start;
        if (message_queue_count(backlog) == 0)
            return false;
    }
    hand_out(outbox, backlog, ret_message);
    outbox->backlog_cursor = ret_message->seq + 1;
    return true;
}

void outbox_release(struct outbox *outbox, uint64_t seq)
{
    if (seq == 0 || seq >= outbox->committed_below)
        return;
    if (outbox->ledger.gaps.n)
        loss_ledger_report_arrived(&outbox->ledger, seq);
    struct tier *tier = seq < outbox->boundary ? &outbox->disk : &outbox->live;
    if (seq_set_add(&tier->released, seq))
        return;
    if (tier == &outbox->live)
        (void)tiers_commit(outbox, outbox->now_ms);
    else
        (void)tiers_work_on_disk(outbox, &(struct disk_job){.durable = false}, outbox->now_ms);
    if (!seq_set_add(&tier->released, seq)) { /* the tier takes nothing: it may be sent once more */
        seq_set_remove_oldest(&tier->released);
        (void)seq_set_add(&tier->released, seq);
    }
}

/* --- the link -------------------------------------------------------------------------------- */

/* What was never handed out while the link was up is historical from now on. */
static void link_down(struct outbox *outbox, int64_t now_ms)
{
    uint64_t first = max_u64(outbox->lane_start, outbox->live_cursor);
    outbox->link_up = false;
    outbox->disk_misses_history |= first < outbox->boundary;
    loss_ledger_outage_begins(&outbox->ledger, first);
    outbox->sync_at_ms = now_ms + outbox->sync_ms;
}

/*
 * The disk has to know which of its messages are historical before they go out as such. It learns
 * that with the messages it takes over; only for those it had before the outage there is a write.
 */
static void tell_disk(struct outbox *outbox, int64_t now_ms)
{
    if (outbox->disk_misses_history)
        (void)tiers_work_on_disk(outbox, &(struct disk_job){.durable = true}, now_ms);
}

static void link_up(struct outbox *outbox, int64_t now_ms)
{
    outbox->link_up = true;
    outbox->lane_start = outbox->live_cursor = outbox->next_seq;
    outbox->backlog_cursor = 0;
    outbox->backlog_done = false;
    message_queue_reset(&outbox->ahead);
    message_queue_reset(&outbox->backlog);
    loss_ledger_outage_ends(&outbox->ledger, outbox->next_seq);
    if (!outbox->disk.store || store_messages(outbox->disk.store) == 0)
        loss_ledger_forget_below(
            &outbox->ledger, tiers_lowest_live(outbox, outbox->boundary, outbox->committed_below));
    (void)tiers_commit(outbox, now_ms);
    tell_disk(outbox, now_ms);
}

void outbox_link(struct outbox *outbox, bool up, int64_t now_ms)
{
    outbox->now_ms = now_ms;
    if (outbox->link_up)
        link_down(outbox, now_ms);
    if (up)
        link_up(outbox, now_ms);
    else
        (void)tiers_commit(outbox, now_ms);
}

/* --- what is due ----------------------------------------------------------------------------- */

/* Forgets the marks whose messages are on disk or acknowledged. */
static void drop_marks(struct outbox *outbox, int64_t now_ms)
{
    size_t gone = 0;
    while (gone < outbox->n_marks) {
        const struct mark *mark = &outbox->marks[gone];
        bool settled = mark->below <= outbox->boundary;
        if (!settled && now_ms - mark->time_ms >= outbox->spill_after_ms)
            settled = tiers_lowest_live(outbox, outbox->boundary, mark->below) == mark->below;
        if (!settled)
            break;
        gone++;
    }
    outbox->n_marks -= gone;
    memmove(&outbox->marks[0], &outbox->marks[gone], outbox->n_marks * sizeof(outbox->marks[0]));
}

/*
 * Link up: below which number messages have to move to disk; 0: none. When the oldest is due, all
 * that is at least half as old goes with it, so that slow acknowledgements cost few transactions.
 */
static uint64_t spill_below(struct outbox *outbox, int64_t now_ms)
{
    drop_marks(outbox, now_ms);
    if (outbox->n_marks == 0 || now_ms - outbox->marks[0].time_ms < outbox->spill_after_ms)
        return 0;
    uint64_t below = 0;
    for (size_t i = 0; i < outbox->n_marks; i++) {
        if (now_ms - outbox->marks[i].time_ms >= outbox->spill_after_ms / 2)
            below = outbox->marks[i].below;
    }
    return min_u64(below, outbox->committed_below);
}

static bool live_has_messages(const struct outbox *outbox)
{
    return !outbox->live_stale && outbox->live.store && store_messages(outbox->live.store) > 0;
}

static struct disk_job find_disk_job(struct outbox *outbox, int64_t now_ms)
{
    struct disk_job job = {.durable = false};
    bool routine = now_ms >= outbox->sync_at_ms;
    if (outbox->link_up)
        job.move_below = spill_below(outbox, now_ms);
    else if (routine && live_has_messages(outbox))
        job.move_below = outbox->committed_below;
    bool reserve = outbox->reserved_below != SEQ_LIMIT &&
                   outbox->reserved_below < outbox->next_seq + RESERVE_BLOCK / 2;
    job.durable = job.move_below > 0 || reserve || (routine && outbox->disk_unsynced);
    job.due =
        job.durable || (routine && outbox->disk.released.n > 0) || (routine && outbox->disk.error);
    return job;
}

static void work(struct outbox *outbox, int64_t now_ms)
{
    const struct disk_job job = find_disk_job(outbox, now_ms);
    bool waiting = outbox->disk.error && now_ms < outbox->disk.retry_at_ms;
    if (!job.due || waiting)
        return;
    (void)tiers_work_on_disk(outbox, &job, now_ms);
    (void)tiers_commit(outbox, now_ms); /* the live tier lets go of what has moved */
    outbox->sync_at_ms = now_ms + outbox->sync_ms;
}

static int64_t smallest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Whatever is taken or acknowledged after this tick is done in time by the next one. */
static int64_t next_due(const struct outbox *outbox, int64_t now_ms)
{
    int64_t pause_ms =
        smallest(outbox->link_up ? outbox->spill_after_ms : outbox->sync_ms, WATCH_MS);
    int64_t due_ms = now_ms + pause_ms;
    if (outbox->link_up && outbox->n_marks)
        due_ms = smallest(due_ms, outbox->marks[0].time_ms + outbox->spill_after_ms);
    else if (!outbox->link_up && live_has_messages(outbox))
        due_ms = smallest(due_ms, outbox->sync_at_ms);
    bool waits = outbox->disk.error && due_ms < outbox->disk.retry_at_ms;
    if (due_ms <= now_ms || waits)
        due_ms = now_ms + pause_ms;
    return due_ms;
}

static void give_room_back(struct outbox *outbox, int64_t now_ms)
{
    if (now_ms < outbox->shrink_at_ms)
        return;
    outbox->shrink_at_ms = now_ms + SHRINK_MS;
    if (outbox->live.store)
        store_shrink(outbox->live.store);
    if (outbox->disk.store)
        store_shrink(outbox->disk.store);
}

int64_t outbox_tick(struct outbox *outbox, int64_t now_ms)
{
    outbox->now_ms = now_ms;
    figures_fold_rate(&outbox->rate, now_ms);
    if (tiers_commit(outbox, now_ms) == 0)
        work(outbox, now_ms);
    give_room_back(outbox, now_ms);
    return next_due(outbox, now_ms);
}

/* --- gaps ------------------------------------------------------------------------------------- */

bool outbox_next_gap(const struct outbox *outbox, struct outbox_gap *ret_gap)
{
    const struct span *gap = loss_ledger_next_gap(&outbox->ledger);
    if (!gap || !outbox->link_up || outbox->commit_error)
        return false; /* nobody would hear of it now: it may still grow */
    *ret_gap = (struct outbox_gap){.first = gap->first,
                                   .last = gap->last,
                                   .from_ms = gap->from_ms,
                                   .to_ms = gap->to_ms,
                                   .reason = span_kind_name(gap->kind)};
    return true;
}

void outbox_gap_reported(struct outbox *outbox)
{
    loss_ledger_gap_reported(&outbox->ledger, outbox->next_seq - 1);
}
