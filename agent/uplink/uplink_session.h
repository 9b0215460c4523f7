/*
 * The state of an uplink, how it moves in the table of uplink_state.c, and what it reports to its
 * owner and the log. The lowest of three: uplink_attempt.c makes an established session,
 * uplink_engine.c does all else. Main loop only; none of these blocks.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_SESSION_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_SESSION_H

#include "agent/uplink/probe_job.h"
#include "agent/uplink/uplink_clients.h"
#include "agent/uplink/uplink_owner.h"
#include "agent/uplink/uplink_reasons.h"
#include "agent/uplink/uplink_ring.h"
#include "agent/uplink/uplink_settings.h"
#include "agent/uplink/uplink_state.h"
#include "agent/uplink/uplink_window.h"

struct uplink_session {
    struct uplink_callbacks callbacks;
    struct uplink_settings settings;
    struct uplink_settings *next; /* settings that wait for their turn, or NULL */
    struct uplink_ring *ring;
    struct uplink_clients clients;

    struct uplink_state state;
    struct uplink_window window;
    size_t window_size;  /* for messages with a tag; the array is larger by UPLINK_SPARE */
    uint32_t generation; /* of the attempt and its session; 0 before the first */
    size_t server;       /* of these; after a failure state.server is the next one already */
    int socket;          /* our duplicate of the session's socket, or -1 */
    struct uplink_subscription subscriptions[UPLINK_SUBSCRIPTIONS]; /* filters are ours */
    size_t n_subscriptions, subscribed; /* so many of them have been answered */

    int64_t step_ns;  /* when the phase, or the wait for an answer in it, began */
    int64_t due_ns;   /* of the next attempt, while waiting */
    int64_t leave_ns; /* until when the DISCONNECT may wait for acknowledgements */

    struct probe_job *probe; /* under way, or NULL */
    size_t probed;           /* which server it is about; SIZE_MAX: one of former settings */

    struct uplink_reasons reasons;
    bool owner_knows; /* that there is no session */
    int64_t since_wall_ms;
    uint64_t connects, failures, published, acknowledged;
    uint64_t dropped;   /* messages that found no room, and are not in the log yet */
    int64_t dropped_ns; /* when the log was told last; 0: never */
};

/* The server of the session or of the last attempt, and the client for it. */
const struct broker_url *uplink_session_url(const struct uplink_session *session);
struct mqtt_client *uplink_session_client(const struct uplink_session *session);

/* That server as the configuration writes it; "" before the first attempt. */
const char *uplink_session_server(const struct uplink_session *session);

/* Whether the owner wants a session with the present settings. */
bool uplink_session_is_wanted(const struct uplink_session *session);

/* Whether the owner has stopped the uplink: from then on only acknowledgements are reported to it.
 */
bool uplink_session_is_ending(const struct uplink_session *session);

/* Makes a step of the table; false when the input came too late to fit the phase. */
bool uplink_session_step(struct uplink_session *session, enum uplink_input input);

/* Tells the owner, once for each loss, that there is no session. */
void uplink_session_say_down(struct uplink_session *session, const char *reason);

/* Reports a failure to the log, the status and the owner. The second puts "HOST:PORT: " first. */
void uplink_session_say(struct uplink_session *session, size_t server, const char *sentence);
void uplink_session_say_of_server(struct uplink_session *session, size_t server,
                                  const char *reason);

/* Sends the DISCONNECT, so that the broker discards our will. The phase is UPLINK_CLOSING. */
void uplink_session_close(struct uplink_session *session);

#endif
