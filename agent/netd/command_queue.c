/*
 * Commands that wait. There are few places, so the queues of the signers are not kept apart: each
 * command gets the number of the turn in which its signer is served, one more than that of his
 * command before, and the lowest number of the lane is next.
 */
#include "agent/netd/command_queue.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <stdlib.h>
#include <string.h>

const struct command_share command_shares[COMMAND_LANE_COUNT] = {
    [COMMAND_LANE_FIRST] = {6, 2},
    [COMMAND_LANE_SIGNED] = {8, 3},
    [COMMAND_LANE_SHAPED] = {4, 4},
    [COMMAND_LANE_DOUBTFUL] = {4, 4},
};
#define PLACES (6 + 8 + 4 + 4)

struct command_queue {
    struct command_waiting *waiting[PLACES];
    size_t n_waiting;
    uint64_t turns[COMMAND_LANE_COUNT]; /* the last one that was served */
    uint64_t arrivals;
};

struct command_queue *command_queue_new(void)
{
    return memory_zeroed(1, sizeof(struct command_queue));
}

struct command_queue *command_queue_free(struct command_queue *queue)
{
    if (!queue)
        return NULL;
    for (size_t i = 0; i < queue->n_waiting; i++)
        free(queue->waiting[i]);
    free(queue);
    return NULL;
}

bool command_queue_has(const struct command_queue *queue,
                       const uint8_t digest[COMMAND_DIGEST_BYTES])
{
    for (size_t i = 0; i < queue->n_waiting; i++) {
        if (memcmp(queue->waiting[i]->label.digest, digest, COMMAND_DIGEST_BYTES) == 0)
            return true;
    }
    return false;
}

/* Whether there is a place for LABEL; then *RET_TURN is when it is served. */
static bool find_turn(const struct command_queue *queue, const struct command_label *label,
                      uint64_t *ret_turn)
{
    const struct command_share *share = &command_shares[label->lane];
    size_t in_lane = 0, of_signer = 0;
    uint64_t last = queue->turns[label->lane];
    for (size_t i = 0; i < queue->n_waiting; i++) {
        const struct command_waiting *other = queue->waiting[i];
        if (other->label.lane != label->lane)
            continue;
        in_lane++;
        if (memcmp(other->label.signer, label->signer, sizeof(label->signer)) != 0)
            continue;
        of_signer++;
        last = other->turn > last ? other->turn : last;
    }
    *ret_turn = last + 1;
    return in_lane < share->places && of_signer < share->of_one;
}

bool command_queue_add(struct command_queue *queue, const struct command_label *label,
                       const void *text, size_t length, bool is_retained)
{
    uint64_t turn;
    if (!find_turn(queue, label, &turn))
        return false;
    struct command_waiting *added = memory_zeroed(1, sizeof(*added) + length);
    added->label = *label;
    added->turn = turn;
    added->arrival = ++queue->arrivals;
    added->is_retained = is_retained;
    added->length = length;
    memcpy(added->text, text, length);
    queue->waiting[queue->n_waiting++] = added;
    return true;
}

size_t command_queue_length(const struct command_queue *queue, enum command_lane last)
{
    size_t n = 0;
    for (size_t i = 0; i < queue->n_waiting; i++)
        n += queue->waiting[i]->label.lane <= last;
    return n;
}

static bool is_before(const struct command_waiting *one, const struct command_waiting *other)
{
    if (one->label.lane != other->label.lane)
        return one->label.lane < other->label.lane;
    if (one->turn != other->turn)
        return one->turn < other->turn;
    return one->arrival < other->arrival;
}

struct command_waiting *command_queue_take(struct command_queue *queue, enum command_lane last)
{
    size_t next = PLACES;
    for (size_t i = 0; i < queue->n_waiting; i++) {
        const struct command_waiting *one = queue->waiting[i];
        if (one->label.lane <= last && (next == PLACES || is_before(one, queue->waiting[next])))
            next = i;
    }
    if (next == PLACES)
        return NULL;
    struct command_waiting *taken = queue->waiting[next];
    queue->waiting[next] = queue->waiting[--queue->n_waiting];
    queue->turns[taken->label.lane] = taken->turn;
    return taken;
}
