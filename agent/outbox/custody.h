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
#include "agent/outbox/reservation.h"

struct tier;

/* Since when a power cut may cost more than was promised, and why. */
struct unsafe {
    int64_t since_ms; /* UTC; 0: it costs no more than promised */
    char reason[160];
};

struct custody {
    struct numbers numbers;
    struct reservation reservation;
    unsigned short_of_room; /* how often in a row the disk had room for a reservation only */
    struct unsafe unsafe;
    struct run_list moved;              /* by the transaction of the disk tier under way */
    struct loss_ledger *ledger;         /* what is true now; the outbox's */
    struct loss_ledger undo;            /* what it was before the transaction under way */
    const struct message_queue *memory; /* all that is not committed, and some that is */
    struct tier *live, *disk;
    uint64_t max_bytes; /* of both tiers */
    int64_t wall_ms;    /* UTC, as the last caller gave it */
    int64_t sync_at_ms; /* not before this the next routine transaction on disk */
    uint64_t released, dropped, disk_bytes_written; /* since the start */
    uint64_t dropped_below; /* the messages dropped had numbers below, at most; but for single ones
                               that could not be read */
    char damage[160];       /* what was set aside since the start; "" for nothing */
};

void custody_note_evicted(struct custody *custody, const struct evicted *evicted);

#endif
