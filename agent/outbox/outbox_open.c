/*
 * Start and stop of the outbox: opens the two tiers, sets damaged files aside, finds out which
 * stream and which number go on, and what was lost while nobody looked. Part of the outbox.
 */
#include "agent/outbox/outbox_private.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What was found of a tier at start. */
struct found {
    struct store_state state; /* also of a damaged file, as far as it could be read */
    uint64_t first, last;     /* messages; 0: none */
    bool damaged;             /* the file is set aside, a fresh one is open (or nothing) */
    bool known;               /* it is open and says which stream it belongs to */
};

static void warn(struct strbuf *warning, const char *text)
{
    if (warning->length)
        strbuf_add(warning, "; ");
    strbuf_add(warning, text);
}

static void warn_failure(struct strbuf *warning, const char *path, int r)
{
    CLEANUP(memory_free_pointer)
    char *text = r == -EBUSY ? memory_printf("%s is held by another process; is a second agent "
                                             "running with the same folders?",
                                             path)
                             : memory_printf("%s cannot be used: %s", path, strerror(-r));
    warn(warning, text);
}

static int set_aside(struct outbox *outbox, struct tier *tier, struct strbuf *warning)
{
    CLEANUP(memory_free_pointer) char *name = NULL;
    int r = store_set_aside(tier->path, outbox->wall_ms, &name);
    if (r < 0) {
        warn_failure(warning, tier->path, r);
        return r;
    }
    CLEANUP(memory_free_pointer)
    char *text = memory_printf("%s was damaged and is kept as %s", tier->path, name);
    warn(warning, text);
    return 0;
}

static int open_tier(struct outbox *outbox, struct tier *tier, const char *folder,
                     enum store_kind kind, struct strbuf *warning, struct found *found)
{
    int r = folder_make(folder);
    if (r < 0) {
        warn_failure(warning, folder, r);
        return tiers_failed(tier, r, 0);
    }
    r = store_open(kind, tier->path, &found->state, &tier->store);
    if (r == -EBADMSG) {
        struct store_state fresh;
        found->damaged = true;
        r = set_aside(outbox, tier, warning);
        if (r == 0)
            r = store_open(kind, tier->path, &fresh, &tier->store);
    }
    if (r == 0)
        r = store_range(tier->store, &found->first, &found->last);
    if (r < 0) {
        warn_failure(warning, tier->path, r);
        tier->store = store_close(tier->store);
        return tiers_failed(tier, r, 0);
    }
    found->known = !found->damaged && found->state.stream[0] != '\0';
    return 0;
}

/* --- who goes on where ----------------------------------------------------------------------- */

static uint64_t at_least(uint64_t value, uint64_t floor)
{
    return value > floor ? value : floor;
}

static void go_on_with(struct outbox *outbox, const struct found *found)
{
    memcpy(outbox->stream, found->state.stream, sizeof(outbox->stream));
    outbox->next_seq = at_least(at_least(found->state.next_seq, found->last + 1), 1);
    outbox->boundary = at_least(found->first, 1);
    if (found->first == 0)
        outbox->boundary = outbox->next_seq;
}

static void load_ledger(struct outbox *outbox, const struct tier *tier, const struct found *found)
{
    outbox->ledger.version = found->state.ledger_version;
    if (found->known)
        (void)store_load_ledger(tier->store, &outbox->ledger);
}

/*
 * The disk tier knows of numbers that the live tier has not seen: it was the only one that worked
 * at the end, or the runtime folder is not what it should be and held an older copy.
 */
static void catch_up(struct outbox *outbox, const struct store_state *disk)
{
    uint64_t known_below = outbox->next_seq;
    outbox->next_seq = disk->next_seq;
    if (disk->clean || disk->alone)
        return;
    uint64_t lost_from = at_least(disk->settled_below, known_below);
    outbox->next_seq = at_least(outbox->next_seq, disk->reserved_below);
    if (lost_from < outbox->next_seq)
        loss_ledger_add_gap(&outbox->ledger, SPAN_POWER_LOSS, lost_from, outbox->next_seq - 1,
                            disk->wall_ms, outbox->wall_ms);
}

