/* A short queue of messages in memory. */
#include "agent/outbox/message_queue.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void message_queue_free(struct message_queue *queue)
{
    free(queue->entries);
    strbuf_free(&queue->bodies);
    *queue = (struct message_queue){.entries = NULL};
}

void message_queue_reset(struct message_queue *queue)
{
    queue->begin = queue->end = 0;
}

size_t message_queue_count(const struct message_queue *queue)
{
    return queue->end - queue->begin;
}

uint64_t message_queue_seq(const struct message_queue *queue, size_t at, uint64_t limit)
{
    if (at >= message_queue_count(queue))
        return limit;
    uint64_t seq = queue->entries[queue->begin + at].message.seq;
    return seq < limit ? seq : limit;
}

size_t message_queue_bytes(const struct message_queue *queue)
{
    return message_queue_count(queue) ? queue->bodies.length : 0;
}

/* Moves what is left to the front, so that the room of what was taken out is used again. */
static void compact(struct message_queue *queue)
{
    size_t count = message_queue_count(queue);
    if (count == 0) {
        queue->begin = queue->end = 0;
        strbuf_reset(&queue->bodies);
        return;
    }
    size_t gone = queue->entries[queue->begin].offset;
    memmove(queue->entries, &queue->entries[queue->begin], count * sizeof(*queue->entries));
    memmove(queue->bodies.data, queue->bodies.data + gone, queue->bodies.length - gone);
    queue->bodies.length -= gone;
    queue->begin = 0;
    queue->end = count;
    for (size_t i = 0; i < count; i++)
        queue->entries[i].offset -= gone;
}

struct stored_message message_queue_at(const struct message_queue *queue, size_t at)
{
    assert(at < message_queue_count(queue));
    const struct queued_message *entry = &queue->entries[queue->begin + at];
    struct stored_message message = entry->message;
    message.body = queue->bodies.data + entry->offset;
    return message;
}

void message_queue_add(struct message_queue *queue, const struct stored_message *message)
{
    bool crowded = queue->end == queue->room ||
                   queue->bodies.length + message->body_length >= queue->bodies.capacity;
    if (message_queue_count(queue) == 0 || (crowded && queue->begin > 0))
        compact(queue);
    if (queue->end == queue->room) {
        queue->room = queue->room ? queue->room * 2 : 16;
        queue->entries = memory_resize(queue->entries, queue->room, sizeof(*queue->entries));
    }
    queue->entries[queue->end++] =
        (struct queued_message){.message = *message, .offset = queue->bodies.length};
    strbuf_append(&queue->bodies, message->body, message->body_length);
}

void message_queue_drop(struct message_queue *queue, size_t count)
{
    assert(count <= message_queue_count(queue));
    queue->begin += count;
}

void message_queue_drop_below(struct message_queue *queue, uint64_t below)
{
    while (message_queue_count(queue) && queue->entries[queue->begin].message.seq < below)
        queue->begin++;
}
