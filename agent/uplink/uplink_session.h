/*
 * The session to the broker without the loop that drives it: attempts, sessions, and what is said
 * about them. uplink_state.c decides which phase follows; what is done about it is here. Called by
 * uplink.c only, in the main loop; none of these blocks.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_SESSION_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_SESSION_H

#include "agent/uplink/mqtt_client.h"
#include "agent/uplink/probe_job.h"
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
    struct mqtt_client *clients[2]; /* by server.websocket; NULL when no server needs it */

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
    int64_t leave_ns; /* the farewell must not wait longer for acknowledgements */

    struct probe_job *probe; /* under way, or NULL */
    size_t probed;           /* which server it is about; SIZE_MAX: one of former settings */

    struct uplink_reasons reasons;
    bool owner_knows; /* that there is no session */
    int64_t since_wall_ms;
    uint64_t connects, failures, published, acknowledged;
};

/* Returns 0 or a negative errno, logged; SESSION is fit for uplink_session_free() either way. */
int uplink_session_init(struct uplink_session *session, const struct config_uplink *config,
                        const struct uplink_callbacks *callbacks);

/* The session must be quiet. */
void uplink_session_free(struct uplink_session *session);

/* Neither an attempt nor a session nor a probe, and there will be none. */
bool uplink_session_is_quiet(const struct uplink_session *session);

/* When uplink_session_on_deadline() has to be called; INT64_MAX for never. */
int64_t uplink_session_deadline_ns(const struct uplink_session *session);
void uplink_session_on_deadline(struct uplink_session *session);

/* Handles everything that waits in the ring, and the result of a probe. */
void uplink_session_drain(struct uplink_session *session);

void uplink_session_start(struct uplink_session *session);

/* See uplink_reconfigure(). */
int uplink_session_reconfigure(struct uplink_session *session, const struct config_uplink *config);

/* The session ends; what is in flight has until LEAVE_NS to be acknowledged. */
void uplink_session_stop(struct uplink_session *session, int64_t leave_ns);

/* See uplink_publish() and uplink_room(). */
int uplink_session_publish(struct uplink_session *session, const struct mqtt_message *message,
                           uint64_t tag);
size_t uplink_session_room(const struct uplink_session *session);

/* The address of the server of the session or of the last attempt; "" before the first. */
const char *uplink_session_server(const struct uplink_session *session);

#endif
