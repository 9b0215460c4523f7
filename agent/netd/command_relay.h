/*
 * The relay of signed commands: hands the exact bytes of each command that came from the broker to
 * netd, one at a time, publishes what netd answers, and keeps the challenge that the next command
 * must carry published.
 *
 * It trusts nothing and parses nothing: only netd decides whether a message is a command, who
 * signed it, and whether it is valid. A compromised agent can drop commands and lie in replies; it
 * can open nothing. Owned by the gateway; main loop only.
 */
#ifndef SALLYPORT_AGENT_NETD_COMMAND_RELAY_H
#define SALLYPORT_AGENT_NETD_COMMAND_RELAY_H

#include "agent/payload/dialect.h"
#include "agent/uplink/uplink.h"
#include "tunnel/model/refusal.h"
#include "tunnel/wire/netd_client.h"
#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_relay; /* opaque */

#define COMMAND_RELAY_WAITING 4 /* so many messages may wait while one is with netd */

/* DIALECT and UPLINK must outlive the result. Neither netd nor the uplink is called but from
 * command_relay_settle(). */
struct command_relay *command_relay_new(struct dialect *dialect, struct uplink *uplink);
struct command_relay *
command_relay_free(struct command_relay *relay); /* accepts NULL, returns it */

/* The session to the broker is up: the retained challenge at the broker may be an old one. */
void command_relay_link_up(struct command_relay *relay);

/*
 * TEXT, of LENGTH bytes, came from the broker as a command; it may contain anything. When too many
 * wait, or netd cannot be reached, it is refused here.
 */
void command_relay_received(struct command_relay *relay, const void *text, size_t length,
                            bool is_retained, int64_t now_ms);

/*
 * NETD is connected, or the connection was lost: NULL. Then the challenge is void, and every
 * command that netd has not answered has failed.
 */
void command_relay_netd(struct command_relay *relay, struct netd_client *netd);

/* The challenge in force, 64 hex digits. */
void command_relay_challenge(struct command_relay *relay, const char *challenge);

/* netd's answer to a command that was handed to it. */
void command_relay_answered(struct command_relay *relay, enum refusal refusal,
                            const struct wire_signed_reply *reply);

/*
 * After the handlers of each pass of the loop: hands over commands; then, if the session is open,
 * publishes the challenge and after it the replies, so that a reader of a reply finds the challenge
 * that the next command needs.
 */
void command_relay_settle(struct command_relay *relay, bool is_open);

#endif
