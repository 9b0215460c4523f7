/*
 * The bounded ring between the line workers (many writers) and the main loop (one reader). A
 * batch goes in whole or not at all; a refused batch is counted; no writer ever waits.
 */
#ifndef SALLYPORT_AGENT_FLOW_QUEUE_H
#define SALLYPORT_AGENT_FLOW_QUEUE_H

#include "drivers/sample.h"

struct queue; /* opaque */

/* CAPACITY_SLOTS is rounded up to a power of two, at least 1024. Returns the owned queue. */
struct queue *queue_new(size_t capacity_slots);
struct queue *
queue_free(struct queue *queue); /* accepts NULL, returns NULL; no writer may be left */

/* Any thread. Copies a finished batch; false when there is no room. Never blocks for long. */
bool queue_push(struct queue *queue, const union slot *slots, size_t n_slots);

/*
 * Reader only. Moves the oldest batch into SLOTS, which has room for ROOM slots (at least
 * queue_capacity()). Returns how many slots it has, 0 when the queue is empty.
 */
size_t queue_pop(struct queue *queue, union slot *slots, size_t room);

/* Reader only: makes the ring larger where CAPACITY_SLOTS asks for it; what waits stays. */
void queue_grow(struct queue *queue, size_t capacity_slots);

size_t queue_capacity(const struct queue *queue);

/* Readable while batches wait; queue_acknowledge() before the reader empties the queue. */
int queue_descriptor(const struct queue *queue);
void queue_acknowledge(struct queue *queue);

/* Reader only: makes the descriptor readable again, for a reader that stops before the end. */
void queue_signal(struct queue *queue);

/* Any thread: how many batches were refused since the start. */
uint64_t queue_refused(const struct queue *queue);

#endif
