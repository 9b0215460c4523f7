/*
 * What the two tiers have in common: which number is where, the ledger, what is only in memory, and
 * what has become of messages so far. Owned by struct tiers; each tier keeps the numbers true that
 * its own transactions change. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_CUSTODY_H
#define SALLYPORT_AGENT_OUTBOX_CUSTODY_H

#include "agent/outbox/eviction.h"
#include "agent/outbox/message_queue.h"
#include "agent/outbox/recovery.h"

struct tier;

struct custody {
    struct numbers numbers;
    struct loss_ledger *ledger;         /* what is true now; the outbox's */
    struct loss_ledger undo;            /* what it was before the transaction under way */
    const struct message_queue *memory; /* all that is not committed, and some that is */
    struct tier *live, *disk;
    uint64_t max_bytes; /* of both tiers */
    int64_t wall_ms;    /* UTC, as the last caller gave it */
    int64_t sync_at_ms; /* not before this the next routine transaction on disk */
    uint64_t released, dropped, disk_bytes_written; /* since the start */
    uint64_t dropped_below; /* the messages dropped for want of room had numbers below, at most */
    char damage[160];       /* what was set aside since the start; "" for nothing */
};

void custody_note_evicted(struct custody *custody, const struct evicted *evicted);

/* The messages FIRST to BELOW, if there are any, will never arrive: their file is damaged. */
void custody_write_off(struct custody *custody, uint64_t first, uint64_t below);

#endif
