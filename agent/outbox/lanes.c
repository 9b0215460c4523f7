/* What may be handed out, and in which order. */
#include "agent/outbox/lanes.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "agent/outbox/text_set.h"

#include <stdlib.h>
#include <string.h>

/* In memory: beyond the first, what is committed is read back from its tier; beyond the second,
 * what cannot be committed is refused. */
#define RECENT_COUNT 128
#define RECENT_BYTES ((size_t)256 << 10)
#define PENDING_COUNT 1024
#define PENDING_BYTES ((size_t)4 << 20)
#define AHEAD_COUNT 64

/* Messages below `below` that no older mark covers were taken at `time_ms` or a little later. */
struct mark {
    uint64_t below;
    int64_t time_ms;
};

struct lanes {
    int64_t spill_after_ms;
    bool link_up;
    uint64_t lane_start;                  /* the first number of the live lane */
    uint64_t live_cursor, backlog_cursor; /* the next to be handed out in each lane, or later */
    bool backlog_done;
    struct message_queue recent;  /* taken: all that is not committed, and some that is */
    struct message_queue ahead;   /* read ahead for the live lane */
    struct message_queue backlog; /* read ahead for the backlog lane */
    struct text_set texts;        /* of the messages in the queues */

    struct mark marks[16];
    size_t n_marks;
    uint64_t committed_below; /* at the last lanes_follow() */
    uint64_t added_below;     /* number of the newest message + 1 */
    uint64_t marked_below;    /* what that was when the newest mark was made */
    int64_t taken_at_ms;      /* of the oldest message that is not committed */
    uint64_t dropped;         /* by the tiers, at the last lanes_follow() */
};

struct lanes *lanes_new(int64_t spill_after_ms)
{
    struct lanes *lanes = memory_zeroed(1, sizeof(*lanes));
    lanes->spill_after_ms = spill_after_ms;
    return lanes;
}

struct lanes *lanes_free(struct lanes *lanes)
{
    if (!lanes)
        return NULL;
    message_queue_free(&lanes->recent);
    message_queue_free(&lanes->ahead);
    message_queue_free(&lanes->backlog);
    text_set_free(&lanes->texts);
    free(lanes);
    return NULL;
}

const struct message_queue *lanes_memory(const struct lanes *lanes)
{
    return &lanes->recent;
}

/* --- in -------------------------------------------------------------------------------------- */

static bool recent_exceeds(const struct lanes *lanes, size_t more, size_t count, size_t bytes)
{
    return message_queue_count(&lanes->recent) >= count ||
           message_queue_bytes(&lanes->recent) + more > bytes;
}

/* Appends a copy that does not need the texts of the original. */
static void keep(struct lanes *lanes, struct message_queue *queue,
                 const struct stored_message *message)
{
    struct stored_message copy = *message;
    const char *owner = message->facts.owner;
    copy.topic = text_set_keep(&lanes->texts, message->topic, message->topic_length);
    copy.facts.owner = text_set_keep(&lanes->texts, owner, strlen(owner));
    message_queue_add(queue, &copy);
}

/* What is below BELOW and was only in memory is in the live tier now. */
static void note_committed(struct lanes *lanes, uint64_t below)
{
    int64_t step = lanes->spill_after_ms / 8;
    struct mark *newest = lanes->n_marks ? &lanes->marks[lanes->n_marks - 1] : NULL;
    if (newest && (lanes->n_marks == ARRAY_LENGTH(lanes->marks) ||
                   lanes->taken_at_ms - newest->time_ms < step))
        newest->below = below;
    else
        lanes->marks[lanes->n_marks++] = (struct mark){below, lanes->taken_at_ms};
    if (!lanes->link_up)
        message_queue_drop_below(&lanes->recent, below);
}

void lanes_follow(struct lanes *lanes, const struct tiers *tiers)
{
    struct tiers_state state = tiers_state(tiers);
    uint64_t committed_below = lanes->committed_below = state.numbers->committed_below;
    if (lanes->marked_below < lanes->added_below && lanes->added_below <= committed_below) {
        if (committed_below > state.numbers->boundary) /* else it is on disk already */
            note_committed(lanes, committed_below);
        lanes->marked_below = lanes->added_below;
    }
    if (lanes->dropped == state.dropped)
        return;
    message_queue_drop_below(&lanes->backlog, state.dropped_below);
    message_queue_drop_below(&lanes->ahead, state.dropped_below);
    message_queue_drop_below(&lanes->recent, min_u64(state.dropped_below, committed_below));
    lanes->dropped = state.dropped;
}

enum lanes_room lanes_find_room(struct lanes *lanes, const struct tiers *tiers, size_t body_length)
{
    lanes_follow(lanes, tiers);
    if (!recent_exceeds(lanes, body_length, RECENT_COUNT, RECENT_BYTES))
        return LANES_ROOM_FREE;
    message_queue_drop_below(&lanes->recent, lanes->committed_below);
    if (!recent_exceeds(lanes, body_length, RECENT_COUNT, RECENT_BYTES))
        return LANES_ROOM_FREE;
    return recent_exceeds(lanes, body_length, PENDING_COUNT, PENDING_BYTES) ? LANES_ROOM_NONE
                                                                            : LANES_ROOM_LITTLE;
}

void lanes_add(struct lanes *lanes, const struct stored_message *message, int64_t now_ms)
{
    if (message->seq == lanes->committed_below)
        lanes->taken_at_ms = now_ms;
    lanes->added_below = message->seq + 1;
    keep(lanes, &lanes->recent, message);
}

