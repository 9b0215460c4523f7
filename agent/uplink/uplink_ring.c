/* The bounded ring between Paho's threads and the main loop. */
#include "agent/uplink/uplink_ring.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/*
 * Between two looks of the loop a session has at most one event of each kind that is neither an
 * acknowledgement nor a message, for the loop has to act before there can be a second one.
 */
#define RESERVED 16

/* Messages on one topic. */
struct uplink_crowd {
    char *topic; /* NULL: none */
    size_t longest;
    struct uplink_event *events; /* a ring of UPLINK_RING_CROWD */
    size_t head, bytes;
    atomic_size_t used;
};

struct uplink_ring {
    pthread_mutex_t lock;
    struct uplink_event *events;
    size_t capacity, head, max_messages;
    atomic_size_t used;
    size_t messages;     /* of the used ones */
    size_t acknowledged; /* of the used ones */
    size_t patience;
    struct uplink_crowd crowd;
    uint64_t dropped;
    enum { WAKE_NOT, WAKE_LATER, WAKE_NOW } wake; /* what the timer is set to */
    int timer;
};

static void fire(int timer, int64_t delay_ns)
{
    const struct itimerspec when = {.it_value = {.tv_nsec = (long)delay_ns}};
    (void)timerfd_settime(timer, 0, &when, NULL);
}

static void uplink_ring_set_sizes(struct uplink_ring *ring, size_t capacity, size_t max_messages,
                                  size_t patience)
{
    free(ring->events);
    ring->capacity = capacity + max_messages + RESERVED;
    ring->max_messages = max_messages;
    ring->events = memory_zeroed(ring->capacity, sizeof(*ring->events));
    ring->head = 0;
    ring->patience = patience;
}

struct uplink_ring *uplink_ring_new(size_t capacity, size_t max_messages, size_t patience)
{
    struct uplink_ring *ring = memory_zeroed(1, sizeof(*ring));
    uplink_ring_set_sizes(ring, capacity, max_messages, patience);
    ring->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (ring->timer < 0 || pthread_mutex_init(&ring->lock, NULL) != 0)
        abort();
    return ring;
}

/* Under the lock, or with no other thread left. */
static bool uplink_ring_take(struct uplink_ring *ring, struct uplink_event *ret_event)
{
    if (ring->used == 0)
        return false;
    *ret_event = ring->events[ring->head];
    ring->head = (ring->head + 1) % ring->capacity;
    ring->used--;
    ring->messages -= ret_event->kind == UPLINK_EVENT_MESSAGE;
    ring->acknowledged -= ret_event->kind == UPLINK_EVENT_DELIVERED;
    return true;
}

static bool crowd_take(struct uplink_crowd *crowd, struct uplink_event *ret_event)
{
    if (crowd->used == 0)
        return false;
    *ret_event = crowd->events[crowd->head];
    crowd->head = (crowd->head + 1) % UPLINK_RING_CROWD;
    crowd->used--;
    crowd->bytes -= ret_event->length;
    return true;
}

static void drop_all(struct uplink_ring *ring)
{
    struct uplink_event event;
    while (uplink_ring_take(ring, &event) || crowd_take(&ring->crowd, &event))
        free(event.topic);
}

void uplink_ring_set_crowd(struct uplink_ring *ring, const char *topic, size_t longest)
{
    struct uplink_crowd *crowd = &ring->crowd;
    pthread_mutex_lock(&ring->lock);
    free(crowd->topic);
    crowd->topic = topic ? memory_text(topic) : NULL;
    crowd->longest = longest;
    if (topic && !crowd->events)
        crowd->events = memory_zeroed(UPLINK_RING_CROWD, sizeof(*crowd->events));
    pthread_mutex_unlock(&ring->lock);
}

/* Under the lock. */
static bool is_crowded(const struct uplink_ring *ring, const char *topic)
{
    return ring->crowd.topic && strcmp(ring->crowd.topic, topic) == 0;
}

size_t uplink_ring_longest(struct uplink_ring *ring, const char *topic, size_t longest)
{
    pthread_mutex_lock(&ring->lock);
    if (is_crowded(ring, topic) && ring->crowd.longest < longest)
        longest = ring->crowd.longest;
    pthread_mutex_unlock(&ring->lock);
    return longest;
}

void uplink_ring_resize(struct uplink_ring *ring, size_t capacity, size_t max_messages,
                        size_t patience)
{
    pthread_mutex_lock(&ring->lock);
    drop_all(ring);
    uplink_ring_set_sizes(ring, capacity, max_messages, patience);
    pthread_mutex_unlock(&ring->lock);
}

