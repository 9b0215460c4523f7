/*
 * What the owner of an uplink gives to it: what opens each session, and what the uplink calls.
 * Values only.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_OWNER_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_OWNER_H

#include "agent/uplink/mqtt_message.h"

#include <stddef.h>
#include <stdint.h>

#define UPLINK_SUBSCRIPTIONS 8 /* of one session, at most */

struct uplink_subscription {
    const char *filter; /* a topic or a topic filter */
    int qos;            /* 0 or 1 */
    bool is_optional;   /* a refusal is logged, and does not make the attempt fail */
    size_t crowd_bytes; /* not 0: strangers may publish to this topic (no filter; one of a session);
                           its messages wait apart from all others, and are cut to this length */
};

/*
 * What opens a session: the will that goes with the CONNECT, and the subscriptions that follow it,
 * in this order. The session is up when the last of them is answered. Both may change from one
 * attempt to the next.
 */
struct uplink_opening {
    struct mqtt_message will; /* topic NULL: no will */
    struct uplink_subscription subscriptions[UPLINK_SUBSCRIPTIONS];
    size_t n_subscriptions;
};

/* Any of them may be NULL. All are called in the main loop, never from within uplink_start(). */
struct uplink_callbacks {
    /*
     * An attempt to connect is about to be made: fill in OPENING, which is empty. What it points to
     * is copied before the callback can be called again. NULL: no will, no subscription.
     */
    void (*open)(void *context, struct uplink_opening *opening);
    /* The session is up: everything in flight before it is forgotten. */
    void (*up)(void *context);
    /*
     * It ended, or could not be made; `reason` is one line for people. Once per loss: at the
     * end of a session, or when the first attempt after the start has failed. The status and the
     * log say why further attempts fail. Whatever has not been acknowledged by now has to be
     * published again in the next session.
     */
    void (*down)(void *context, const char *reason);
    /*
     * The broker acknowledged the message that was published with this TAG; or, at QoS 0, the
     * message was written to the connection, and nothing more will be known about it.
     */
    void (*acknowledged)(void *context, uint64_t tag);
    /*
     * An attempt failed or the session broke; as `down`, but every time that a reason is known.
     */
    void (*failed)(void *context, const char *reason);
    /*
     * A message on a subscribed topic; valid during the call. Longer than 65536 bytes: cut to
     * that. A flood is dropped beyond `max_received` messages in one turn of the loop, and logged;
     * on the topic with `crowd_bytes` beyond UPLINK_RING_CROWD messages.
     */
    void (*received)(void *context, const char *topic, const void *payload, size_t length,
                     bool retained);
    void *context;
    size_t max_received; /* messages that wait for the loop at a time; 0: UPLINK_RECEIVED */
};
/* A flood must not use up our memory. */
#define UPLINK_RECEIVED 32
/* Places of the window for messages without a tag. */
#define UPLINK_SPARE 4

#endif
