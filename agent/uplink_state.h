/*
 * The pure part of the session to the broker: which phase follows which, which server is next, how
 * long to wait, and who is late. No clock, no Paho, no memory of its own: one value owned by its
 * caller.
 */
#ifndef SALLYPORT_AGENT_UPLINK_STATE_H
#define SALLYPORT_AGENT_UPLINK_STATE_H

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
    UPLINK_STOP,      /* the owner wants none any more */
};

struct uplink_state {
    enum uplink_phase phase;
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
 */
int uplink_state_step(struct uplink_state *state, enum uplink_input input, uint32_t random,
                      int64_t *ret_wait_ms);

#endif
