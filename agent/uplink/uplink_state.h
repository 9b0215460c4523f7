/*
 * The pure part of the session to the broker: which phase follows which, which server is next, how
 * long to wait, what is in flight, and who is late. No clock, no Paho, no memory of its own: values
 * owned by their caller.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_STATE_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uplink_phase {
    UPLINK_IDLE,       /* not started, or stopped for good */
    UPLINK_CONNECTING, /* an attempt is under way */
    UPLINK_UP,         /* session established and subscribed */
    UPLINK_CLOSING,    /* the session is broken; waiting for Paho to let go of it */
    UPLINK_WAITING,    /* until the next attempt */
};
const char *uplink_phase_name(enum uplink_phase phase);

enum uplink_input {
    UPLINK_START,     /* the owner wants a session */
    UPLINK_TIMER,     /* the back-off is over */
    UPLINK_CONNECTED, /* the attempt succeeded */
    UPLINK_FAILED,    /* the attempt failed */
    UPLINK_LOST,      /* the session broke, seen by Paho */
    UPLINK_BROKEN,    /* the session broke, seen by us: no acknowledgement in time */
    UPLINK_CLOSED,    /* Paho let go of the session */
    UPLINK_PROVEN,    /* the session has lasted: the back-off starts from the beginning again */
    UPLINK_STOP,      /* the owner wants none any more */
};

struct uplink_state {
    enum uplink_phase phase;
    bool stopping;            /* UPLINK_STOP came: ends in UPLINK_IDLE */
    size_t n_servers, server; /* the one in use or tried next */
    size_t tried;             /* how many in a row failed since the last session */
    uint32_t backoff_round;   /* doubles the ceiling of the wait */
    int64_t min_ms, max_ms;   /* bounds of the back-off */
};

void uplink_state_init(struct uplink_state *state, size_t n_servers, int64_t min_ms,
                       int64_t max_ms);

/*
 * The transition table. Returns 0 and moves on, or -EPROTO for an input that is impossible in
 * this phase (state untouched; the caller logs and ignores it: Paho may be late).
 * RANDOM is any 32 random bits; *RET_WAIT_MS is set when the new phase is UPLINK_WAITING: full
 * jitter in [min_ms, ceiling], at once (min_ms) while untried servers are left in this round.
 *
 * The ceiling is min_ms doubled once for every loss of a session and every round of failures
 * since a session last proved itself, at most max_ms: a broker that takes a session and drops it
 * again is not hammered. After a loss the same server is tried first: it was the last good one.
 */
int uplink_state_step(struct uplink_state *state, enum uplink_input input, uint32_t random,
                      int64_t *ret_wait_ms);

/*
 * What is in flight, in the order of sending. The caller owns the array; a slot is free again when
 * it and all before it are acknowledged, so the window is also a bound on reordering.
 */
struct uplink_flight {
    int token; /* Paho's name of the message */
    bool done; /* acknowledged, but one before it is not */
    uint64_t tag;
    int64_t sent_ns;
};

struct uplink_window {
    struct uplink_flight *flights; /* a ring of `capacity` */
    size_t capacity, head, span;   /* the oldest, and how many slots from there are in use */
    size_t in_flight;              /* of these, not acknowledged */
};

void uplink_window_init(struct uplink_window *window, struct uplink_flight *flights,
                        size_t capacity);
void uplink_window_clear(struct uplink_window *window);
bool uplink_window_is_full(const struct uplink_window *window);

/* The window must not be full (asserted). */
void uplink_window_add(struct uplink_window *window, int token, uint64_t tag, int64_t now_ns);

/* True and the tag when a message with this token was in flight; false for a stranger. */
bool uplink_window_acknowledge(struct uplink_window *window, int token, uint64_t *ret_tag);

/* When the oldest message in flight was sent; INT64_MAX when there is none. */
int64_t uplink_window_oldest_ns(const struct uplink_window *window);

#endif
