/*
 * What may be handed out, and in which order. The live lane: taken since the link came up. The
 * backlog lane: everything older. Beside them the messages that are kept in memory, what was read
 * ahead, and marks: how long ago which messages were taken. Main loop only, owned by the outbox.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_LANES_H
#define SALLYPORT_AGENT_OUTBOX_LANES_H

#include "agent/outbox/message_queue.h"
#include "agent/outbox/tiers.h"

struct lanes; /* opaque */

/* SPILL_AFTER_MS: how long a message may stay unacknowledged in the live tier. The link is down. */
struct lanes *lanes_new(int64_t spill_after_ms);
struct lanes *lanes_free(struct lanes *lanes); /* accepts NULL, returns NULL */

/* All messages that are not committed, and some that are; as long as the lanes. */
const struct message_queue *lanes_memory(const struct lanes *lanes);

enum lanes_room {
    LANES_ROOM_FREE,
    LANES_ROOM_LITTLE, /* what waits should be committed first */
    LANES_ROOM_NONE,
};
/* For one more body; what is committed can be read back from its tier. */
enum lanes_room lanes_find_room(struct lanes *lanes, const struct tiers *tiers, size_t body_length);

/* Takes MESSAGE, for which there is room, into memory: a copy of all of it. */
void lanes_add(struct lanes *lanes, const struct stored_message *message, int64_t now_ms);

/* After each call that may have committed or dropped something: what follows for the lanes. */
void lanes_follow(struct lanes *lanes, const struct tiers *tiers);

bool lanes_link_is_up(const struct lanes *lanes);
/* Everything handed out will be handed out again. Returns the first number that was never handed
 * out. */
uint64_t lanes_link_down(struct lanes *lanes);
void lanes_link_up(struct lanes *lanes, uint64_t next_seq); /* the live lane starts there */

/*
 * The next message of a lane, committed and not yet handed out on this link. False when there is
 * none. The body is valid until the next call, the texts as long as the lanes.
 */
bool lanes_next_live(struct lanes *lanes, struct tiers *tiers, struct stored_message *ret_message);
bool lanes_next_backlog(struct lanes *lanes, struct tiers *tiers,
                        struct stored_message *ret_message);

/*
 * Below which number messages of the live tier have to move to disk; 0: none. When the oldest is
 * due, all that is at least half as old goes with it, so that slow acknowledgements cost few
 * transactions.
 */
uint64_t lanes_spill_below(struct lanes *lanes, const struct tiers *tiers, int64_t now_ms);
int64_t lanes_spill_at_ms(const struct lanes *lanes); /* when that is; INT64_MAX: nothing waits */

#endif
