/*
 * A short queue of messages in memory, in the order of their numbers: what was just taken, or what
 * was read ahead from a tier. Bounded by its users; its memory is kept and reused. Main loop only,
 * owned by the lanes.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_MESSAGE_QUEUE_H
#define SALLYPORT_AGENT_OUTBOX_MESSAGE_QUEUE_H

#include "agent/base/strbuf.h"
#include "agent/outbox/stored.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queued_message {
    struct stored_message message; /* but for `body` */
    size_t offset;                 /* of the body in `bodies` */
};

/* Read them with message_queue_at(q, 0) .. message_queue_at(q, message_queue_count(q) - 1). */
struct message_queue {
    struct queued_message *entries;
    size_t begin, end, room; /* entries in use: [begin, end) */
    struct strbuf bodies;
};

void message_queue_free(struct message_queue *queue); /* leaves an empty queue */
void message_queue_reset(struct message_queue *queue);

size_t message_queue_count(const struct message_queue *queue);

/* Its number; LIMIT when there are fewer messages, or when it is not below LIMIT. */
uint64_t message_queue_seq(const struct message_queue *queue, size_t at, uint64_t limit);

/* The body is readable until the next message_queue_add(). */
struct stored_message message_queue_at(const struct message_queue *queue, size_t at);

/* How many bytes of bodies it holds, those of messages taken out again included. */
size_t message_queue_bytes(const struct message_queue *queue);

/*
 * Appends a copy of MESSAGE with its body; its number is higher than any before. The texts in it
 * are not copied: they must stay.
 */
void message_queue_add(struct message_queue *queue, const struct stored_message *message);

/* Takes out the oldest COUNT. Their bodies stay readable until the next message_queue_add(). */
void message_queue_drop(struct message_queue *queue, size_t count);

/* Takes out every message with a number below BELOW. */
void message_queue_drop_below(struct message_queue *queue, uint64_t below);

#endif
