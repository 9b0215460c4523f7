/*
 * The screen: says of each message from the broker which lane it waits in (command_queue.h), by
 * checks that need microseconds, the last one some 0.1 ms. It opens nothing: every lane leads to
 * netd, which judges all by itself. A mistake of the screen costs a rightful command its place in a
 * flood and no more. Owned by the relay; main loop only. Times are monotonic.
 */
#ifndef SALLYPORT_AGENT_NETD_COMMAND_SCREEN_H
#define SALLYPORT_AGENT_NETD_COMMAND_SCREEN_H

#include "agent/netd/command_queue.h"
#include "tunnel/command/challenges.h"
#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command_screen; /* opaque */

/* So long netd lets a challenge be used that was replaced because of refusals; with some to spare.
 */
#define COMMAND_SCREEN_GRACE_MS (CHALLENGE_GRACE_MS + 5000)

/* GATEWAY, "SITE/ID", is copied. Until told otherwise, nobody knows which keys may sign. */
struct command_screen *command_screen_new(const char *gateway);
struct command_screen *command_screen_free(struct command_screen *screen); /* accepts NULL; NULL */

/* The challenge in force; "" for none. */
void command_screen_challenge(struct command_screen *screen, const char *challenge, int64_t now_ms);

/* Which keys may sign; NULL: that is not known. */
void command_screen_signers(struct command_screen *screen, const struct wire_signers *signers);

/* Looks at TEXT, of LENGTH bytes, which may be anything. */
void command_screen_look(const struct command_screen *screen, const char *text, size_t length,
                         bool is_retained, int64_t now_ms, struct command_label *ret_label);

/* netd has judged the command with this DIGEST, of a lane of those that are signed: once is enough.
 */
void command_screen_judged(struct command_screen *screen,
                           const uint8_t digest[COMMAND_DIGEST_BYTES]);

#endif
