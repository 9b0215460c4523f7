/*
 * The inside of the uplink: its state, and what is done in each phase. Shared by uplink.c (the
 * public functions, the loop and the deadlines) and uplink_session.c (attempts, sessions, and what
 * is said about them) only. Main loop only.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_SESSION_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_SESSION_H

#include "agent/uplink/probe_job.h"
#include "agent/uplink/uplink.h"
#include "agent/uplink/uplink_ring.h"
#include "agent/uplink/uplink_settings.h"

/* What was logged last about a server, so that the same is not said at every attempt. */
struct uplink_told {
    char *sentence; /* NULL for none since the last session */
    int64_t at_ns;
};

struct uplink {
    struct uplink_callbacks callbacks;
    struct uplink_settings settings;
    struct uplink_told *told; /* one for each server */

    sd_event_source *wake_source, *timer_source;
    int64_t armed_ns; /* when the timer fires; INT64_MAX when it is off */
    struct uplink_ring *ring;
    struct mqtt_client *clients[2]; /* by server.websocket; NULL when no server needs it */

    struct uplink_state state;
    struct uplink_window window;
    size_t window_size;  /* for messages with a tag; the array is larger by UPLINK_SPARE */
    uint32_t generation; /* of the attempt and its session */
    size_t server;       /* of these; after a failure state.server is the next one already */
    bool attempting;     /* while connecting: the client has the attempt */
    bool logged_in;      /* while connecting: waiting for the subscription */
    bool late_told;      /* while connecting: that it takes too long */
    bool proven;         /* while up: the session has lasted */
    bool choked;         /* while up: the client refused a message, so the session has to end */
    bool starved;        /* uplink_publish() said -EAGAIN */
    bool down_told;      /* the owner knows that there is no session */
    bool stopping;
    int socket;      /* our duplicate of the session's socket, or -1 */
    int64_t step_ns; /* when the phase, or the wait for the subscription, began */
    int64_t due_ns;  /* of the next attempt, while waiting */

    struct probe_job *probe; /* under way, or NULL */
    size_t probed;           /* which server it is about */

    char *reason; /* never NULL */
    int64_t since_wall_ms;
    uint64_t connects, failures, published, acknowledged;
};

/* When the timer has to fire next, INT64_MAX for never; and sets it to that. */
int64_t uplink_deadline_ns(const struct uplink *uplink);
void uplink_arm(struct uplink *uplink);
bool uplink_is_late(const struct uplink *uplink, int64_t now_ns); /* an acknowledgement */

/* Moves on in the table; false when the input does not fit the phase: it came late. */
bool uplink_step(struct uplink *uplink, enum uplink_input input);

/* Connects to the server whose turn it is. The phase is UPLINK_CONNECTING. */
void uplink_attempt(struct uplink *uplink);

/* Takes an attempt apart that came as far as the login. */
void uplink_break_attempt(struct uplink *uplink, const char *reason);

/* Gives up a session that is broken, without a farewell, so that the broker publishes our will. */
void uplink_break_session(struct uplink *uplink, const char *reason);

/* Says farewell, so that the broker forgets our will. The phase is UPLINK_CLOSING. */
void uplink_leave_session(struct uplink *uplink);

/* Handles everything that waits in the ring, and the result of a probe. */
void uplink_drain(struct uplink *uplink);

struct mqtt_client *uplink_client(const struct uplink *uplink); /* of the present server */

#endif