/* --- the link -------------------------------------------------------------------------------- */

bool lanes_link_is_up(const struct lanes *lanes)
{
    return lanes->link_up;
}

uint64_t lanes_link_down(struct lanes *lanes)
{
    lanes->link_up = false;
    return max_u64(lanes->lane_start, lanes->live_cursor);
}

void lanes_link_up(struct lanes *lanes, uint64_t next_seq)
{
    lanes->link_up = true;
    lanes->lane_start = lanes->live_cursor = next_seq;
    lanes->backlog_cursor = 0;
    lanes->backlog_done = false;
    message_queue_reset(&lanes->ahead);
    message_queue_reset(&lanes->backlog);
}

/* --- out ------------------------------------------------------------------------------------- */

struct lanes_reading {
    struct lanes *lanes;
    struct message_queue *into;
};

static bool lanes_read_one(void *context, const struct stored_message *message)
{
    struct lanes_reading *reading = context;
    keep(reading->lanes, reading->into, message);
    return message_queue_count(reading->into) < AHEAD_COUNT &&
           message_queue_bytes(reading->into) < RECENT_BYTES;
}

/* Reads ahead what is stored of FROM <= seq < BELOW. 0 when there is nothing, or a negative errno.
 */
static int read_ahead(struct lanes *lanes, struct tiers *tiers, uint64_t from, uint64_t below,
                      struct message_queue *into)
{
    struct lanes_reading reading = {lanes, into};
    message_queue_reset(into);
    int r = tiers_read(tiers, from, below, lanes_read_one, &reading);
    return message_queue_count(into) > 0 ? 1 : r;
}

bool lanes_next_live(struct lanes *lanes, struct tiers *tiers, struct stored_message *ret_message)
{
    const struct numbers *numbers = tiers_state(tiers).numbers;
    struct message_queue *recent = &lanes->recent, *from = &lanes->ahead;
    message_queue_drop_below(recent, min_u64(lanes->live_cursor, numbers->committed_below));
    uint64_t in_memory = message_queue_seq(recent, 0, numbers->committed_below);
    if (message_queue_count(from) == 0 && lanes->live_cursor < in_memory) {
        int r = read_ahead(lanes, tiers, lanes->live_cursor, in_memory, from);
        if (r < 0)
            return false; /* they are read again later, and stay in order */
        if (r == 0)
            lanes->live_cursor = in_memory;
    }
    if (message_queue_count(from) == 0)
        from = recent;
    uint64_t ready_below = numbers_ready_below(numbers);
    if (message_queue_seq(from, 0, ready_below) >= ready_below)
        return false;
    *ret_message = message_queue_at(from, 0);
    message_queue_drop(from, 1);
    lanes->live_cursor = ret_message->seq + 1;
    return true;
}

bool lanes_next_backlog(struct lanes *lanes, struct tiers *tiers,
                        struct stored_message *ret_message)
{
    const struct numbers *numbers = tiers_state(tiers).numbers;
    struct message_queue *backlog = &lanes->backlog;
    if (lanes->backlog_done)
        return false;
    uint64_t below = min_u64(lanes->lane_start, numbers->committed_below);
    if (message_queue_count(backlog) == 0) {
        int r = read_ahead(lanes, tiers, lanes->backlog_cursor, below, backlog);
        lanes->backlog_done = r == 0 && numbers->committed_below >= lanes->lane_start;
        if (r <= 0)
            return false;
    }
    uint64_t ready_below = numbers_ready_below(numbers);
    if (message_queue_seq(backlog, 0, ready_below) >= ready_below)
        return false;
    *ret_message = message_queue_at(backlog, 0);
    message_queue_drop(backlog, 1);
    lanes->backlog_cursor = ret_message->seq + 1;
    return true;
}

/* --- how long they have been here ------------------------------------------------------------ */

/* Forgets the marks whose messages are on disk or acknowledged. */
static void drop_marks(struct lanes *lanes, const struct tiers *tiers, int64_t now_ms)
{
    uint64_t boundary = tiers_state(tiers).numbers->boundary;
    size_t gone = 0;
    while (gone < lanes->n_marks) {
        const struct mark *mark = &lanes->marks[gone];
        bool settled = mark->below <= boundary;
        if (!settled && now_ms - mark->time_ms >= lanes->spill_after_ms)
            settled = tiers_first_live(tiers, boundary, mark->below) == mark->below;
        if (!settled)
            break;
        gone++;
    }
    lanes->n_marks -= gone;
    memmove(&lanes->marks[0], &lanes->marks[gone], lanes->n_marks * sizeof(lanes->marks[0]));
}

uint64_t lanes_spill_below(struct lanes *lanes, const struct tiers *tiers, int64_t now_ms)
{
    drop_marks(lanes, tiers, now_ms);
    if (lanes->n_marks == 0 || now_ms - lanes->marks[0].time_ms < lanes->spill_after_ms)
        return 0;
    uint64_t below = 0;
    for (size_t i = 0; i < lanes->n_marks; i++) {
        if (now_ms - lanes->marks[i].time_ms >= lanes->spill_after_ms / 2)
            below = lanes->marks[i].below;
    }
    return min_u64(below, tiers_state(tiers).numbers->committed_below);
}

int64_t lanes_spill_at_ms(const struct lanes *lanes)
{
    return lanes->n_marks ? lanes->marks[0].time_ms + lanes->spill_after_ms : INT64_MAX;
}
