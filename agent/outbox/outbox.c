/*
 * Custody: the face of the outbox. The lanes (what may be handed out) and the tiers (where it is
 * kept) do not know each other; this file passes on to one what happened in the other.
 */
#include "agent/outbox/outbox.h"

#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/outbox/eviction.h"
#include "agent/outbox/fill_rate.h"
#include "agent/outbox/lanes.h"
#include "agent/outbox/run_list.h"
#include "agent/outbox/tiers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_MS 1000 /* longest time between two ticks */

struct outbox {
    struct loss_ledger ledger;
    struct lanes *lanes;
    struct tiers *tiers;
    struct fill_rate rate;
    struct run_list in_flight; /* handed out on this link and not acknowledged */
    bool has_report;           /* of a gap, taken since the last commit */
    int64_t spill_after_ms, sync_ms;
    uint64_t max_bytes;
    uint64_t taken, taken_bytes, refused; /* since the start; bytes with their overhead */
};

static struct outbox *outbox_free(struct outbox *outbox)
{
    outbox->tiers = tiers_close(outbox->tiers);
    outbox->lanes = lanes_free(outbox->lanes);
    loss_ledger_free(&outbox->ledger);
    run_list_free(&outbox->in_flight);
    free(outbox);
    return NULL;
}

int outbox_open(const struct outbox_settings *settings, int64_t wall_ms, struct strbuf *warning,
                struct outbox **ret_outbox)
{
    assert(settings->max_bytes > 0 && settings->spill_after_ms > 0 && settings->sync_ms > 0);
    const struct tiers_settings tiers = {.state_dir = settings->state_dir,
                                         .runtime_dir = settings->runtime_dir,
                                         .max_bytes = settings->max_bytes,
                                         .spill_after_ms = settings->spill_after_ms,
                                         .sync_ms = settings->sync_ms};
    struct outbox *outbox = memory_zeroed(1, sizeof(*outbox));
    outbox->max_bytes = settings->max_bytes;
    outbox->spill_after_ms = settings->spill_after_ms;
    outbox->sync_ms = settings->sync_ms;
    outbox->lanes = lanes_new(settings->spill_after_ms);
    strbuf_reset(warning);
    int r = tiers_open(&tiers, lanes_memory(outbox->lanes), &outbox->ledger, wall_ms, warning,
                       &outbox->tiers);
    if (r < 0) {
        (void)outbox_free(outbox);
        return r;
    }
    *ret_outbox = outbox;
    return 0;
}

struct outbox *outbox_close(struct outbox *outbox)
{
    if (!outbox)
        return NULL;
    outbox_link(outbox, false, tiers_state(outbox->tiers).now_ms); /* so the rest is historical */
    return outbox_free(outbox);
}

const char *outbox_stream(const struct outbox *outbox)
{
    return tiers_state(outbox->tiers).numbers->stream;
}

/* --- in -------------------------------------------------------------------------------------- */

int outbox_commit(struct outbox *outbox, int64_t now_ms)
{
    int r = tiers_commit(outbox->tiers, outbox->has_report, now_ms);
    outbox->has_report &= r < 0; /* without a disk tier it goes out nevertheless */
    lanes_follow(outbox->lanes, outbox->tiers);
    return r;
}

/* Makes room in memory for one more body. */
static bool outbox_make_room(struct outbox *outbox, size_t length, int64_t now_ms)
{
    struct lanes *lanes = outbox->lanes;
    if (lanes_find_room(lanes, outbox->tiers, length) == LANES_ROOM_FREE)
        return true;
    (void)outbox_commit(outbox, now_ms);
    return lanes_find_room(lanes, outbox->tiers, length) != LANES_ROOM_NONE;
}

uint64_t outbox_take(struct outbox *outbox, const char *topic, const struct outbox_facts *facts,
                     const void *body, size_t body_length, int64_t now_ms, int64_t wall_ms)
{
    tiers_reserve(outbox->tiers, now_ms, wall_ms);
    bool too_large = body_length > OUTBOX_BODY_MAX_BYTES;
    bool refused = too_large || !outbox_make_room(outbox, body_length, now_ms);
    const struct stored_message message = {.seq = tiers_take_number(outbox->tiers),
                                           .wall_ms = wall_ms,
                                           .topic = topic,
                                           .topic_length = strlen(topic),
                                           .facts = *facts,
                                           .body = body,
                                           .body_length = body_length};
    if (refused) { /* it gets its number nevertheless, so that its loss can be proved */
        loss_ledger_add_gap(&outbox->ledger, too_large ? SPAN_TOO_LARGE : SPAN_FULL, message.seq,
                            message.seq, wall_ms, wall_ms);
        outbox->refused++;
        return 0;
    }
    lanes_add(outbox->lanes, &message, now_ms);
    outbox->taken_bytes += eviction_cost(body_length);
    outbox->taken++;
    return message.seq;
}

/* --- out ------------------------------------------------------------------------------------- */

typedef bool lane(struct lanes *lanes, struct tiers *tiers, struct stored_message *ret_message);

