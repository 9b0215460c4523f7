/*
 * The transaction of the disk tier. Each one does all that is due there: it takes messages over
 * from the live tier, deletes what was acknowledged, drops the oldest when there is no room, and
 * writes the state and the ledger. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_DISK_CHANGE_H
#define SALLYPORT_AGENT_OUTBOX_DISK_CHANGE_H

#include "agent/outbox/eviction.h"
#include "agent/outbox/stock.h"

struct disk_job {
    uint64_t move_below; /* messages of the live tier below this move; 0: none */
    bool with_pending;   /* and what is only in memory: the live tier does not work */
    bool durable;        /* on the medium before it returns; so are some that do not ask for it */
    bool clean;          /* the last one before the end */
};

/* What it has done: the numbers are those that are true from then on. */
struct disk_done {
    uint64_t boundary, disk_first, reserved_below;
    bool durable;
    uint64_t body_bytes;  /* written */
    uint64_t left_behind; /* messages in the live tier that were acknowledged already */
    uint64_t released;    /* acknowledged messages that were removed */
    uint64_t damaged;     /* messages of the live tier that were unreadable */
    struct evicted evicted;
};

/*
 * The disk tier is open. 0 or a negative errno: the tiers are as before then, but the ledger is not
 * and has to be restored. -EUCLEAN: not the disk tier but the live tier is damaged.
 */
int disk_change_run(const struct stock *stock, const struct disk_job *job,
                    struct disk_done *ret_done);

/* Whether the numbers that the disk tier has reserved come to their end. */
bool disk_change_reserve_is_low(const struct numbers *numbers);

#endif
