/* The bounded ring between Paho's threads and the main loop. */
#include "agent/uplink_ring.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

/*
 * Between two looks of the loop a session has at most one event of each kind that is neither an
 * acknowledgement nor a message, for the loop has to act before there can be a second one.
 */
#define RESERVED 16
/* A flood of commands must not grow our memory; one in an hour is usual. */
#define MAX_MESSAGES 32

struct uplink_ring {
    pthread_mutex_t lock;
    struct uplink_event *events;
    size_t capacity, head, used;
    size_t messages; /* of the used ones */
    uint64_t dropped;
    bool signalled; /* the eventfd is readable */
    int event;
};

struct uplink_ring *uplink_ring_new(size_t capacity)
{
    struct uplink_ring *ring = memory_zeroed(1, sizeof(*ring));
    ring->capacity = capacity + MAX_MESSAGES + RESERVED;
    ring->events = memory_zeroed(ring->capacity, sizeof(*ring->events));
    ring->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ring->event < 0 || pthread_mutex_init(&ring->lock, NULL) != 0)
        abort();
    return ring;
}

struct uplink_ring *uplink_ring_free(struct uplink_ring *ring)
{
    struct uplink_event event;
    if (!ring)
        return NULL;
    while (uplink_ring_pop(ring, &event))
        free(event.topic);
    pthread_mutex_destroy(&ring->lock);
    descriptor_close(&ring->event);
    free(ring->events);
    free(ring);
    return NULL;
}

static bool has_room(const struct uplink_ring *ring, enum uplink_event_kind kind)
{
    size_t left = ring->capacity - ring->used;
    if (kind == UPLINK_EVENT_MESSAGE)
        return left > RESERVED && ring->messages < MAX_MESSAGES;
    return left > (kind == UPLINK_EVENT_DELIVERED ? RESERVED : 0);
}

void uplink_ring_push(struct uplink_ring *ring, const struct uplink_event *event)
{
    pthread_mutex_lock(&ring->lock);
    bool fits = has_room(ring, event->kind);
    bool wake = fits && !ring->signalled;
    if (fits) {
        ring->events[(ring->head + ring->used++) % ring->capacity] = *event;
        ring->messages += event->kind == UPLINK_EVENT_MESSAGE;
        ring->signalled = true;
    } else {
        ring->dropped++;
    }
    pthread_mutex_unlock(&ring->lock);
    if (wake)
        (void)eventfd_write(ring->event, 1); /* cannot fill up: one write per acknowledgement */
    if (!fits)
        free(event->topic);
}

bool uplink_ring_pop(struct uplink_ring *ring, struct uplink_event *ret_event)
{
    pthread_mutex_lock(&ring->lock);
    bool found = ring->used > 0;
    if (found) {
        *ret_event = ring->events[ring->head];
        ring->head = (ring->head + 1) % ring->capacity;
        ring->used--;
        ring->messages -= ret_event->kind == UPLINK_EVENT_MESSAGE;
    }
    pthread_mutex_unlock(&ring->lock);
    return found;
}

int uplink_ring_descriptor(const struct uplink_ring *ring)
{
    return ring->event;
}

void uplink_ring_acknowledge(struct uplink_ring *ring)
{
    eventfd_t count;
    pthread_mutex_lock(&ring->lock);
    (void)eventfd_read(ring->event, &count); /* first: a push after it must signal again */
    ring->signalled = false;
    pthread_mutex_unlock(&ring->lock);
}

uint64_t uplink_ring_take_dropped(struct uplink_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    uint64_t dropped = ring->dropped;
    ring->dropped = 0;
    pthread_mutex_unlock(&ring->lock);
    return dropped;
}
