/*
 * Signed commands that wait for netd, in four lanes, each with places of its own, so that what
 * fills one does not keep anything out of another:
 *
 *   first     closes the session, signed by a key that may sign
 *   signed    any other such command
 *   shaped    may be right: signed by a known key over an old challenge, or nobody knows the keys
 *   doubtful  what netd will refuse, as far as the agent can see
 *
 * A lane is only served when those before it are empty. Within a lane the signers take turns, and
 * none has more than his share of the places. Owned by the relay; main loop only.
 */
#ifndef SALLYPORT_AGENT_NETD_COMMAND_QUEUE_H
#define SALLYPORT_AGENT_NETD_COMMAND_QUEUE_H

#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command_lane {
    COMMAND_LANE_FIRST,
    COMMAND_LANE_SIGNED,
    COMMAND_LANE_SHAPED,
    COMMAND_LANE_DOUBTFUL,
};
#define COMMAND_LANE_COUNT (COMMAND_LANE_DOUBTFUL + 1)

/* Places of a lane, and how many of them one signer may have; in doubt nobody is known. */
struct command_share {
    size_t places, of_one;
};
extern const struct command_share command_shares[COMMAND_LANE_COUNT];

#define COMMAND_DIGEST_BYTES 32

/* What the screen says about a message. */
struct command_label {
    enum command_lane lane;
    uint8_t signer[WIRE_KEY_BYTES];       /* as netd names keys; zero: not known */
    uint8_t digest[COMMAND_DIGEST_BYTES]; /* two messages with the same do the same */
};

struct command_waiting {
    struct command_label label;
    uint64_t turn;    /* the lowest of its lane is next */
    uint64_t arrival; /* and among these the first to come */
    bool is_retained;
    size_t length;
    char text[]; /* exactly as it came */
};

struct command_queue; /* opaque */

struct command_queue *command_queue_new(void);
struct command_queue *command_queue_free(struct command_queue *queue); /* accepts NULL; NULL */

/* Whether a message with this digest waits. */
bool command_queue_has(const struct command_queue *queue,
                       const uint8_t digest[COMMAND_DIGEST_BYTES]);

/* Copies TEXT, of LENGTH bytes, to the end of its signer's queue; false: there is no place. */
bool command_queue_add(struct command_queue *queue, const struct command_label *label,
                       const void *text, size_t length, bool is_retained);

/* How many wait, in the lanes up to LAST. */
size_t command_queue_length(const struct command_queue *queue, enum command_lane last);

/* Takes the next one, of the lanes up to LAST; NULL: none. The caller frees it. */
struct command_waiting *command_queue_take(struct command_queue *queue, enum command_lane last);

#endif
