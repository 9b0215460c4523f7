/*
 * The interface of a tier: a file of messages with rising numbers, one state and the ledger, that
 * is changed in transactions. There are two, `live` and `disk`; store.h makes both of them. Who
 * makes another one implements struct tier_class. Main loop only; owned by struct tiers.
 *
 * All functions that can fail return 0 or a negative errno: -EBADMSG for a damaged file (set it
 * aside), -EBUSY when another process holds it, -ENOSPC when there is no room, else what the
 * system said. A failed call inside a transaction leaves it to be ended by tier_rollback().
 */
#ifndef SALLYPORT_AGENT_OUTBOX_TIER_H
#define SALLYPORT_AGENT_OUTBOX_TIER_H

#include "agent/outbox/loss_ledger.h"
#include "agent/outbox/stored.h"

struct tier;

/* Called with each message; false ends the reading. The pointers are valid during the call. */
typedef bool tier_visit(void *context, const struct stored_message *message);

struct tier_class {
    void (*close)(struct tier *tier);

    /*
     * A transaction. DURABLE: commit returns only when it is on the medium; without it a power cut
     * may lose it, but never break the tier. The four that follow need one.
     */
    int (*begin)(struct tier *tier, bool durable);
    /* One that is there already is left alone. */
    int (*append)(struct tier *tier, const struct stored_message *message);
    /* FIRST..LAST, inclusive. *RET_COUNT (may be NULL): how many there were. */
    int (*remove)(struct tier *tier, uint64_t first, uint64_t last, uint64_t *ret_count);
    /* The state, and the ledger if it is not NULL. */
    int (*save)(struct tier *tier, const struct stored_state *state,
                const struct loss_ledger *ledger);
    int (*commit)(struct tier *tier);
    void (*rollback)(struct tier *tier); /* also without a transaction */

    /* Hands the messages FIRST <= seq < BELOW to VISIT in order. */
    int (*read)(struct tier *tier, uint64_t first, uint64_t below, tier_visit *visit,
                void *context);
    /* The lowest and the highest number; both 0 when it is empty. */
    int (*range)(struct tier *tier, uint64_t *ret_first, uint64_t *ret_last);
    uint64_t (*bytes)(struct tier *tier); /* that its messages take, in whole pages */

    void (*reuse)(struct tier *tier);  /* makes room that is in use for nothing usable again */
    void (*shrink)(struct tier *tier); /* empty: gives its room to the file system, if it is much */
};

/* The first member of each implementation. */
struct tier {
    const struct tier_class *class;
    uint64_t messages; /* that it holds; those of the transaction under way included */
};

/* How a tier is opened, and how its file is called. */
struct tier_kind {
    const char *file_name;
    /*
     * Opens or makes the file at PATH and holds it alone. *RET_STATE: the state in it; of a damaged
     * one (-EBADMSG: damaged, of an unknown version, no regular file) what could still be read.
     * RET_LEDGER (may be NULL) is empty before.
     */
    int (*open)(const char *path, struct stored_state *ret_state, struct loss_ledger *ret_ledger,
                struct tier **ret_tier);
};

static inline struct tier *tier_close(struct tier *tier) /* accepts NULL, returns NULL */
{
    if (tier)
        tier->class->close(tier);
    return NULL;
}

#endif
