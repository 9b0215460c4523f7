/*
 * The courier of signed commands: hands the exact bytes that came under P/command to the warden,
 * one message at a time, publishes what the warden answers under P/reply, and keeps the challenge
 * that the next command must carry under P/challenge.
 *
 * It believes nothing and reads nothing: whether a message is a command, whose, and whether it is
 * good, is for the warden alone. A courier that was bought can lose commands and lie in replies; it
 * can open nothing. Owned by the gateway; main loop only.
 */
#ifndef SALLYPORT_AGENT_NETD_COMMAND_RELAY_H
#define SALLYPORT_AGENT_NETD_COMMAND_RELAY_H

#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct courier; /* opaque */

#define COURIER_WAITING 4 /* so many messages may wait while one is with the warden */

/* What it needs of its owner. Neither is called but from courier_settle(). */
struct courier_road {
    /*
     * Publishes at QoS 1: 0, -EAGAIN for "later", or another negative errno when there is no
     * session. LENGTH 0 and RETAINED removes what the broker keeps.
     */
    int (*publish)(void *context, const char *topic, const void *payload, size_t length,
                   bool retained);
    /*
     * Hands a message to the warden: 0, then courier_answered() follows, or courier_warden() says
     * that it is gone; or a negative errno. LENGTH above WIRE_SIGNED_BYTES: there was more.
     */
    int (*deliver)(void *context, const void *text, size_t length, bool is_retained);
    void *context;
};

/* PREFIX is what P stands for; copied, as is ROAD. */
struct courier *courier_new(const char *prefix, const struct courier_road *road);
struct courier *courier_free(struct courier *courier); /* accepts NULL, returns NULL */

/* What the session has to subscribe to. Lives as long as the courier. */
const char *courier_topic(const struct courier *courier);

/* The session to the broker came: what the broker keeps may be of another time. */
void courier_link_up(struct courier *courier);

/*
 * A message came from the broker; nothing is expected of any of it. One of another topic, and an
 * empty one (that is how a retained message is removed), is no command. Too many: refused here.
 */
void courier_received(struct courier *courier, const char *topic, const void *payload,
                      size_t length, bool is_retained, int64_t now_ms);

/* The warden came, or went: then the challenge is void, and what it has not answered has failed. */
void courier_warden(struct courier *courier, bool is_connected);

/* The challenge in force, 64 hex digits. */
void courier_challenge(struct courier *courier, const char *challenge);

/*
 * The warden's answer to what was delivered.
 */
void courier_answered(struct courier *courier, enum session_refusal refusal,
                      const struct wire_signed_reply *reply);

/*
 * After the handlers of each pass of the loop: hands over, then publishes the challenge, then the
 * replies: who reads a reply finds the challenge that the next command needs.
 */
void courier_settle(struct courier *courier);

#endif
