/*
 * The bounded ring between the line workers and the main loop. Slots are stored in a power-of-two
 * ring; a batch may wrap around its end. One mutex: it is held for a copy of a few kilobytes.
 */
#include "agent/flow/queue.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct queue {
    pthread_mutex_t lock;
    union slot *ring;
    size_t capacity;   /* slots, a power of two */
    size_t head, tail; /* slots written and read since the queue was last empty */
    bool signalled;    /* the eventfd is readable */
    int event;
    atomic_ullong refused;
};

struct queue *queue_new(size_t capacity_slots)
{
    size_t capacity = 1024;
    while (capacity < capacity_slots)
        capacity *= 2;
    struct queue *queue = memory_zeroed(1, sizeof(*queue));
    queue->ring = memory_zeroed(capacity, sizeof(*queue->ring));
    queue->capacity = capacity;
    queue->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->event < 0 || pthread_mutex_init(&queue->lock, NULL) != 0)
        abort();
    return queue;
}

struct queue *queue_free(struct queue *queue)
{
    if (!queue)
        return NULL;
    pthread_mutex_destroy(&queue->lock);
    descriptor_close(&queue->event);
    free(queue->ring);
    free(queue);
    return NULL;
}

void queue_grow(struct queue *queue, size_t capacity_slots)
{
    size_t capacity = queue->capacity;
    while (capacity < capacity_slots)
        capacity *= 2;
    if (capacity == queue->capacity)
        return;
    union slot *ring = memory_zeroed(capacity, sizeof(*ring));
    pthread_mutex_lock(&queue->lock);
    size_t used = queue->head - queue->tail, at = queue->tail & (queue->capacity - 1);
    size_t first = min_size(used, queue->capacity - at);
    memcpy(ring, queue->ring + at, first * sizeof(*ring));
    memcpy(ring + first, queue->ring, (used - first) * sizeof(*ring));
    free(queue->ring);
    queue->ring = ring;
    queue->capacity = capacity;
    queue->tail = 0;
    queue->head = used;
    pthread_mutex_unlock(&queue->lock);
}

bool queue_push(struct queue *queue, const union slot *slots, size_t n_slots)
{
    assert(n_slots > 0 && slots[0].header.n_slots == n_slots - 1);
    pthread_mutex_lock(&queue->lock);
    bool fits = n_slots <= queue->capacity - (queue->head - queue->tail);
    bool wake = fits && !queue->signalled;
    if (fits) {
        size_t at = queue->head & (queue->capacity - 1);
        size_t first = min_size(n_slots, queue->capacity - at);
        memcpy(queue->ring + at, slots, first * sizeof(*slots));
        memcpy(queue->ring, slots + first, (n_slots - first) * sizeof(*slots));
        queue->head += n_slots;
        queue->signalled = true;
    }
    pthread_mutex_unlock(&queue->lock);
    if (wake)
        (void)eventfd_write(queue->event, 1); /* cannot fill up: one write per acknowledgement */
    if (!fits)
        atomic_fetch_add_explicit(&queue->refused, 1, memory_order_relaxed);
    return fits;
}

size_t queue_pop(struct queue *queue, union slot *slots, size_t room)
{
    pthread_mutex_lock(&queue->lock);
    size_t n_slots = 0;
    if (queue->head != queue->tail) {
        size_t at = queue->tail & (queue->capacity - 1);
        n_slots = 1 + queue->ring[at].header.n_slots;
        assert(n_slots <= room && n_slots <= queue->head - queue->tail);
        size_t first = min_size(n_slots, queue->capacity - at);
        memcpy(slots, queue->ring + at, first * sizeof(*slots));
        memcpy(slots + first, queue->ring, (n_slots - first) * sizeof(*slots));
        queue->tail += n_slots;
        if (queue->tail == queue->head)
            queue->head = queue->tail = 0; /* a calm queue touches few pages of memory */
    }
    pthread_mutex_unlock(&queue->lock);
    return n_slots;
}

size_t queue_capacity(const struct queue *queue)
{
    return queue->capacity;
}

int queue_descriptor(const struct queue *queue)
{
    return queue->event;
}

void queue_acknowledge(struct queue *queue)
{
    eventfd_t count;
    pthread_mutex_lock(&queue->lock);
    (void)eventfd_read(queue->event, &count); /* first: a push after it must signal again */
    queue->signalled = false;
    pthread_mutex_unlock(&queue->lock);
}

void queue_signal(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool wake = !queue->signalled;
    queue->signalled = true;
    pthread_mutex_unlock(&queue->lock);
    if (wake)
        (void)eventfd_write(queue->event, 1);
}

uint64_t queue_refused(const struct queue *queue)
{
    return atomic_load_explicit(&queue->refused, memory_order_relaxed);
}