struct uplink_ring *uplink_ring_free(struct uplink_ring *ring)
{
    if (!ring)
        return NULL;
    drop_all(ring);
    pthread_mutex_destroy(&ring->lock);
    descriptor_close(&ring->timer);
    free(ring->crowd.topic);
    free(ring->crowd.events);
    free(ring->events);
    free(ring);
    return NULL;
}

static bool has_room(const struct uplink_ring *ring, enum uplink_event_kind kind)
{
    size_t left = ring->capacity - ring->used;
    if (kind == UPLINK_EVENT_MESSAGE)
        return left > RESERVED && ring->messages < ring->max_messages;
    return left > (kind == UPLINK_EVENT_DELIVERED ? RESERVED : 0);
}

/* Under the lock. A wake-up that is set is never put off. */
static void set_wake(struct uplink_ring *ring, bool later)
{
    if (later && ring->wake == WAKE_NOT) {
        ring->wake = WAKE_LATER;
        fire(ring->timer, UPLINK_RING_LATER_MS * INT64_C(1000000));
    } else if (!later && ring->wake != WAKE_NOW) {
        ring->wake = WAKE_NOW;
        fire(ring->timer, 1);
    }
}

/* Under the lock. False: there is no room. */
static bool ring_add(struct uplink_ring *ring, const struct uplink_event *event)
{
    if (!has_room(ring, event->kind))
        return false;
    ring->events[(ring->head + ring->used++) % ring->capacity] = *event;
    ring->messages += event->kind == UPLINK_EVENT_MESSAGE;
    ring->acknowledged += event->kind == UPLINK_EVENT_DELIVERED;
    return true;
}

/* Under the lock. The same. */
static bool crowd_add(struct uplink_crowd *crowd, const struct uplink_event *event)
{
    if (crowd->used == UPLINK_RING_CROWD || crowd->bytes + event->length > UPLINK_RING_CROWD_BYTES)
        return false;
    crowd->events[(crowd->head + crowd->used++) % UPLINK_RING_CROWD] = *event;
    crowd->bytes += event->length;
    return true;
}

void uplink_ring_push(struct uplink_ring *ring, const struct uplink_event *event)
{
    pthread_mutex_lock(&ring->lock);
    bool is_crowd = event->kind == UPLINK_EVENT_MESSAGE && is_crowded(ring, event->topic);
    bool fits = is_crowd ? crowd_add(&ring->crowd, event) : ring_add(ring, event);
    if (fits)
        set_wake(ring,
                 event->kind == UPLINK_EVENT_DELIVERED && ring->acknowledged < ring->patience);
    else
        ring->dropped++;
    pthread_mutex_unlock(&ring->lock);
    if (!fits)
        free(event->topic);
}

bool uplink_ring_pop(struct uplink_ring *ring, struct uplink_event *ret_event)
{
    pthread_mutex_lock(&ring->lock);
    bool found = uplink_ring_take(ring, ret_event);
    pthread_mutex_unlock(&ring->lock);
    return found;
}

bool uplink_ring_pop_crowd(struct uplink_ring *ring, struct uplink_event *ret_event)
{
    pthread_mutex_lock(&ring->lock);
    bool found = crowd_take(&ring->crowd, ret_event);
    pthread_mutex_unlock(&ring->lock);
    return found;
}

int uplink_ring_descriptor(const struct uplink_ring *ring)
{
    return ring->timer;
}

void uplink_ring_acknowledge(struct uplink_ring *ring)
{
    uint64_t expirations;
    pthread_mutex_lock(&ring->lock);
    if (read(ring->timer, &expirations, sizeof(expirations)) > 0)
        ring->wake = WAKE_NOT; /* a push after this sets it again */
    pthread_mutex_unlock(&ring->lock);
}

void uplink_ring_wake(int descriptor)
{
    fire(descriptor, 1);
}

void uplink_ring_hurry(struct uplink_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->patience = 1;
    if (ring->used > 0 || ring->crowd.used > 0)
        set_wake(ring, false);
    pthread_mutex_unlock(&ring->lock);
}

bool uplink_ring_is_empty(const struct uplink_ring *ring)
{
    return atomic_load_explicit(&ring->used, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&ring->crowd.used, memory_order_relaxed) == 0;
}

uint64_t uplink_ring_take_dropped(struct uplink_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    uint64_t dropped = ring->dropped;
    ring->dropped = 0;
    pthread_mutex_unlock(&ring->lock);
    return dropped;
}
