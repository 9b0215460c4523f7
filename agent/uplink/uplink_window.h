/*
 * What is in flight on a session, in the order of sending. Pure: no clock, no Paho. One owner, the
 * session.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_WINDOW_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uplink_flight {
    int token; /* Paho's name of the message; 0 for every one at QoS 0 */
    bool done; /* acknowledged, but one before it is not */
    uint64_t tag;
    int64_t sent_ns;
};

/*
 * A slot is free again when it and all before it are acknowledged, so the window is also a bound
 * on reordering.
 */
struct uplink_window {
    struct uplink_flight *flights; /* owned; a ring of `capacity` */
    size_t capacity, head, span;   /* the oldest, and how many slots from there are in use */
    size_t in_flight;              /* of these, not acknowledged */
};

void uplink_window_init(struct uplink_window *window, size_t capacity); /* CAPACITY > 0 */
void uplink_window_free(struct uplink_window *window);                  /* accepts a zeroed one */
void uplink_window_clear(struct uplink_window *window);
bool uplink_window_is_full(const struct uplink_window *window);

/* The window must not be full (asserted). */
void uplink_window_add(struct uplink_window *window, int token, uint64_t tag, int64_t now_ns);

/*
 * True and the tag of the oldest message in flight with this token; false when there is none: the
 * acknowledgement belongs to another session.
 */
bool uplink_window_acknowledge(struct uplink_window *window, int token, uint64_t *ret_tag);

/* When the oldest message in flight was sent; INT64_MAX when there is none. */
int64_t uplink_window_oldest_ns(const struct uplink_window *window);

#endif
