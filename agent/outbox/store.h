/*
 * Both tiers of the outbox on SQLite: a database in write-ahead mode with the messages, the ledger
 * about them and one row of state. The log is held with an exclusive lock, so there is no file of
 * shared memory, and a second process is turned away. Main loop only, owned by struct tiers.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STORE_H
#define SALLYPORT_AGENT_OUTBOX_STORE_H

#include "agent/outbox/tier.h"

extern const struct tier_kind
    store_live, /* "live.db", on tmpfs: never synced, outlives the process only */
    store_disk; /* "outbox.db", on flash: synced when asked, and kept ready for a full disk */

#endif
