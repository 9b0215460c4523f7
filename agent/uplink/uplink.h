/*
 * The session to the broker: MQTT 3.1.1 over TLS, QoS 1, by Paho MQTTAsync (mqtt_client.c). It
 * connects (own loop, full jitter, one server per attempt, last good first), publishes within a
 * window of its own, hands acknowledgements back, and says why a connection failed.
 *
 * All functions: main loop only, and none of them blocks but uplink_stop(). Paho's own threads only
 * copy what they have into a small ring and wake the loop. Nothing is ever sent over a connection
 * whose chain and name were not verified: there is no switch for it.
 *
 * A message that the broker's access control denies is acknowledged all the same: MQTT 3.1.1 knows
 * no refusal of a message (section 3.3.5.2). Only a refused subscription is seen (section 3.9.3).
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_H

#include "agent/uplink/uplink_state.h"
#include "config/schema/config.h"

#include <systemd/sd-event.h>

struct uplink; /* opaque */

struct uplink_callbacks {
    /* The session is up: everything in flight before it is forgotten. */
    void (*up)(void *context);
    /*
     * It is gone, or could not be had; `reason` is one line for a person. Once per loss: at the
     * end of a session, or when the first attempt after the start has failed. Why further attempts
     * fail is in the health and in the log.
     */
    void (*down)(void *context, const char *reason);
    /* The broker acknowledged the message that was published with this TAG. */
    void (*acknowledged)(void *context, uint64_t tag);
    /* There is room in the window again after uplink_publish() said -EAGAIN. */
    void (*room)(void *context);
    /*
     * An attempt failed or the session broke; as `down`, but every time that a reason is known.
     */
    void (*failed)(void *context, const char *reason);
    /*
     * A message on a subscribed topic; valid during the call. Longer than 65536 bytes: cut to
     * that. A flood is dropped beyond `max_received` messages in one turn of the loop, and logged.
     */
    void (*received)(void *context, const char *topic, const void *payload, size_t length,
                     bool retained);
    void *context;
}; /* any of them may be NULL; all are called from the loop, never from within uplink_start() */

/* What is sent with the CONNECT, and to which the session subscribes; copied. */
struct uplink_identity {
    const char *will_topic, *will_payload; /* retained, QoS 1; NULL: none */
    const char *subscribe_topic;           /* a topic or a filter, QoS 1; NULL: none */
    bool goes_on_unsubscribed; /* a refused subscription is logged, and is no failed attempt */
    size_t max_received;       /* messages that wait for the loop at a time; 0: UPLINK_RECEIVED */
};
/* A flood of commands must not grow our memory; one in an hour is usual. */
#define UPLINK_RECEIVED 32

/*
 * Makes the session object and attaches it to LOOP; connects on uplink_start(). CONFIG, IDENTITY
 * and CALLBACKS are copied. Reads no file yet: certificates and passwords are read anew at each
 * attempt, so that renewing is replacing files. Takes the proxy variables out of the environment
 * of the process, so call it before other threads use that. Returns 0 or a negative errno, logged.
 */
int uplink_new(const struct config_uplink *config, const struct uplink_identity *identity,
               const struct uplink_callbacks *callbacks, sd_event *loop,
               struct uplink **ret_uplink);

void uplink_start(struct uplink *uplink);

/*
 * Handles what has come without waking the loop: acknowledgements wait up to 20 ms for it. For an
 * owner that is awake anyway; may call any callback.
 */
void uplink_collect(struct uplink *uplink);

/*
 * Ends the session: waits for at most TIMEOUT_MS for what is in flight, sends a DISCONNECT, and
 * calls no callback but `acknowledged` any more. Blocking; for the clean stop only. Returns false
 * when Paho is stuck and the process should leave with _exit().
 */
bool uplink_stop(struct uplink *uplink, int timeout_ms);

/*
 * Accepts NULL, returns NULL. After a clean uplink_stop(), or when it was never started. Else the
 * object stays in memory for good, because Paho's threads may still use it.
 */
struct uplink *uplink_free(struct uplink *uplink);

/*
 * Publishes at QoS 1. TAG comes back with the acknowledgement; 0 means that nobody wants to know,
 * and such a message may use UPLINK_SPARE places beyond the window, so that a status finds room
 * where data does not. Returns 0, -EAGAIN when the window is full (`room` will be called),
 * -ENOTCONN when down (or breaking at this moment), -EINVAL for a topic that is not UTF-8.
 */
#define UPLINK_SPARE 4
int uplink_publish(struct uplink *uplink, const char *topic, const void *payload, size_t length,
                   bool retained, uint64_t tag);

/* How many messages the window takes now; 0 when it is full or the session is down. */
size_t uplink_room(const struct uplink *uplink);

struct uplink_health {
    enum uplink_phase phase;
    const char *server;      /* of the session or of the last attempt; "" before the first */
    const char *reason;      /* why it is down: the last sentence; "" when up or not known yet */
    int64_t since_wall_ms;   /* when the phase began */
    int64_t next_attempt_ms; /* milliseconds from now, while waiting; else 0 */
    uint64_t connects, failures, published, acknowledged;
    size_t in_flight;
};
void uplink_get_health(const struct uplink *uplink, struct uplink_health *ret_health);

#endif