/* The live tier survived: its numbers are exact. */
static void from_live(struct outbox *outbox, const struct found *live, const struct found *disk)
{
    bool newer = disk->known && disk->state.ledger_version > live->state.ledger_version;
    go_on_with(outbox, live);
    memcpy(outbox->previous_stream, live->state.previous_stream, sizeof(outbox->previous_stream));
    load_ledger(outbox, newer ? &outbox->disk : &outbox->live, newer ? disk : live);
    if (disk->known && disk->state.next_seq > outbox->next_seq)
        catch_up(outbox, &disk->state);
    uint64_t moved_below = disk->known ? at_least(disk->state.disk_below, disk->last + 1) : 0;
    if (moved_below > outbox->boundary) { /* moved, and perhaps dropped, just before the end */
        outbox->boundary = moved_below;
        outbox->live_stale = live->first > 0;
    }
    outbox->disk_misses_history =
        disk->last > 0 && live->state.ledger_version != disk->state.ledger_version;
    bool out_of_reach = !outbox->disk.store && live->state.disk_first;
    outbox->disk_first = out_of_reach  ? live->state.disk_first
                         : disk->first ? disk->first
                                       : outbox->boundary;
    /* The disk tier is new, although it should hold something. */
    if (!disk->known && outbox->disk.store && live->state.disk_first < live->state.disk_below)
        loss_ledger_add_gap(&outbox->ledger, SPAN_DAMAGED, live->state.disk_first,
                            live->state.disk_below - 1, 0, 0);
    bool known = disk->known && strcmp(disk->state.stream, outbox->stream) == 0;
    outbox->reserved_below = !known              ? SEQ_LIMIT
                             : disk->state.clean ? 0
                                                 : disk->state.reserved_below;
}

/*
 * Only the disk tier knows. After a clean stop it knows all; else the numbers up to its
 * reservation may have been used, and what was in the live tier is gone.
 */
static void from_disk(struct outbox *outbox, const struct found *live, const struct found *disk)
{
    const struct store_state *state = &disk->state;
    go_on_with(outbox, disk);
    load_ledger(outbox, &outbox->disk, disk);
    uint64_t lost_from = at_least(state->settled_below, 1);
    if (disk->damaged) {
        lost_from = state->disk_first ? state->disk_first : 1;
        outbox->next_seq = at_least(outbox->next_seq, state->disk_below);
    }
    if (!state->clean)
        outbox->next_seq = at_least(outbox->next_seq, state->reserved_below);
    outbox->boundary = outbox->next_seq;
    outbox->disk_first = disk->first ? disk->first : outbox->boundary;
    outbox->reserved_below = 0;
    if (lost_from < outbox->next_seq && !(state->clean && !disk->damaged))
        loss_ledger_add_gap(&outbox->ledger,
                            disk->damaged || live->damaged ? SPAN_DAMAGED : SPAN_POWER_LOSS,
                            lost_from, outbox->next_seq - 1, state->wall_ms, outbox->wall_ms);
}

static void from_nothing(struct outbox *outbox)
{
    tiers_new_stream(outbox->stream);
    outbox->next_seq = outbox->boundary = outbox->disk_first = 1;
    outbox->reserved_below = SEQ_LIMIT;
}

/* --- a live tier of another stream ----------------------------------------------------------- */

struct adoption {
    struct outbox *outbox;
    uint64_t next;
    int r;
};

static bool adopt_one(void *context, const struct store_message *message)
{
    struct adoption *adoption = context;
    struct store_message adopted = *message;
    if (!message->body)
        return true;
    adopted.seq = adoption->next++;
    adoption->r = store_put(adoption->outbox->disk.store, &adopted);
    return adoption->r == 0;
}

/*
 * The state folder came from elsewhere, or could not be read the last time: its stream goes on.
 * What the live tier holds under another stream gets new numbers in this one; it may arrive twice,
 * but not get lost.
 */
static int adopt_live(struct outbox *outbox, struct found *disk, struct strbuf *warning)
{
    struct adoption adoption = {.outbox = outbox, .next = outbox->next_seq};
    struct store *store = outbox->disk.store;
    int r = store_begin(store, true);
    if (r == 0)
        r = store_read(outbox->live.store, 0, SEQ_LIMIT, adopt_one, &adoption);
    if (r == 0)
        r = adoption.r;
    struct store_state state = disk->state;
    state.next_seq = state.settled_below = state.disk_below = adoption.next;
    state.reserved_below = adoption.next + RESERVE_BLOCK;
    state.clean = false;
    if (r == 0)
        r = store_save_state(store, &state);
    if (r == 0)
        r = store_commit(store);
    if (r < 0) {
        store_rollback(store);
        return r;
    }
    CLEANUP(memory_free_pointer)
    char *text = memory_printf("%s belonged to another stream; its %" PRIu64
                               " messages got new numbers in stream %s",
                               outbox->live.path, adoption.next - outbox->next_seq, state.stream);
    warn(warning, text);
    outbox->next_seq = outbox->boundary = adoption.next;
    outbox->reserved_below = state.reserved_below;
    outbox->live_stale = true;
    return 0;
}

