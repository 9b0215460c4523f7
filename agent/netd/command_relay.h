/*
 * The relay of signed commands: hands the exact bytes of each command that came from the broker to
 * netd, one at a time, publishes what netd answers, and keeps the challenge that the next command
 * must carry published.
 *
 * Only netd decides whether a message is a command, who signed it, and whether it is valid. The
 * relay has the screen (command_screen.h) look at each, and the queue (command_queue.h) say which
 * is next, so that a flood of forgeries keeps no rightful command waiting. Both can put off and
 * drop; they can let through nothing that netd would refuse. A compromised agent can drop commands
 * and lie in replies; it can open nothing. Owned by the gateway; main loop only. Times are
 * monotonic.
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

#define COMMAND_RELAY_PACE_MS 50 /* between two doubtful messages that are handed to netd */

/* GATEWAY is "SITE/ID" and copied; DIALECT and UPLINK must outlive the result. Neither netd nor the
 * uplink is called but from command_relay_settle(). */
struct command_relay *command_relay_new(const char *gateway, struct dialect *dialect,
                                        struct uplink *uplink);
struct command_relay *
command_relay_free(struct command_relay *relay); /* accepts NULL, returns it */

/* The session to the broker is up: the retained challenge at the broker may be an old one. */
void command_relay_link_up(struct command_relay *relay);

/*
 * TEXT, of LENGTH bytes, came from the broker as a command; it may contain anything. When its lane
 * is full, the same waits already, or netd cannot be reached, it is refused here.
 */
void command_relay_received(struct command_relay *relay, const void *text, size_t length,
                            bool is_retained, int64_t now_ms);

/*
 * NETD is connected, or the connection was lost: NULL. Then the challenge is void, and every
 * command that netd has not answered has failed.
 */
void command_relay_netd(struct command_relay *relay, struct netd_client *netd, int64_t now_ms);

/* The challenge in force, 64 hex digits. */
void command_relay_challenge(struct command_relay *relay, const char *challenge, int64_t now_ms);

/* Which keys may sign; NULL: netd does not say. */
void command_relay_signers(struct command_relay *relay, const struct wire_signers *signers);

/* netd's answer to a command that was handed to it. */
void command_relay_answered(struct command_relay *relay, enum refusal refusal,
                            const struct wire_signed_reply *reply);

/*
 * After the handlers of each pass of the loop: hands over commands; then, if the session is open,
 * publishes the challenge and after it the replies, those to rightly signed commands first, so that
 * a reader of a reply finds the challenge that the next command needs. Returns when it is due again
 * even if nothing happens; INT64_MAX: never.
 */
int64_t command_relay_settle(struct command_relay *relay, bool is_open, int64_t now_ms);

#endif
