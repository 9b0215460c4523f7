/*
 * A short queue of messages in memory, in the order of their numbers: what was just taken, or what
 * was read ahead from a tier. Bounded by its users; its memory is kept and reused. Main loop only,
 * owned by the outbox.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_MESSAGE_QUEUE_H
#define SALLYPORT_AGENT_OUTBOX_MESSAGE_QUEUE_H

#include "agent/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct parcel {
    uint64_t seq;
    int64_t wall_ms;
    uint32_t topic;
    uint32_t body_length;
    size_t offset; /* of the body in `bodies` */
};

/* Read them as parcels_at(p, 0) .. parcels_at(p, parcels_count(p) - 1). */
struct parcels {
    struct parcel *entries;
    size_t begin, end, room; /* entries in use: [begin, end) */
    struct strbuf bodies;
};

void parcels_free(struct parcels *parcels); /* leaves an empty queue */
void parcels_reset(struct parcels *parcels);

static inline size_t parcels_count(const struct parcels *parcels)
{
    return parcels->end - parcels->begin;
}

static inline const struct parcel *parcels_at(const struct parcels *parcels, size_t at)
{
    return &parcels->entries[parcels->begin + at];
}

static inline const char *parcels_body(const struct parcels *parcels, const struct parcel *parcel)
{
    return parcels->bodies.data + parcel->offset;
}

/* How many bytes of bodies it holds, those of messages taken out again included. */
size_t parcels_bytes(const struct parcels *parcels);

/* Appends a copy; SEQ is higher than any before. */
void parcels_add(struct parcels *parcels, uint64_t seq, int64_t wall_ms, uint32_t topic,
                 const void *body, size_t body_length);

/* Takes out the oldest COUNT. Their bodies stay readable until the next parcels_add(). */
void parcels_drop(struct parcels *parcels, size_t count);

/* Takes out every message with a number below BELOW. */
void parcels_drop_below(struct parcels *parcels, uint64_t below);

#endif