static void reconcile(struct outbox *outbox, const struct found *live, struct found *disk,
                      struct strbuf *warning)
{
    bool same =
        live->known && (!disk->known || strcmp(live->state.stream, disk->state.stream) == 0 ||
                        strcmp(live->state.previous_stream, disk->state.stream) == 0);
    if (same) {
        from_live(outbox, live, disk);
        return;
    }
    if (disk->state.stream[0] == '\0') {
        from_nothing(outbox);
        return;
    }
    from_disk(outbox, live, disk);
    if (!live->known)
        return;
    int r = outbox->disk.store ? adopt_live(outbox, disk, warning) : -ENODEV;
    if (r == 0)
        return;
    /* Its numbers mean something else: it must not be read as if they were ours. */
    outbox->live.store = store_close(outbox->live.store);
    (void)set_aside(outbox, &outbox->live, warning);
    struct store_state fresh;
    r = store_open(STORE_LIVE, outbox->live.path, &fresh, &outbox->live.store);
    if (r < 0)
        (void)tiers_failed(&outbox->live, r, 0);
}

static bool disk_needs_a_write(const struct outbox *outbox)
{
    return outbox->live_stale ||
           (outbox->disk.store && outbox->reserved_below < outbox->next_seq + RESERVE_BLOCK / 2) ||
           (outbox->disk.store && outbox->reserved_below == SEQ_LIMIT);
}

/* Makes what was found true in both tiers. A tier that fails now is tried again by the tick. */
static void settle(struct outbox *outbox)
{
    outbox->committed_below = outbox->next_seq;
    outbox->lane_start = outbox->live_cursor = outbox->next_seq;
    outbox->live_state_stale = true;
    loss_ledger_outage_begins(&outbox->ledger, outbox->next_seq);
    if (disk_needs_a_write(outbox))
        (void)tiers_work_on_disk(outbox, &(struct disk_job){.durable = true}, 0);
    (void)tiers_commit(outbox, 0);
}

static struct outbox *outbox_new(const struct outbox_settings *settings, int64_t wall_ms)
{
    struct outbox *outbox = memory_zeroed(1, sizeof(*outbox));
    outbox->max_bytes = settings->max_bytes;
    outbox->spill_after_ms = settings->spill_after_ms;
    outbox->sync_ms = settings->sync_ms;
    outbox->wall_ms = wall_ms;
    outbox->sync_at_ms = INT64_MIN;
    outbox->live.path = memory_printf("%s/live.db", settings->runtime_dir);
    outbox->disk.path = memory_printf("%s/outbox.db", settings->state_dir);
    return outbox;
}

static struct outbox *outbox_free(struct outbox *outbox)
{
    struct tier *tiers[] = {&outbox->live, &outbox->disk};
    for (size_t i = 0; i < ARRAY_LENGTH(tiers); i++) {
        (void)store_close(tiers[i]->store);
        free(tiers[i]->path);
    }
    loss_ledger_free(&outbox->ledger);
    loss_ledger_free(&outbox->undo);
    message_queue_free(&outbox->recent);
    message_queue_free(&outbox->ahead);
    message_queue_free(&outbox->backlog);
    topic_ids_free(&outbox->topics);
    free(outbox);
    return NULL;
}

int outbox_open(const struct outbox_settings *settings, int64_t wall_ms, struct strbuf *warning,
                struct outbox **ret_outbox)
{
    assert(settings->max_bytes > 0 && settings->spill_after_ms > 0 && settings->sync_ms > 0);
    struct outbox *outbox = outbox_new(settings, wall_ms);
    struct found live = {.first = 0}, disk = {.first = 0};
    strbuf_reset(warning);
    int disk_r = open_tier(outbox, &outbox->disk, settings->state_dir, STORE_DISK, warning, &disk);
    int live_r = disk_r == -EBUSY ? 0
                                  : open_tier(outbox, &outbox->live, settings->runtime_dir,
                                              STORE_LIVE, warning, &live);
    int r = disk_r == -EBUSY || live_r == -EBUSY ? -EBUSY : disk_r < 0 && live_r < 0 ? disk_r : 0;
    if (r < 0) {
        (void)outbox_free(outbox);
        return r;
    }
    reconcile(outbox, &live, &disk, warning);
    settle(outbox);
    *ret_outbox = outbox;
    return 0;
}

struct outbox *outbox_close(struct outbox *outbox)
{
    if (!outbox)
        return NULL;
    int64_t now_ms = outbox->now_ms;
    outbox_link(outbox, false, now_ms); /* what was not handed out yet will be historical */
    const struct disk_job job = {.move_below = outbox->committed_below,
                                 .with_pending = true,
                                 .durable = true,
                                 .clean = true};
    if (tiers_work_on_disk(outbox, &job, now_ms) == 0)
        (void)tiers_commit(outbox, now_ms);
    return outbox_free(outbox);
}
