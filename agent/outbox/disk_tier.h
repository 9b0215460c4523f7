/*
 * The disk tier: on flash, so that it survives a power cut. Each of its transactions does all that
 * is due there: it takes messages over from the live tier, removes what was acknowledged, drops the
 * oldest when there is no room, and writes the state and the ledger. Main loop only, owned by
 * struct tiers.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_DISK_TIER_H
#define SALLYPORT_AGENT_OUTBOX_DISK_TIER_H

#include "agent/outbox/tier.h"

/* Not open yet; its file is "outbox.db" in FOLDER. CUSTODY must outlive it. */
struct tier *disk_tier_new(struct custody *custody, const char *folder);

/* Whether few of the numbers that it has reserved are left, or it knows of no reservation. */
bool disk_tier_reserve_is_low(const struct custody *custody);

/*
 * Where the disk is full: reserves numbers, for which there is room nevertheless. Nothing happens
 * when that fails, or enough are reserved.
 */
void disk_tier_reserve(struct tier *tier, int64_t now_ms);

/*
 * At start, when the live tier belongs to another stream than this one, whose state is STATE: takes
 * all its messages over, durably, under the numbers from next_seq on; *RET_COUNT says how many. 0
 * or a negative errno: nothing has changed.
 */
int disk_tier_adopt(struct tier *tier, const struct stored_state *state, uint64_t *ret_count);

#endif
