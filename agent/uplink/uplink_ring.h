/*
 * The bounded ring between Paho's threads (writers) and the main loop (reader). The callbacks of
 * Paho run with its locks held, so they copy what they have into this ring, wake the loop, and
 * return. Nothing is ever waited for.
 *
 * Messages on the crowded topic, where strangers may publish, have a lane of their own: however
 * many come, they push out nothing else, and nothing else pushes out them.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_RING_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uplink_event_kind {
    UPLINK_EVENT_LOGIN,      /* CONNACK, accepted */
    UPLINK_EVENT_REFUSED,    /* the attempt failed; `code` says how */
    UPLINK_EVENT_SUBSCRIBED, /* SUBACK, accepted */
    UPLINK_EVENT_DENIED,     /* the subscription failed; `code` says how */
    UPLINK_EVENT_LOST,       /* the connection is gone */
    UPLINK_EVENT_CLOSED,     /* our disconnect is done */
    UPLINK_EVENT_DELIVERED,  /* PUBACK for `code` */
    UPLINK_EVENT_REJECTED,   /* MQTT 5: PUBACK with a refusal; `code` is the reason */
    UPLINK_EVENT_MESSAGE,    /* a message came in */
};

struct uplink_event {
    enum uplink_event_kind kind;
    uint32_t generation; /* of the session that it belongs to */
    int code;
    bool retained;
    size_t length;
    char *topic, *payload; /* of a message: one allocation, at `topic`; owned by the event */
};

struct uplink_ring; /* opaque */

/*
 * Room for CAPACITY acknowledgements, for MAX_MESSAGES, and for the few events of a session beside.
 * PATIENCE: fewer acknowledgements than this wake the loop only after UPLINK_RING_LATER_MS, since a
 * wake-up costs more than they are worth; the loop may look before. 1: each wakes at once.
 */
struct uplink_ring *uplink_ring_new(size_t capacity, size_t max_messages, size_t patience);
#define UPLINK_RING_LATER_MS 20

/*
 * Reader only. From now on messages on TOPIC, which is copied, go to the crowd's lane, cut to
 * LONGEST bytes; NULL: there is no such topic.
 */
void uplink_ring_set_crowd(struct uplink_ring *ring, const char *topic, size_t longest);
#define UPLINK_RING_CROWD 1024                    /* messages in the lane, at most */
#define UPLINK_RING_CROWD_BYTES (2 * 1024 * 1024) /* of their content together, at most */

/* Any thread. To how many bytes a message on TOPIC is to be cut; LONGEST unless it is the crowd's.
 */
size_t uplink_ring_longest(struct uplink_ring *ring, const char *topic, size_t longest);

/* Reader only. Drops what is in the ring and gives it other sizes; the descriptor stays. */
void uplink_ring_resize(struct uplink_ring *ring, size_t capacity, size_t max_messages,
                        size_t patience);

/* Reader only. No more patience: for the end of a session. */
void uplink_ring_hurry(struct uplink_ring *ring);
struct uplink_ring *uplink_ring_free(struct uplink_ring *ring); /* accepts NULL, returns NULL */

/*
 * Any thread. Takes the event and what it owns. An acknowledgement or a message that finds no room
 * is dropped and counted: the missing acknowledgement ends the session by its deadline, and the
 * message is what a broker sent that floods us. The other kinds always find room.
 */
void uplink_ring_push(struct uplink_ring *ring, const struct uplink_event *event);

/* Reader only. The caller frees RET_EVENT->topic. False when the ring is empty. */
bool uplink_ring_pop(struct uplink_ring *ring, struct uplink_event *ret_event);

/* The same of the crowd's lane, which uplink_ring_pop() leaves alone. */
bool uplink_ring_pop_crowd(struct uplink_ring *ring, struct uplink_event *ret_event);

/*
 * A timerfd, readable when the reader should look; uplink_ring_acknowledge() before the reader
 * empties the ring. Setting it to fire at once, as uplink_ring_wake() does, wakes the reader too.
 */
int uplink_ring_descriptor(const struct uplink_ring *ring);
void uplink_ring_acknowledge(struct uplink_ring *ring);

/* Any thread: makes DESCRIPTOR, of a ring or a duplicate of one, readable. */
void uplink_ring_wake(int descriptor);

/* Any thread; a guess without a lock, for a reader that passes by. */
bool uplink_ring_is_empty(const struct uplink_ring *ring);

/* How many acknowledgements and messages were dropped since the last call. */
uint64_t uplink_ring_take_dropped(struct uplink_ring *ring);

#endif
