/*
 * The transactions of the live tier. The caller sees to it that the tier is open, notes what was
 * done, and restores the ledger when it failed. 0 or a negative errno. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_LIVE_CHANGE_H
#define SALLYPORT_AGENT_OUTBOX_LIVE_CHANGE_H

#include "agent/outbox/eviction.h"
#include "agent/outbox/stock.h"

/*
 * Commits what is only in memory; removes what has moved to disk and what was acknowledged; saves
 * state and ledger where needed. *RET_RELEASED: how many acknowledged ones there were.
 */
int live_change_commit(const struct stock *stock, uint64_t *ret_released);

/* Drops the oldest messages until it takes no more than BYTES. */
int live_change_evict(const struct stock *stock, uint64_t bytes, struct evicted *ret_evicted);

#endif
