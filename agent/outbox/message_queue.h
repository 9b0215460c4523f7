/*
 * A short queue of messages in memory, in the order of their numbers: what was just taken, or what
 * was read ahead from a tier. Bounded by its users; its memory is kept and reused. Main loop only,
 * owned by the outbox.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_MESSAGE_QUEUE_H
#define SALLYPORT_AGENT_OUTBOX_MESSAGE_QUEUE_H

#include "agent/base/strbuf.h"
#include "agent/outbox/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queued_message {
    uint64_t seq;
    int64_t wall_ms, timestamp_ms;
    enum outbox_kind kind;
    uint32_t topic, owner; /* numbers of struct topic_ids */
    uint32_t body_length;
    size_t offset; /* of the body in `bodies` */
};

/* Read them as message_queue_at(p, 0) .. message_queue_at(p, message_queue_count(p) - 1). */
struct message_queue {
    struct queued_message *entries;
    size_t begin, end, room; /* entries in use: [begin, end) */
    struct strbuf bodies;
};

void message_queue_free(struct message_queue *queue); /* leaves an empty queue */
void message_queue_reset(struct message_queue *queue);

static inline size_t message_queue_count(const struct message_queue *queue)
{
    return queue->end - queue->begin;
}

static inline const struct queued_message *message_queue_at(const struct message_queue *queue,
                                                            size_t at)
{
    return &queue->entries[queue->begin + at];
}

static inline const char *message_queue_body(const struct message_queue *queue,
                                             const struct queued_message *queued_message)
{
    return queue->bodies.data + queued_message->offset;
}

/* How many bytes of bodies it holds, those of messages taken out again included. */
size_t message_queue_bytes(const struct message_queue *queue);

/* Appends a copy of MESSAGE and BODY (`offset` is not read); its number is higher than any before.
 */
void message_queue_add(struct message_queue *queue, const struct queued_message *message,
                       const void *body);

/* Takes out the oldest COUNT. Their bodies stay readable until the next message_queue_add(). */
void message_queue_drop(struct message_queue *queue, size_t count);

/* Takes out every message with a number below BELOW. */
void message_queue_drop_below(struct message_queue *queue, uint64_t below);

#endif
