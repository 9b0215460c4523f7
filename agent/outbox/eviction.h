/*
 * Makes room in a full store: drops the oldest messages and notes them in the ledger. Main loop
 * only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_EVICTION_H
#define SALLYPORT_AGENT_OUTBOX_EVICTION_H

#include "agent/outbox/loss_ledger.h"
#include "agent/outbox/store.h"

struct evicted {
    uint64_t messages; /* how many were dropped */
    uint64_t below;    /* all of them have a number below; 0: none was dropped */
};

/*
 * Within a transaction of STORE: removes its oldest messages until they take no more than BYTES,
 * and notes them in LEDGER. 0 or a negative errno; the ledger has to be restored with the rollback.
 */
int eviction_run(struct store *store, struct loss_ledger *ledger, uint64_t bytes,
                 struct evicted *ret_evicted);

/* About how many bytes of a store a message takes. */
uint64_t eviction_cost(size_t body_length);

#endif
