/*
 * The pure part of the session to the broker: which phase follows which, which server is next, and
 * how long to wait. No clock, no Paho, no memory of its own: a value owned by its caller. What is
 * done on the way is in uplink_session.c.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_STATE_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uplink_phase {
    UPLINK_IDLE,        /* not started, or stopped for good */
    UPLINK_WAITING,     /* until the next attempt is due; it is due at once after the start */
    UPLINK_CONNECTING,  /* the MQTT client has an attempt, which cannot be called off */
    UPLINK_OVERDUE,     /* the same, and its time is over: it ends without being called off */
    UPLINK_SUBSCRIBING, /* logged in; the answer to a subscription is awaited */
    UPLINK_UP,          /* session established and subscribed */
    UPLINK_PROVEN,      /* the same, and it has lasted: the back-off starts from the beginning */
    UPLINK_CHOKED,      /* the same, but the MQTT client refused a message: it has to end */
    UPLINK_LEAVING,     /* waiting for the last acknowledgements before the DISCONNECT */
    UPLINK_CLOSING,     /* the session is over; waiting until the MQTT client has ended it */
    UPLINK_CHANGING,    /* neither attempt nor session: the new settings can take effect */
};
#define UPLINK_PHASES (UPLINK_CHANGING + 1)

/* As in the status document: "idle", "waiting", "connecting", "up" or "closing". */
const char *uplink_phase_name(enum uplink_phase phase);

/* Whether messages can be published: UPLINK_UP or UPLINK_PROVEN. */
bool uplink_phase_is_up(enum uplink_phase phase);

enum uplink_input {
    UPLINK_START,     /* the owner wants a session */
    UPLINK_TIMER,     /* the time of the phase is over: see each of them */
    UPLINK_LOGGED_IN, /* the attempt succeeded, and there is something to subscribe to */
    UPLINK_CONNECTED, /* the session is complete */
    UPLINK_FAILED,    /* the attempt failed */
    UPLINK_LOST,      /* the session broke, seen by Paho */
    UPLINK_BROKEN,    /* the session broke, seen by us: something was not answered in time */
    UPLINK_LASTED,    /* the session has lasted */
    UPLINK_REFUSED,   /* the MQTT client refused a message */
    UPLINK_DRAINED,   /* nothing is in flight any more */
    UPLINK_CLOSED,    /* Paho has ended the session */
    UPLINK_CHANGE,    /* the owner has new settings */
    UPLINK_CHANGED,   /* they have taken effect */
    UPLINK_STOP,      /* the owner wants no session any more */
};
#define UPLINK_INPUTS (UPLINK_STOP + 1)

/* What the owner wants when the present attempt or session is over. */
enum uplink_goal {
    UPLINK_GOAL_SESSION, /* another one */
    UPLINK_GOAL_CHANGE,  /* other settings, and then another one */
    UPLINK_GOAL_END,     /* none; this cannot be taken back */
};

struct uplink_state {
    enum uplink_phase phase;
    enum uplink_goal goal;
    size_t n_servers, server; /* the one in use or tried next */
    size_t tried;             /* how many in a row failed since the last session */
    uint32_t backoff_round;   /* doubles the ceiling of the wait */
    int64_t min_ms, max_ms;   /* bounds of the back-off */
};

void uplink_state_init(struct uplink_state *state, size_t n_servers, int64_t min_ms,
                       int64_t max_ms);

/* Other servers and another back-off; the first server is next. Phase and goal stay. */
void uplink_state_set_servers(struct uplink_state *state, size_t n_servers, int64_t min_ms,
                              int64_t max_ms);

/*
 * The transition table. Returns 0 and moves on, or -EPROTO for an input that is impossible in
 * this phase (state untouched; the caller logs and ignores it: Paho may be late).
 * RANDOM is any 32 random bits; *RET_WAIT_MS is set when the phase becomes UPLINK_WAITING: full
 * jitter in [min_ms, ceiling]; min_ms while untried servers are left in this round; 0 after the
 * start and after a change of the settings.
 *
 * The ceiling is min_ms doubled once for every loss of a session and every round of failures
 * since a session last lasted long enough, at most max_ms: so a broker that accepts sessions and
 * drops them at once is not tried rapidly. After a loss the same server is tried first: it was the
 * last good one.
 */
int uplink_state_step(struct uplink_state *state, enum uplink_input input, uint32_t random,
                      int64_t *ret_wait_ms);

#endif
