/* A short queue of messages in memory. */
#include "agent/outbox/message_queue.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void message_queue_free(struct message_queue *parcels)
{
    free(parcels->entries);
    strbuf_free(&parcels->bodies);
    *parcels = (struct message_queue){.entries = NULL};
}

void message_queue_reset(struct message_queue *parcels)
{
    parcels->begin = parcels->end = 0;
}

size_t message_queue_bytes(const struct message_queue *parcels)
{
    return parcels_count(parcels) ? parcels->bodies.length : 0;
}

/* Moves what is left to the front, so that the room of what was taken out is used again. */
static void compact(struct message_queue *parcels)
{
    size_t count = parcels_count(parcels);
    if (count == 0) {
        parcels->begin = parcels->end = 0;
        strbuf_reset(&parcels->bodies);
        return;
    }
    size_t gone = parcels->entries[parcels->begin].offset;
    memmove(parcels->entries, &parcels->entries[parcels->begin], count * sizeof(*parcels->entries));
    memmove(parcels->bodies.data, parcels->bodies.data + gone, parcels->bodies.length - gone);
    parcels->bodies.length -= gone;
    parcels->begin = 0;
    parcels->end = count;
    for (size_t i = 0; i < count; i++)
        parcels->entries[i].offset -= gone;
}

void message_queue_add(struct message_queue *parcels, uint64_t seq, int64_t wall_ms, uint32_t topic,
                       const void *body, size_t body_length)
{
    assert(body_length <= UINT32_MAX);
    bool crowded = parcels->end == parcels->room ||
                   parcels->bodies.length + body_length >= parcels->bodies.capacity;
    if (parcels_count(parcels) == 0 || (crowded && parcels->begin > 0))
        compact(parcels);
    if (parcels->end == parcels->room) {
        parcels->room = parcels->room ? parcels->room * 2 : 16;
        parcels->entries =
            memory_resize(parcels->entries, parcels->room, sizeof(*parcels->entries));
    }
    parcels->entries[parcels->end++] = (struct queued_message){.seq = seq,
                                                               .wall_ms = wall_ms,
                                                               .topic = topic,
                                                               .body_length = (uint32_t)body_length,
                                                               .offset = parcels->bodies.length};
    strbuf_append(&parcels->bodies, body, body_length);
}

void message_queue_drop(struct message_queue *parcels, size_t count)
{
    assert(count <= parcels_count(parcels));
    parcels->begin += count;
}

void message_queue_drop_below(struct message_queue *parcels, uint64_t below)
{
    while (parcels_count(parcels) && parcels_at(parcels, 0)->seq < below)
        parcels->begin++;
}