/* Which messages are historical must be in custody before one is handed out as such. */
static bool hand_out(struct outbox *outbox, lane *next, struct outbox_message *ret_message)
{
    struct stored_message message;
    bool may_hand_out = lanes_link_is_up(outbox->lanes) && tiers_state(outbox->tiers).history_saved;
    if (!may_hand_out || !next(outbox->lanes, outbox->tiers, &message))
        return false;
    *ret_message = (struct outbox_message){
        .seq = message.seq,
        .topic = message.topic,
        .facts = message.facts,
        .historical = loss_ledger_is_historical(&outbox->ledger, message.seq),
        .wall_ms = message.wall_ms,
        .body = message.body,
        .body_length = message.body_length};
    run_list_add(&outbox->in_flight, message.seq, message.seq);
    return true;
}

bool outbox_next_live(struct outbox *outbox, struct outbox_message *ret_message)
{
    return hand_out(outbox, lanes_next_live, ret_message);
}

bool outbox_next_backlog(struct outbox *outbox, struct outbox_message *ret_message)
{
    return hand_out(outbox, lanes_next_backlog, ret_message);
}

void outbox_release(struct outbox *outbox, uint64_t seq)
{
    if (seq == 0 || seq >= tiers_state(outbox->tiers).numbers->committed_below)
        return;
    run_list_remove(&outbox->in_flight, seq, seq);
    tiers_release(outbox->tiers, seq);
    lanes_follow(outbox->lanes, outbox->tiers);
}

/* --- the link, and what is due --------------------------------------------------------------- */

void outbox_link(struct outbox *outbox, bool up, int64_t now_ms)
{
    struct lanes *lanes = outbox->lanes;
    run_list_reset(&outbox->in_flight);
    /* What was never handed out while the link was up is historical from now on. */
    if (lanes_link_is_up(lanes))
        tiers_link_down(outbox->tiers, lanes_link_down(lanes), now_ms);
    if (up) {
        lanes_link_up(lanes, tiers_state(outbox->tiers).numbers->next_seq);
        tiers_link_up(outbox->tiers, now_ms);
        lanes_follow(lanes, outbox->tiers);
    } else {
        (void)outbox_commit(outbox, now_ms);
    }
}

/* Whatever is taken or acknowledged after this tick is done in time by the next one. */
int64_t outbox_tick(struct outbox *outbox, int64_t now_ms)
{
    struct lanes *lanes = outbox->lanes;
    bool up = lanes_link_is_up(lanes);
    fill_rate_fold(&outbox->rate, outbox->taken_bytes, now_ms);
    if (outbox_commit(outbox, now_ms) == 0) {
        uint64_t spill_below = up ? lanes_spill_below(lanes, outbox->tiers, now_ms) : 0;
        tiers_work(outbox->tiers, up, spill_below, now_ms);
        lanes_follow(lanes, outbox->tiers);
    }
    tiers_shrink(outbox->tiers, now_ms);
    int64_t pause_ms = min_i64(up ? outbox->spill_after_ms : outbox->sync_ms, WATCH_MS);
    return tiers_next_due(outbox->tiers, up, lanes_spill_at_ms(lanes), pause_ms, now_ms);
}

/* --- gaps ------------------------------------------------------------------------------------ */

bool outbox_next_gap(const struct outbox *outbox, struct outbox_gap *ret_gap)
{
    const struct span *gap = loss_ledger_next_gap(&outbox->ledger, &outbox->in_flight);
    if (!gap || !lanes_link_is_up(outbox->lanes) || tiers_state(outbox->tiers).commit_error)
        return false; /* it could not be reported now, and may still grow */
    *ret_gap = (struct outbox_gap){.first = gap->first,
                                   .last = gap->last,
                                   .from_ms = gap->from_ms,
                                   .to_ms = gap->to_ms,
                                   .reason = span_kind_name(gap->kind)};
    return true;
}

void outbox_gap_reported(struct outbox *outbox)
{
    uint64_t next_seq = tiers_state(outbox->tiers).numbers->next_seq;
    loss_ledger_gap_reported(&outbox->ledger, &outbox->in_flight, next_seq - 1);
    /* A power cut must not take it back once it has arrived, or the gap would be reported again. */
    outbox->has_report = true;
}

/* --- figures --------------------------------------------------------------------------------- */

void outbox_get_stats(struct outbox *outbox, int64_t now_ms, struct outbox_stats *ret_stats)
{
    struct tiers_figures figures;
    (void)outbox_commit(outbox, now_ms); /* a tier that failed may work again */
    fill_rate_fold(&outbox->rate, outbox->taken_bytes, now_ms);
    tiers_get_figures(outbox->tiers, &figures);
    struct tiers_state state = tiers_state(outbox->tiers);
    uint64_t room = outbox->max_bytes - min_u64(figures.bytes, outbox->max_bytes);
    *ret_stats = (struct outbox_stats){.messages = figures.live_messages + figures.disk_messages,
                                       .bytes = figures.bytes,
                                       .live_messages = figures.live_messages,
                                       .disk_messages = figures.disk_messages,
                                       .next_seq = state.numbers->next_seq,
                                       .taken = outbox->taken,
                                       .released = figures.released,
                                       .dropped = state.dropped + outbox->refused,
                                       .disk_bytes_written = figures.disk_bytes_written,
                                       .max_bytes = outbox->max_bytes,
                                       .oldest_wall_ms = figures.oldest_wall_ms,
                                       .runway_h = fill_rate_hours(&outbox->rate, room)};
    memcpy(ret_stats->problem, figures.problem, sizeof(ret_stats->problem));
    ret_stats->unsafe_since_ms = figures.unsafe_since_ms;
    memcpy(ret_stats->unsafe_reason, figures.unsafe_reason, sizeof(ret_stats->unsafe_reason));
}
