/*
 * What is true after a start: from what was found in the two tiers it derives which stream and
 * number to continue with, where every number is, and what was lost since the last run. Pure: no
 * clock, no file. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_RECOVERY_H
#define SALLYPORT_AGENT_OUTBOX_RECOVERY_H

#include "agent/outbox/loss_ledger.h"
#include "agent/outbox/run_list.h"
#include "agent/outbox/stored.h"

/*
 * Which number is where. The invariant that all of it rests on: numbers below `boundary` are in
 * the disk tier or nowhere, numbers from `boundary` to `committed_below` are in the live tier or
 * nowhere, and the rest is in memory only and has not been handed out. Messages move from live to
 * disk oldest first, so the boundary only rises.
 */
struct numbers {
    char stream[STREAM_DIGITS + 1], previous_stream[STREAM_DIGITS + 1];
    uint64_t next_seq;        /* of the next message taken */
    uint64_t committed_below; /* numbers below may be handed out */
    uint64_t boundary;        /* see above */
    uint64_t disk_first;      /* no number below is on disk */
    uint64_t reserved_below;  /* numbers below may be handed out: the disk knows */
    bool live_stale;          /* the live tier still has rows below the boundary */
    bool live_state_stale;    /* its state must be written with the next commit */
    bool disk_misses_history; /* which of its messages are historical has changed since */
    bool disk_unsynced;       /* a power cut may take back what it was given */
};

/* Below which number messages may be handed out: committed, and under a number that is reserved. */
static inline uint64_t numbers_ready_below(const struct numbers *numbers)
{
    return numbers->committed_below < numbers->reserved_below ? numbers->committed_below
                                                              : numbers->reserved_below;
}

/* What was found of a tier at start. */
struct tier_found {
    struct stored_state state; /* also of a damaged file, as far as it could be read */
    struct loss_ledger ledger; /* owned; its version is the state's */
    struct run_list held;      /* owned: the messages in it */
    struct run_list on_disk;   /* owned; live: what the disk tier holds, as far as it knew */
    struct run_list stale; /* owned; disk, from recovery_reconcile(): settled, and there again */
    uint64_t first, last;  /* messages; 0: none */
    bool open;             /* it can be used: what was there, or a fresh one */
    bool damaged;          /* the file is set aside */
    bool known;            /* it is open and says which stream it belongs to */
};

/*
 * Fills in RET_NUMBERS and RET_LEDGER (empty before). The stream is "" when there is none yet.
 * Returns whether the live tier belongs to another stream than the disk tier: its messages must
 * get new numbers then, or be set aside.
 */
bool recovery_reconcile(const struct tier_found *live, struct tier_found *disk, int64_t wall_ms,
                        struct loss_ledger *ret_ledger, struct numbers *ret_numbers);

#endif
