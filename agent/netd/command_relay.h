/*
 * The command_relay of signed commands: hands the exact bytes that came under P/command to netd,
 * one message at a time, publishes what netd answers under P/reply, and keeps the challenge
 * that the next command must carry under P/challenge.
 *
 * It believes nothing and reads nothing: whether a message is a command, whose, and whether it is
 * good, is for netd alone. A command_relay that was bought can lose commands and lie in replies; it
 * can open nothing. Owned by the gateway; main loop only.
 */
#ifndef SALLYPORT_AGENT_NETD_COMMAND_RELAY_H
#define SALLYPORT_AGENT_NETD_COMMAND_RELAY_H

#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_relay; /* opaque */

#define COMMAND_RELAY_WAITING 4 /* so many messages may wait while one is with netd */

/* What it needs of its owner. Neither is called but from command_relay_settle(). */
struct command_relay_road {
    /*
     * Publishes at QoS 1: 0, -EAGAIN for "later", or another negative errno when there is no
     * session. LENGTH 0 and RETAINED removes what the broker keeps.
     */
    int (*publish)(void *context, const char *topic, const void *payload, size_t length,
                   bool retained);
    /*
     * Hands a message to netd: 0, then command_relay_answered() follows, or command_relay_netd()
     * says that it is gone; or a negative errno. LENGTH above WIRE_SIGNED_BYTES: there was more.
     */
    int (*deliver)(void *context, const void *text, size_t length, bool is_retained);
    void *context;
};

/* PREFIX is what P stands for; copied, as is ROAD. */
struct command_relay *command_relay_new(const char *prefix, const struct command_relay_road *road);
struct command_relay *
command_relay_free(struct command_relay *command_relay); /* accepts NULL, returns NULL */

/* What the session has to subscribe to. Lives as long as the command_relay. */
const char *command_relay_topic(const struct command_relay *command_relay);

/* The session to the broker came: what the broker keeps may be of another time. */
void command_relay_link_up(struct command_relay *command_relay);

/*
 * A message came from the broker; nothing is expected of any of it. One of another topic, and an
 * empty one (that is how a retained message is removed), is no command. Too many: refused here.
 */
void command_relay_received(struct command_relay *command_relay, const char *topic,
                            const void *payload, size_t length, bool is_retained, int64_t now_ms);

/* netd came, or went: then the challenge is void, and what it has not answered has failed. */
void command_relay_netd(struct command_relay *command_relay, bool is_connected);

/* The challenge in force, 64 hex digits. */
void command_relay_challenge(struct command_relay *command_relay, const char *challenge);

/*
 * netd's answer to what was delivered.
 */
void command_relay_answered(struct command_relay *command_relay, enum refusal refusal,
                            const struct wire_signed_reply *reply);

/*
 * After the handlers of each pass of the loop: hands over, then publishes the challenge, then the
 * replies: who reads a reply finds the challenge that the next command needs.
 */
void command_relay_settle(struct command_relay *command_relay);

#endif
