/*
 * All that is in custody: both tiers, what is only in memory, and which number is where. The
 * transactions (live_change.h, disk_change.h) read it and say what they have done; only the
 * tiers, which owns it, changes it. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STOCK_H
#define SALLYPORT_AGENT_OUTBOX_STOCK_H

#include "agent/outbox/message_queue.h"
#include "agent/outbox/place.h"

struct stock {
    struct place live, disk;
    struct numbers numbers;
    struct loss_ledger *ledger;         /* what is true now; the outbox's */
    const struct message_queue *memory; /* all that is not committed, and some that is */
    uint64_t max_bytes;                 /* of both tiers */
    int64_t wall_ms;                    /* the last time heard */
};

/* The lowest number in the live tier that is at least FROM; LIMIT when none is below that. */
uint64_t stock_first_live(const struct stock *stock, uint64_t from, uint64_t limit);

/* The bytes that a tier takes; 0 when it is not open. */
uint64_t stock_bytes(const struct place *place);
/* The messages in a tier that are not acknowledged. */
uint64_t stock_messages(const struct place *place);
/* The messages that are only in memory. */
uint64_t stock_pending(const struct stock *stock);
int64_t stock_oldest_wall_ms(const struct stock *stock); /* 0: it is empty */

/* The ledger, when PLACE has an older one; else NULL. */
const struct loss_ledger *stock_unsaved_ledger(const struct stock *stock,
                                               const struct place *place);

/* Within a transaction of TIER: adds what is only in memory. */
int stock_append_pending(const struct stock *stock, struct tier *tier);

#endif
